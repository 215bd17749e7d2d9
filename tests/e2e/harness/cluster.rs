//! The Kubernetes cluster under test: clients, and objects as plain values.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::TypeMeta;
use kube::{Client, Config};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// The variable that names the cluster under test.
pub const KUBECONFIG: &str = "ROCKETMQ_E2E_KUBECONFIG";

/// The cluster under test.
#[derive(Clone)]
pub struct Cluster {
    /// A client as administrator; it belongs to the runtime of the test that connected.
    pub client: Client,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with code 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output of a command that had to succeed.
    pub fn done(self) -> String {
        assert!(self.ok, "the command failed\n{}\n{}", self.out, self.err);
        self.out
    }

    /// Both streams, for messages and searches.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }
}

/// Where the repository is.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The kubeconfig of the cluster under test; the user's own is never looked at.
pub fn kubeconfig() -> PathBuf {
    let named = std::env::var_os(KUBECONFIG);
    named.expect("ROCKETMQ_E2E_KUBECONFIG is not set: run `make test`, or see tests/e2e/README.md; no other cluster is used").into()
}

/// Runs a command in the repository with the cluster under test as its cluster.
pub async fn run(program: impl AsRef<Path>, args: &[&str], input: &str, within: Duration) -> Said {
    let program = program.as_ref();
    let shown = format!("{} {}", program.display(), args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .current_dir(repository())
        .env("KUBECONFIG", kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have ended already.
    let _unread = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(within, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{shown}: no end within {within:?}"))
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    Said {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs kubectl.
pub async fn kubectl(args: &[&str]) -> Said {
    run("kubectl", args, "", Duration::from_mins(2)).await
}

/// The resource behind a kind that the tests speak of.
fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "Broker" | "NameService" | "TopicTransfer" => ("rocketmq.apache.org", "v1alpha1"),
        "StatefulSet" | "Deployment" => ("apps", "v1"),
        "PodDisruptionBudget" => ("policy", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "StorageClass" => ("storage.k8s.io", "v1"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1"),
        "ClusterRole" | "ClusterRoleBinding" => ("rbac.authorization.k8s.io", "v1"),
        _ => ("", "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

impl Cluster {
    /// Connects to the cluster under test.
    pub async fn connect() -> Self {
        let path = kubeconfig();
        let read = Kubeconfig::read_from(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .unwrap();
        Self {
            client: Client::try_from(config).unwrap(),
        }
    }

    /// The API of a kind, in a namespace, or of the cluster where it is empty.
    pub fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = resource(kind);
        if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        }
    }

    /// An object as it is now.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let found = self.api(kind, namespace).get_opt(name).await;
        found
            .unwrap_or_else(|e| panic!("get {kind} {namespace}/{name}: {e}"))
            .map(|o| serde_json::to_value(o).unwrap())
    }

    /// All objects of a kind that a label selector finds, in the order of their names.
    pub async fn list(&self, kind: &str, namespace: &str, labels: &str) -> Vec<Value> {
        let found = self
            .api(kind, namespace)
            .list(&ListParams::default().labels(labels))
            .await;
        let found = found.unwrap_or_else(|e| panic!("list {kind} {namespace} {labels}: {e}"));
        let mut found: Vec<Value> = found
            .items
            .into_iter()
            .map(|mut object| {
                // The API server leaves it out in lists.
                object.types = Some(TypeMeta {
                    api_version: resource(kind).api_version,
                    kind: kind.to_owned(),
                });
                serde_json::to_value(object).unwrap()
            })
            .collect();
        found.sort_by_key(|o| name_of(o).to_owned());
        found
    }

    /// Server-side apply, as a user of the name `e2e`.
    pub async fn try_apply(&self, object: &Value) -> Result<Value, kube::Error> {
        let (kind, name) = (text(object, "/kind"), name_of(object));
        let api = self.api(kind, text(object, "/metadata/namespace"));
        let params = PatchParams::apply("e2e").force();
        api.patch(name, &params, &Patch::Apply(object))
            .await
            .map(|o| serde_json::to_value(o).unwrap())
    }

    /// A JSON merge patch.
    pub async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Value {
        let patched = self
            .api(kind, namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        serde_json::to_value(patched.unwrap_or_else(|e| panic!("patch {kind} {namespace}/{name}: {e}")))
            .unwrap()
    }

    /// Asks for an object's deletion and does not wait for it.
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let asked = self
            .api(kind, namespace)
            .delete(name, &DeleteParams::background())
            .await;
        asked.unwrap_or_else(|e| panic!("delete {kind} {namespace}/{name}: {e}"));
    }
}

/// The text at a JSON pointer, empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An object's name.
pub fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// An object's UID.
pub fn uid_of(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// One condition of an object's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`; empty where the condition is not there.
    pub status: String,
    /// The reason, one word.
    pub reason: String,
    /// What it tells people.
    pub message: String,
}

/// A condition of an object, the empty one where it has none of this type or is not there itself.
pub fn condition(object: Option<&Value>, type_: &str) -> Condition {
    let all = object
        .and_then(|o| o.pointer("/status/conditions"))
        .and_then(Value::as_array);
    let found = all.into_iter().flatten().find(|c| text(c, "/type") == type_);
    found.map_or_else(Condition::default, |c| Condition {
        status: text(c, "/status").to_owned(),
        reason: text(c, "/reason").to_owned(),
        message: text(c, "/message").to_owned(),
    })
}

/// Every condition of an object in one line each, for messages.
pub fn conditions(object: Option<&Value>) -> String {
    let Some(object) = object else {
        return "the object is not there".into();
    };
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let lines: Vec<String> = all
        .into_iter()
        .flatten()
        .map(|c| {
            format!(
                "{}={} {}: {}",
                text(c, "/type"),
                text(c, "/status"),
                text(c, "/reason"),
                text(c, "/message")
            )
        })
        .collect();
    if lines.is_empty() {
        "no conditions".into()
    } else {
        lines.join("\n")
    }
}
