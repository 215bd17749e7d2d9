//! What users switch: no restart, no write at all.

use serde_json::{Value, json};

use super::{carried_out, lasting, other_resources, pods};
use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::name_service;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::seconds;

#[tokio::test]
async fn without_leave_to_restart_a_change_is_told_and_comes_with_the_next_restart() {
    scenario(2, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space.start(&name_service("name-service"), &lasting()).await;
        let before = rocketmq.broker_lives().await;
        let mut change = other_resources("11m");
        change["allowRestart"] = json!(false);
        rocketmq.change(change).await;
        super::says(&rocketmq, "RestartNotAllowed", seconds(60)).await;
        rocketmq.no_broker_was_restarted(&before).await;

        // It restarts anyway, and comes back with the change, once.
        let story = async {
            space.delete("Pod", &rocketmq.pod_name(0, 0)).await;
            super::says(&rocketmq, "Degraded=False", seconds(180)).await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 0)]));
        let pod = rocketmq.pod(0, 0).await;
        assert_eq!(
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"],
            "11m"
        );
    })
    .await;
}

const KINDS: [(&str, &str); 2] = [("NameService", "name-service"), ("Broker", "broker")];

async fn pause(space: &Space, paused: Value) {
    let patch = json!({ "metadata": { "annotations": { "rocketmq.apache.org/paused": paused } } });
    for (kind, name) in KINDS {
        space.merge(kind, name, patch.clone()).await;
    }
}

/// Waits until the operator has looked at both as they are now, and says that they are paused.
async fn both_are_paused(space: &Space) {
    for (kind, name) in KINDS {
        space
            .wait_for(&format!("{kind} is paused"), seconds(60), async || {
                let object = space.get(kind, name).await.ok_or("it is not there")?;
                let seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
                if seen && condition(Some(&object), "Progressing").reason == "Paused" {
                    Ok(())
                } else {
                    Err(conditions(Some(&object)))
                }
            })
            .await;
    }
}

#[tokio::test]
async fn while_paused_nothing_is_written_and_afterwards_what_was_asked_for_meanwhile_is_carried_out() {
    scenario(3, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().replicas(1))
            .await;
        pause(&space, json!("true")).await;
        both_are_paused(&space).await;

        let (brokers, servers) = (rocketmq.broker_lives().await, rocketmq.name_server_lives().await);
        let sets = async || {
            let mut generations = Vec::new();
            for name in ["name-service", "broker-0-master", "broker-0-replica-1"] {
                let set = space.get("StatefulSet", name).await.expect("the set");
                generations.push(set["metadata"]["generation"].clone());
            }
            generations
        };
        let before = sets().await;
        let budgets = ["name-service-name-service", "broker-0-group"];
        for budget in budgets {
            space.delete("PodDisruptionBudget", budget).await;
        }
        rocketmq.change(other_resources("11m")).await;
        rocketmq
            .change_name_service(json!({ "resources": { "requests": { "cpu": "11m" } } }))
            .await;
        both_are_paused(&space).await;
        assert_eq!(sets().await, before);
        for budget in budgets {
            assert!(
                space.get("PodDisruptionBudget", budget).await.is_none(),
                "{budget} came back"
            );
        }
        rocketmq.no_broker_was_restarted(&brokers).await;
        assert_eq!(rocketmq.name_server_lives().await, servers);

        let story = async {
            pause(&space, Value::Null).await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 1), (0, 0)]));
        for budget in budgets {
            assert!(
                space.get("PodDisruptionBudget", budget).await.is_some(),
                "{budget} is missing"
            );
        }
        space
            .wait_for("the name server was restarted", seconds(300), async || {
                let now = rocketmq.name_server_lives().await;
                if now.len() == 1 && now.iter().all(|(pod, life)| servers.get(pod) != Some(life)) {
                    Ok(())
                } else {
                    Err(format!("{now:?}"))
                }
            })
            .await;
        rocketmq.wait_until_ready().await;
        rocketmq.messages_flow().await;
    })
    .await;
}
