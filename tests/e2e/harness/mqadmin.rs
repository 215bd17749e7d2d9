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
                    // Without it a node that is busy has next to no time for it.
                    "resources": { "requests": { "cpu": "300m" } },
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
        let export = |what: &str, file: &str| {
            let run = tool(
                "mqadmin",
                &format!("exportMetadata -b {broker} {what} -f /tmp/exported"),
            );
            format!("[ -s {file} ] || ( {run} ) >&2")
        };
        let script = format!(
            "cd /tmp/exported; {}; {}; cat topic.json subscriptionGroup.json",
            export("-t", "topic.json"),
            export("-g", "subscriptionGroup.json"),
        );
        run_in(&self.0, POD, "rm -rf /tmp/exported; mkdir /tmp/exported").await;
        // It gives a broker a few seconds only to answer, whatever else the node has to do: what it has got is not asked again.
        self.0
            .wait_for(&format!("mqadmin exports from {broker}"), START, async || {
                let said = run_in(&self.0, POD, &script).await;
                read(&said.out).ok_or_else(|| said.all())
            })
            .await
    }
}

/// Both tables, of both documents one after the other.
fn read(exported: &str) -> Option<[Map<String, Value>; 2]> {
    let mut documents = serde_json::Deserializer::from_str(exported).into_iter::<Value>();
    let mut table = |name: &str| documents.next()?.ok()?[name].as_object().cloned();
    Some([table("topicConfigTable")?, table("subscriptionGroupTable")?])
}
