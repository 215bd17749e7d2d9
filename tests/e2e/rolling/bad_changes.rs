//! A bad change harms one pod at most, and undoing it heals that one.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{carried_out, lasting};
use crate::harness::cluster::{condition, conditions, name_of, uid_of};
use crate::harness::fixtures::{BROKER_JVM, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::node::is_ready;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};

/// What heals takes so much longer than the pod's own start at most.
const REACTION: Duration = seconds(15);

struct Bad {
    /// What it is.
    what: &'static str,
    /// The change.
    change: Value,
    /// What undoes it.
    undo: Value,
    /// What the condition `Degraded` names.
    words: &'static str,
}

/// From a pod's creation until it was ready, in whole seconds, the last one not to its end.
fn own_start(pod: &Value) -> Duration {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|one| one["type"] == "Ready");
    let at = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap().as_second();
    let took = at(&ready.unwrap()["lastTransitionTime"]) - at(&pod["metadata"]["creationTimestamp"]);
    seconds(u64::try_from(took).unwrap() + 1)
}

async fn harms_one_pod(bad: Bad) {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().replicas(1))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let before = rocketmq.broker_pods().await;
        rocketmq.change(bad.change).await;
        space
            .wait_for(&format!("the Broker tells of {}", bad.what), START, async || {
                let broker = rocketmq.broker().await;
                let degraded = condition(broker.as_ref(), "Degraded");
                if degraded.status == "True" && degraded.message.contains(bad.words) {
                    Ok(())
                } else {
                    Err(conditions(broker.as_ref()))
                }
            })
            .await;
        ledger.sends(500).await;
        let now = rocketmq.broker_pods().await;
        let lives_on = |pod: &Value| {
            let same = before.iter().find(|old| name_of(old) == name_of(pod));
            same.is_some_and(|old| uid_of(old) == uid_of(pod)) && is_ready(pod)
        };
        let harmed: Vec<_> = now.iter().filter(|pod| !lives_on(pod)).map(name_of).collect();
        assert_eq!(harmed, [rocketmq.pod_name(0, 1)], "{}", bad.what);

        let start = Instant::now();
        rocketmq.change(bad.undo).await;
        carried_out(&rocketmq).await;
        let healed = start.elapsed();
        let starts = own_start(&space.pod(&rocketmq.pod_name(0, 1)).await);
        println!(
            "{}: healed after {healed:.1?}, {starts:?} of them the pod's own start",
            bad.what
        );
        assert!(healed <= starts + REACTION, "{healed:?}, of them {starts:?}");
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(seconds(5));
    })
    .await;
}

#[tokio::test]
async fn an_image_that_is_not_there() {
    harms_one_pod(Bad {
        what: "an image that is not there",
        change: json!({ "brokerImage": "apache/rocketmq:5.5.0-typo", "imagePullPolicy": "Never" }),
        undo: json!({ "brokerImage": "apache/rocketmq:5.5.0", "imagePullPolicy": "IfNotPresent" }),
        words: "typo",
    })
    .await;
}

#[tokio::test]
async fn resources_that_no_node_has() {
    harms_one_pod(Bad {
        what: "resources that no node has",
        change: json!({ "resources": { "requests": { "cpu": "1000" } } }),
        undo: json!({ "resources": { "requests": { "cpu": "10m" } } }),
        words: "cannot be scheduled",
    })
    .await;
}

#[tokio::test]
async fn an_option_that_no_java_machine_knows() {
    harms_one_pod(Bad {
        what: "an option that no Java machine knows",
        change: json!({ "jvmOptions": format!("{BROKER_JVM} -XX:NoSuchOption") }),
        undo: json!({ "jvmOptions": BROKER_JVM }),
        words: "keeps ending",
    })
    .await;
}

#[tokio::test]
async fn a_key_of_the_broker_with_which_it_does_not_start() {
    harms_one_pod(Bad {
        what: "a key of the broker with which it does not start",
        change: json!({ "config": { "messageDelayLevel": "a while" } }),
        undo: json!({ "config": null }),
        words: "keeps ending",
    })
    .await;
}

#[tokio::test]
async fn a_config_map_that_is_not_there() {
    let env = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "nowhere", "key": "a" } } }]);
    harms_one_pod(Bad {
        what: "a ConfigMap that is not there",
        change: json!({ "env": env }),
        undo: json!({ "env": null }),
        words: "nowhere",
    })
    .await;
}
