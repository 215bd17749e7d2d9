//! What belongs to a cluster comes back when somebody deletes or edits it.

use serde_json::{Value, json};

use crate::harness::cluster::{name_of, uid_of};
use crate::harness::fixtures::{Storage, broker, name_service};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds};

/// Every object of these kinds that is not Kubernetes' own.
async fn children(space: &Space, kinds: &[&str]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for kind in kinds {
        for object in space.cluster.list(kind, &space.name, "").await {
            if name_of(&object) != "kube-root-ca.crt" {
                all.push(((*kind).to_owned(), object));
            }
        }
    }
    all
}

/// What the operator wants of an object, without what Kubernetes writes into it.
fn intent(object: &Value) -> Value {
    let mut intent =
        json!({ "labels": object["metadata"]["labels"], "data": object["data"], "spec": object["spec"] });
    if let Some(spec) = intent["spec"].as_object_mut() {
        for assigned in ["clusterIP", "clusterIPs"] {
            spec.remove(assigned);
        }
    }
    intent
}

async fn cluster(space: &Space) -> Rocketmq {
    let storage = Storage::StorageClass;
    space
        .start(&name_service("name-service"), &broker("broker").storage(&storage))
        .await
}

#[tokio::test]
async fn a_deleted_child_comes_back_and_no_pod_restarts_for_it() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = cluster(&space).await;
        let pods = rocketmq.pod_uids().await;
        let before = children(&space, &["ConfigMap", "PodDisruptionBudget", "Service"]).await;
        assert!(
            before.len() >= 9,
            "Services, ConfigMaps and budgets of one cluster: {}",
            before.len()
        );
        for (kind, object) in &before {
            space.delete(kind, name_of(object)).await;
        }
        for (kind, old) in &before {
            space
                .wait_for(
                    &format!("{kind} {} comes back", name_of(old)),
                    seconds(30),
                    async || {
                        let new = space.get(kind, name_of(old)).await.ok_or("it is gone")?;
                        if uid_of(&new) == uid_of(old) {
                            return Err("it is still the old one".into());
                        }
                        if intent(&new) == intent(old) {
                            Ok(())
                        } else {
                            Err(format!("{} is not {}", intent(&new), intent(old)))
                        }
                    },
                )
                .await;
        }
        rocketmq.wait_until_ready().await;
        assert_eq!(rocketmq.pod_uids().await, pods);
        rocketmq.messages_flow().await;
    })
    .await;
}

#[tokio::test]
async fn a_deleted_stateful_set_comes_back_with_its_data() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = cluster(&space).await;
        let sent = rocketmq.produce("broker-0-master-0").await;
        let old = space.get("StatefulSet", "broker-0-master").await.unwrap();
        for name in ["broker-0-master", "name-service"] {
            space.delete("StatefulSet", name).await;
        }
        space
            .wait_for("the StatefulSet comes back", seconds(60), async || {
                let new = space
                    .get("StatefulSet", "broker-0-master")
                    .await
                    .ok_or("it is gone")?;
                if uid_of(&new) == uid_of(&old) {
                    Err("it is still the old one".into())
                } else {
                    Ok(())
                }
            })
            .await;
        space
            .wait_for("the broker is listed again", START, async || {
                rocketmq.everything_is_listed().await
            })
            .await;
        rocketmq.wait_until_ready().await;
        rocketmq.consume("broker-0-master-0", &sent).await;
    })
    .await;
}

#[tokio::test]
async fn an_edited_child_becomes_what_it_was_and_no_pod_restarts_for_it() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        let rocketmq = cluster(&space).await;
        let pods = rocketmq.pod_uids().await;
        // Fields that the operator sets; what others add beside them is theirs.
        let edits = [
            (
                "Service",
                "broker-0-master",
                json!({ "spec": { "selector": { "app": "other" } } }),
            ),
            (
                "Service",
                "name-service-headless",
                json!({ "spec": { "publishNotReadyAddresses": false } }),
            ),
            (
                "ConfigMap",
                "broker-name-servers",
                json!({ "data": { "NAMESRV_ADDR": "elsewhere:9876" } }),
            ),
            (
                "ConfigMap",
                "broker-start",
                json!({ "data": { "start.sh": "exit 1" } }),
            ),
            ("ConfigMap", "broker-0-master-config", json!({ "data": null })),
            (
                "StatefulSet",
                "broker-0-master",
                json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 5 } } } }),
            ),
            (
                "PodDisruptionBudget",
                "broker-0-group",
                json!({ "spec": { "maxUnavailable": 0 } }),
            ),
        ];
        for (kind, name, edit) in edits {
            let before = space
                .get(kind, name)
                .await
                .unwrap_or_else(|| panic!("no {kind} {name}"));
            space.merge(kind, name, edit).await;
            space
                .wait_for(&format!("{kind} {name} is as before"), seconds(30), async || {
                    let now = space.get(kind, name).await.ok_or("it is gone")?;
                    if intent(&now) == intent(&before) {
                        Ok(())
                    } else {
                        Err(format!("{} is not {}", intent(&now), intent(&before)))
                    }
                })
                .await;
        }
        rocketmq.wait_until_ready().await;
        assert_eq!(rocketmq.pod_uids().await, pods);
    })
    .await;
}
