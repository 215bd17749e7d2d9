//! What RocketMQ's own tool says of a broker, asked from a pod of its own: no broker shares its memory with it, and a newer one
//! can be asked about an older broker.

use serde_json::{Map, Value, json};

use super::node::is_ready;
use super::rocketmq::{run_in, tool};
use super::stage::Space;
use super::wait::START;

/// The pod's name.
const POD: &str = "mqadmin";

/// A pod with `mqadmin`.
pub struct Mqadmin(Space);

impl Mqadmin {
    /// Starts one of this version of RocketMQ; `exportMetadata` came with 4.9.
    pub async fn start(space: &Space, version: &str) -> Self {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": POD },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 3000, "runAsGroup": 3000, "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": POD, "image": format!("apache/rocketmq:{version}"), "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        });
        space.apply(&pod).await;
        space
            .wait_for("mqadmin can be run", START, async || {
                let ready = is_ready(&space.pod(POD).await);
                ready.then_some(()).ok_or_else(|| "not yet".into())
            })
            .await;
        Self(space.clone())
    }

    /// A broker's topics and its subscription groups by name, each with all of its fields; not those that are RocketMQ's own.
    pub async fn exported(&self, broker: &str) -> [Map<String, Value>; 2] {
        let export = |what: &str| {
            tool(
                "mqadmin",
                &format!("exportMetadata -b {broker} {what} -f /tmp/exported"),
            )
        };
        let script = format!(
            "rm -rf /tmp/exported; {{ {} && {}; }} >&2 && cd /tmp/exported && cat topic.json subscriptionGroup.json",
            export("-t"),
            export("-g"),
        );
        let said = run_in(&self.0, POD, &script).await;
        let mut documents = serde_json::Deserializer::from_str(&said.out).into_iter::<Value>();
        ["topicConfigTable", "subscriptionGroupTable"].map(|table| {
            let document = documents.next().and_then(Result::ok);
            let table = document.as_ref().and_then(|d| d[table].as_object());
            table
                .unwrap_or_else(|| panic!("mqadmin exportMetadata: {}", said.all()))
                .clone()
        })
    }
}
