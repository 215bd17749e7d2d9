//! Volumes that are to become larger. The local provisioner resizes nothing, so what is seen is what the operator does: the
//! claims ask for more, the StatefulSets are made anew, and nothing restarts.

use serde_json::{Value, json};

use crate::harness::cluster::{condition, text, uid_of};
use crate::harness::fixtures::{Fixture, broker, name_service};
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds};

const CLAIM: &str = "broker-storage-broker-0-master-0";

fn claims(class: &str, size: &str) -> Value {
    json!([{ "metadata": { "name": "broker-storage" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": { "requests": { "storage": size } } } }])
}

fn brokers(class: &str) -> Fixture {
    broker("broker")
        .with("spec.storageMode", json!("StorageClass"))
        .with("spec.volumeClaimTemplates", claims(class, "1Gi"))
}

async fn size(space: &Space) -> String {
    let claim = space.get("PersistentVolumeClaim", CLAIM).await.unwrap();
    text(&claim, "/spec/resources/requests/storage").to_owned()
}

#[tokio::test]
async fn a_larger_size_reaches_the_claims_and_restarts_nothing() {
    scenario(2, async |stage| {
        let space = stage.restricted_namespace().await;
        let class = format!("growing-{}", space.name);
        let can_grow = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": class },
            "provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
            "allowVolumeExpansion": true,
        });
        stage.cluster.try_apply(&can_grow).await.unwrap();
        let rocketmq = space.start(&name_service("name-service"), &brokers(&class)).await;
        let before = rocketmq.broker_lives().await;
        let set = space.get("StatefulSet", "broker-0-master").await.unwrap();
        rocketmq.change(json!({ "volumeClaimTemplates": claims(&class, "3Gi") })).await;
        space
            .wait_for("the set is made anew around its pod", START, async || {
                let now = space.get("StatefulSet", "broker-0-master").await.ok_or("there is none")?;
                let asked = text(&now, "/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
                let pod = space.pod("broker-0-master-0").await;
                let owner = text(&pod, "/metadata/ownerReferences/0/uid");
                if uid_of(&now) != uid_of(&set) && asked == "3Gi" && owner == uid_of(&now) {
                    Ok(())
                } else {
                    Err(format!("{asked}, the pod belongs to {owner}"))
                }
            })
            .await;
        assert_eq!(size(&space).await, "3Gi");
        rocketmq.wait_until_ready().await;
        rocketmq.no_broker_was_restarted(&before).await;
        stage.cluster.delete("StorageClass", "", &class).await;
    })
    .await;
}

#[tokio::test]
async fn where_the_class_cannot_grow_volumes_the_status_says_so() {
    scenario(2, async |stage| {
        let space = stage.restricted_namespace().await;
        let class = "rocketmq-storage";
        let rocketmq = space.start(&name_service("name-service"), &brokers(class)).await;
        let before = rocketmq.broker_lives().await;
        rocketmq
            .change(json!({ "volumeClaimTemplates": claims(class, "3Gi") }))
            .await;
        let told = space
            .wait_for("the Broker is degraded", seconds(60), async || {
                let told = condition(rocketmq.broker().await.as_ref(), "Degraded");
                if told.reason == "VolumeNotGrown" {
                    Ok(told)
                } else {
                    Err(told.message)
                }
            })
            .await;
        println!("{}", told.message);
        assert!(
            told.message
                .contains("allowVolumeExpansion: true on StorageClass \"rocketmq-storage\"")
        );
        assert_eq!(size(&space).await, "1Gi");
        rocketmq.no_broker_was_restarted(&before).await;
    })
    .await;
}
