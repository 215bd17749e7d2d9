//! Name servers restart for a change, one at a time; who comes new finds a route at every moment.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::lasting;
use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::name_service;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds};
use crate::harness::wire;

/// A Java client that starts a new producer every second; each finds its route at the Service and sends one message.
fn newcomers(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "newcomers" },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 3000, "runAsGroup": 3000, "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "client", "image": image, "args": ["newcomers", "--topic", "parcels", "--seconds", "900"],
                "env": [{ "name": "NAMESRV_ADDR", "value": "name-service:9876" }],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

/// What became of each that came so far: nothing, or why it could not send.
async fn came(space: &Space) -> Vec<Option<String>> {
    let said = space.kubectl(&["logs", "newcomers"]).await;
    let events = said
        .out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .filter(|event| event["event"] == "newcomer")
        .map(|event| {
            event["error"]
                .as_str()
                .map(|error| format!("at {}: {error}", event["at"]))
        })
        .collect()
}

async fn some_come(space: &Space, what: &str, more: usize) {
    let before = came(space).await.len();
    space
        .wait_for(what, START, async || {
            let now = came(space).await.len();
            if now >= before + more {
                Ok(())
            } else {
                Err(format!("{now} came"))
            }
        })
        .await;
}

#[tokio::test]
async fn while_three_name_servers_roll_a_fresh_java_client_finds_its_route_every_second() {
    scenario(5, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service").size(3), &lasting())
            .await;
        let master = rocketmq.broker_address(0, 0).await;
        wire::put_topic(&master, "parcels", 4, 6).await.unwrap();
        let before = rocketmq.name_server_lives().await;
        let brokers = rocketmq.broker_lives().await;
        space.apply(&newcomers("rocketmq-tests/client:5.5.0")).await;
        some_come(&space, "clients come", 3).await;
        // Those of a JVM that has only just started may take longer to send than they have.
        let before_the_change = came(&space).await.len();

        let change = json!({ "resources": { "requests": { "cpu": "11m" } } });
        rocketmq.change_name_service(change).await;
        let mut narrowed = BTreeSet::new();
        space
            .wait_for("all three were restarted", seconds(600), async || {
                let now = rocketmq.name_server_lives().await;
                let live_on = now
                    .iter()
                    .filter(|(pod, life)| before.get(*pod) == Some(life))
                    .count();
                let selector = selector(&space).await;
                narrowed.insert(selector.len() > 2);
                let service = rocketmq.name_service().await;
                let steady = condition(service.as_ref(), "Progressing").reason == "Steady";
                if live_on == 0 && now.len() == 3 && steady {
                    Ok(())
                } else {
                    Err(format!("{live_on} live on; {}", conditions(service.as_ref())))
                }
            })
            .await;
        some_come(&space, "clients come after that", 3).await;
        let mut came = came(&space).await;
        came.drain(..before_the_change);
        let failed: Vec<_> = came.iter().flatten().collect();
        println!(
            "{} new clients came, {} found no route: {failed:?}",
            came.len(),
            failed.len()
        );
        assert!(came.len() > 10 && failed.is_empty(), "{failed:?}");
        assert!(
            narrowed.contains(&true),
            "the Service never led to informed name servers only"
        );
        assert_eq!(
            selector(&space).await.len(),
            2,
            "at rest the Service selects every name server"
        );
        rocketmq.no_broker_was_restarted(&brokers).await;
        rocketmq.everything_is_listed().await.unwrap();
    })
    .await;
}

async fn selector(space: &Space) -> serde_json::Map<String, Value> {
    let service = space.get("Service", "name-service").await.expect("the Service");
    service["spec"]["selector"].as_object().unwrap().clone()
}
