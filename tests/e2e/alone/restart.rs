//! A running client keeps the address of a broker's Service, so it need not learn that the pod behind it is another one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::cluster::{text, uid_of};
use crate::harness::fixtures::{Image, Storage, broker, name_service};
use crate::harness::node;
use crate::harness::stage::{Space, alone};
use crate::harness::wait::seconds;

/// From the pod's being ready until a send is acknowledged.
const AT_MOST_MS: u64 = 3000;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A Java client that sends to every broker, one message every 20 ms.
fn probe(version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "probe" },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "client", "image": format!("rocketmq-tests/client:{version}"),
                "args": ["probe", "--topic", "probe", "--seconds", "300", "--timeout-ms", "1000"],
                "env": [{ "name": "NAMESRV_ADDR", "value": "name-service:9876" }],
            }],
        },
    })
}

/// The moments when the probe's sends began to be acknowledged again.
async fn recoveries(space: &Space) -> Vec<u64> {
    let said = space.kubectl(&["logs", "probe"]).await;
    let events = said
        .out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|e| e["event"] == "change" && e["to"] == "ok")
        .map(|e| e["at"].as_u64().unwrap())
        .collect()
}

async fn a_running_client_recovers(version: &'static str) {
    alone(async |stage| {
        let space = stage.namespace().await;
        let image = Image::Official(version);
        let brokers = broker("broker").image(image).storage(&Storage::StorageClass);
        let rocketmq = space
            .start(&name_service("name-service").image(image), &brokers)
            .await;
        space.apply(&probe(version)).await;
        space
            .wait_for("the probe sends", seconds(60), async || {
                let said = space.kubectl(&["logs", "probe"]).await;
                if said.out.contains("\"start\"") {
                    Ok(())
                } else {
                    Err(said.all())
                }
            })
            .await;
        let pod = rocketmq.pod_name(0, 0);
        let old = space.pod(&pod).await;
        let before = recoveries(&space).await.len();
        let deleted = now_ms();
        space.delete("Pod", &pod).await;
        let new = space
            .wait_for("another pod is ready", seconds(120), async || {
                let now = space.get("Pod", &pod).await.ok_or("there is none")?;
                if uid_of(&now) != uid_of(&old) && node::is_ready(&now) {
                    Ok(now)
                } else {
                    Err("not yet".into())
                }
            })
            .await;
        // Seen up to one look late.
        let ready = now_ms() - 250;
        assert_ne!(
            text(&new, "/status/podIP"),
            text(&old, "/status/podIP"),
            "the pod has the same address by chance"
        );
        let ok = space
            .wait_for("sends are acknowledged again", seconds(60), async || {
                let all = recoveries(&space).await;
                all.get(before).copied().ok_or_else(|| "not yet".into())
            })
            .await;
        let after_ready = i128::from(ok) - i128::from(ready);
        println!(
            "{version}: ready {} ms after the deletion, sends back {after_ready} ms after that",
            ready - deleted
        );
        assert!(
            ok <= ready + AT_MOST_MS,
            "sends came back {after_ready} ms after the pod was ready"
        );
    })
    .await;
}

#[tokio::test]
async fn a_4_9_7_client_sends_again_within_3_s_of_the_brokers_pod_being_ready() {
    a_running_client_recovers("4.9.7").await;
}

#[tokio::test]
async fn a_5_5_0_client_sends_again_within_3_s_of_the_brokers_pod_being_ready() {
    a_running_client_recovers("5.5.0").await;
}
