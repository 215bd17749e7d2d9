//! Where a story takes place: namespaces of its own, room for its pods, and everything removed after it.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cluster::{Cluster, condition, conditions, kubectl, name_of, text};
use super::operator;
use super::wait::{seconds, until, wait_for};

/// How many RocketMQ pods all stories together may run: what two cores start in bearable time.
const ROOM: u32 = 18;
static PODS: Semaphore = Semaphore::const_new(ROOM as usize);
/// Port 9876 of the node, which one name server on the host network at a time can have. Taken before `scenario`.
pub static NODE_PORT: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Numbers the namespaces of this run.
static NAMESPACES: AtomicU32 = AtomicU32::new(0);
/// No story takes longer.
const STORY: Duration = Duration::from_mins(15);

/// Tells a story that shares the operator with others and needs so many RocketMQ pods at most.
pub async fn scenario(pods: u32, story: impl AsyncFnOnce(&Stage)) {
    let _room = PODS.acquire_many(pods.min(ROOM)).await.unwrap();
    let _shared = operator::shared().await;
    tell(Operator::Shared, story).await;
}

/// Tells a story that has the operator and the whole node to itself.
pub async fn alone(story: impl AsyncFnOnce(&Stage)) {
    let _whole = operator::whole().await;
    tell(Operator::Whole, story).await;
}

/// How a story has the operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// With others.
    Shared,
    /// Alone; it does with it what it wants.
    Whole,
}

async fn tell(operator: Operator, story: impl AsyncFnOnce(&Stage)) {
    let stage = Stage {
        operator,
        cluster: Cluster::connect().await,
        made: Mutex::new(Vec::new()),
        operators: Mutex::new(Vec::new()),
    };
    let told = timeout(STORY, AssertUnwindSafe(story(&stage)).catch_unwind()).await;
    let failed = !matches!(told, Ok(Ok(())));
    if failed {
        stage.report().await;
    }
    if failed && std::env::var_os("ROCKETMQ_E2E_KEEP").is_some() {
        eprintln!("kept: {:?}", stage.made());
    } else {
        stage.clear().await;
    }
    match told {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => resume_unwind(panic),
        Err(tokio::time::error::Elapsed { .. }) => panic!("the story did not end within {STORY:?}"),
    }
}

/// Where one story takes place.
pub struct Stage {
    /// The cluster under test.
    pub cluster: Cluster,
    operator: Operator,
    made: Mutex<Vec<String>>,
    operators: Mutex<Vec<operator::Here>>,
}

impl Stage {
    /// A new namespace.
    pub async fn namespace(&self) -> Space {
        self.labelled_namespace(json!({})).await
    }

    /// A new namespace that admits only pods as Pod Security `restricted` wants them.
    pub async fn restricted_namespace(&self) -> Space {
        self.labelled_namespace(json!({ "pod-security.kubernetes.io/enforce": "restricted" }))
            .await
    }

    async fn labelled_namespace(&self, labels: Value) -> Space {
        // libtest names the thread after the test: `module::sentence`.
        let test = std::thread::current().name().unwrap_or("main").to_owned();
        let module = test.rsplit("::").nth(1).unwrap_or("main").replace('_', "-");
        let n = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{module}-{n}-{}", std::process::id());
        let mut labels = labels;
        labels["rocketmq-e2e"] = json!("true");
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": labels, "annotations": { "rocketmq-e2e/test": test } },
        });
        self.cluster.try_apply(&namespace).await.unwrap();
        self.made.lock().unwrap().push(name.clone());
        let space = Space {
            cluster: self.cluster.clone(),
            name,
        };
        // Pods are refused until it is there.
        self.operators.lock().unwrap().extend(self.operator_for(&space));
        wait_for("the namespace has its service account", seconds(60), async || {
            space
                .get("ServiceAccount", "default")
                .await
                .ok_or_else(|| "none".into())
        })
        .await;
        space
    }

    fn operator_for(&self, space: &Space) -> Option<operator::Here> {
        (self.operator == Operator::Shared).then(|| operator::Here::start(&space.name))?
    }

    /// From now on an operator looks after that namespace of a story which has the operator to itself.
    pub async fn operator_comes(&self, space: &Space) {
        let here = operator::comes(&self.cluster, &space.name).await;
        self.operators.lock().unwrap().extend(here);
    }

    /// The operator of such a story ends.
    pub async fn operator_goes(&self) {
        self.operators.lock().unwrap().clear();
        operator::away(&self.cluster).await;
    }

    fn made(&self) -> Vec<String> {
        self.made.lock().unwrap().clone()
    }

    /// Prints what a reader of a failure wants to know.
    async fn report(&self) {
        for name in self.made() {
            let n = ["-n", &name];
            for what in [
                &[
                    "get",
                    "brokers,nameservices,topictransfers,statefulsets,pods,services,pvc",
                    "-o",
                    "wide",
                ][..],
                &[
                    "get",
                    "events",
                    "--sort-by=.lastTimestamp",
                    "-o",
                    "custom-columns=T:.lastTimestamp,O:.involvedObject.name,R:.reason,M:.message",
                ],
            ] {
                eprintln!(
                    "--- {name}: kubectl {}\n{}",
                    what.join(" "),
                    kubectl(&[&n, what].concat()).await.all()
                );
            }
            let space = Space {
                cluster: self.cluster.clone(),
                name: name.clone(),
            };
            for kind in ["NameService", "Broker", "TopicTransfer"] {
                for object in self.cluster.list(kind, &name, "").await {
                    eprintln!(
                        "--- {name}: {kind} {}\n{}",
                        name_of(&object),
                        conditions(Some(&object))
                    );
                }
            }
            for pod in space.pods("").await {
                if !super::node::is_ready(&pod) {
                    let said = kubectl(&[&n, &["logs", name_of(&pod), "--tail=25"][..]].concat()).await;
                    eprintln!("--- {name}: the last lines of {}\n{}", name_of(&pod), said.all());
                }
            }
            let here: String = self
                .operators
                .lock()
                .unwrap()
                .iter()
                .map(operator::Here::log)
                .collect();
            let log = operator::logs(&self.cluster, seconds(600)).await + &here;
            let mine: Vec<&str> = log
                .lines()
                .filter(|l| l.contains(&name) || l.contains("panic"))
                .collect();
            eprintln!(
                "--- the operator about {name}\n{}",
                mine[mine.len().saturating_sub(40)..].join("\n")
            );
        }
    }

    /// Removes every namespace and waits until its pods are gone, so that the next story finds their room.
    async fn clear(&self) {
        let names = self.made();
        for name in &names {
            // A transfer that is undone needs an operator and its clusters; these go.
            for transfer in self.cluster.list("TopicTransfer", name, "").await {
                let free = json!({ "metadata": { "finalizers": null } });
                self.cluster
                    .merge("TopicTransfer", name, name_of(&transfer), &free)
                    .await;
            }
            // From now on no pod is made again, so the pods need no graceful stop.
            kubectl(&["delete", "namespace", name, "--wait=false"]).await;
            kubectl(&[
                "delete",
                "pods",
                "--all",
                "-n",
                name,
                "--grace-period=1",
                "--wait=false",
            ])
            .await;
        }
        for name in &names {
            let gone = until("the pods are gone", seconds(120), async || {
                let left = self.cluster.list("Pod", name, "").await;
                if left.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} pods in {name}", left.len()))
                }
            });
            if let Err(why) = gone.await {
                eprintln!("{why}");
            }
        }
    }
}

/// One namespace of a story.
#[derive(Clone)]
pub struct Space {
    /// The cluster under test.
    pub cluster: Cluster,
    /// The namespace.
    pub name: String,
}

impl Space {
    fn placed(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!(self.name);
        object
    }

    /// Applies an object here.
    pub async fn apply(&self, object: &Value) -> Value {
        self.try_apply(object)
            .await
            .unwrap_or_else(|why| panic!("apply {}: {why}", name_of(object)))
    }

    /// Applies an object here, or says why the API server refused it.
    pub async fn try_apply(&self, object: &Value) -> Result<Value, String> {
        self.cluster
            .try_apply(&self.placed(object))
            .await
            .map_err(|e| e.to_string())
    }

    /// An object as it is now.
    pub async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.cluster.get(kind, &self.name, name).await
    }

    /// Asks for an object's deletion.
    pub async fn delete(&self, kind: &str, name: &str) {
        self.cluster.delete(kind, &self.name, name).await;
    }

    /// A JSON merge patch.
    pub async fn merge(&self, kind: &str, name: &str, patch: Value) -> Value {
        self.cluster.merge(kind, &self.name, name, &patch).await
    }

    /// The pods that a label selector finds, those that are going included.
    pub async fn pods(&self, labels: &str) -> Vec<Value> {
        self.cluster.list("Pod", &self.name, labels).await
    }

    /// A pod that has to be there.
    pub async fn pod(&self, name: &str) -> Value {
        self.get("Pod", name)
            .await
            .unwrap_or_else(|| panic!("no pod {name}"))
    }

    /// As [`super::wait::wait_for`], naming the namespace.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        wait_for(&format!("{}: {what}", self.name), within, look).await
    }

    /// Waits until an object's condition is as wanted for the newest generation of its spec.
    pub async fn wait_for_condition(
        &self,
        kind: &str,
        name: &str,
        type_: &str,
        status: &str,
        within: Duration,
    ) -> Value {
        self.wait_for(
            &format!("{kind} {name} has {type_}={status}"),
            within,
            async || {
                let object = self.get(kind, name).await.ok_or("it is not there")?;
                let observed = object.pointer("/status/observedGeneration");
                if observed.is_none() || observed != object.pointer("/metadata/generation") {
                    return Err("its newest generation is not observed yet".into());
                }
                if condition(Some(&object), type_).status == status {
                    Ok(object)
                } else {
                    Err(conditions(Some(&object)))
                }
            },
        )
        .await
    }

    /// Waits until an object is ready for the newest generation of its spec.
    pub async fn wait_until_ready(&self, kind: &str, name: &str) -> Value {
        self.wait_for_condition(kind, name, "Ready", "True", seconds(420))
            .await
    }

    /// Waits until an object is gone.
    pub async fn wait_until_gone(&self, kind: &str, name: &str, within: Duration) {
        self.wait_for(&format!("{kind} {name} is gone"), within, async || {
            match self.get(kind, name).await {
                None => Ok(()),
                Some(object) => Err(format!(
                    "still there, deletion asked for at {:?}",
                    text(&object, "/metadata/deletionTimestamp")
                )),
            }
        })
        .await;
    }

    /// Runs kubectl in this namespace.
    pub async fn kubectl(&self, args: &[&str]) -> super::cluster::Said {
        kubectl(&[&["-n", &self.name][..], args].concat()).await
    }
}
