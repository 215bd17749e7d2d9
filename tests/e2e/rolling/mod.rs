//! A change is carried out while the ledger runs: one pod at a time, nothing is lost, and a bad one harms one pod.

mod bad_changes;
mod configuration;
mod losses;
mod name_servers;
mod resources;
mod switches;
mod upgrade;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::{Fixture, Storage, broker};
use crate::harness::lives::Replaced;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::wait::seconds;

/// Four brokers with two fences between them are restarted within this.
const ROLL: Duration = seconds(600);
/// Two groups: no producer may go without an acknowledged message for longer.
pub const GAP: Duration = seconds(5);

/// Brokers whose data outlives their pods.
pub fn lasting() -> Fixture {
    broker("broker").storage(&Storage::StorageClass)
}

/// Other resources than those of the fixtures.
pub fn other_resources(cpu: &str) -> Value {
    json!({ "resources": { "requests": { "cpu": cpu, "memory": "64Mi" }, "limits": { "memory": "1Gi" } } })
}

/// Waits until the Broker is Ready for the spec that it has now.
pub async fn carried_out(rocketmq: &Rocketmq) {
    rocketmq
        .space
        .wait_for("the change is carried out", ROLL, async || {
            let broker = rocketmq.broker().await.ok_or("it is not there")?;
            let ready = condition(Some(&broker), "Ready");
            let current = broker["status"]["observedGeneration"] == broker["metadata"]["generation"];
            if ready.status == "True" && current {
                rocketmq.everything_is_listed().await
            } else {
                Err(conditions(Some(&broker)))
            }
        })
        .await;
}

/// Changes the spec and waits until that is carried out; which pods were replaced, and how long it took.
async fn roll(rocketmq: &Rocketmq, change: Value) -> Replaced {
    let start = Instant::now();
    let story = async {
        rocketmq.change(change).await;
        carried_out(rocketmq).await;
    };
    let ((), replaced) = rocketmq.replaced_during(story).await;
    println!("{replaced:?} in {:.0?}", start.elapsed());
    replaced
}

/// The pods of these brokers, group and id each.
pub fn pods<const N: usize>(rocketmq: &Rocketmq, brokers: [(u64, u64); N]) -> Vec<String> {
    brokers.map(|(group, id)| rocketmq.pod_name(group, id)).to_vec()
}

/// Waits until a condition of the Broker has these words.
async fn says(rocketmq: &Rocketmq, words: &str, within: Duration) {
    rocketmq
        .space
        .wait_for(&format!("the Broker says {words:?}"), within, async || {
            let broker = rocketmq.broker().await;
            let said = conditions(broker.as_ref());
            if said.contains(words) { Ok(()) } else { Err(said) }
        })
        .await;
}
