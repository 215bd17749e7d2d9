//! What is wrong is refused, or told with the field and the remedy; nothing else is disturbed; it heals when mended.

use serde_json::{Value, json};

use crate::harness::cluster::{condition, conditions, name_of};
use crate::harness::fixtures::{Fixture, STORAGE_CLASS, Storage, broker, config_map, name_service};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::seconds;

/// A healthy cluster in the same namespace, which must not notice anything.
struct Neighbour {
    cluster: Rocketmq,
    pods: Vec<(String, String)>,
}

impl Neighbour {
    async fn moves_in(space: &Space) -> Self {
        let cluster = space
            .start(&name_service("names"), &broker("neighbour").at("names"))
            .await;
        let pods = cluster.pod_uids().await;
        Self { cluster, pods }
    }

    async fn noticed_nothing(&self) {
        assert_eq!(
            self.cluster.pod_uids().await,
            self.pods,
            "a pod of the neighbour was restarted"
        );
        let broker = self.cluster.broker().await;
        assert_eq!(
            condition(broker.as_ref(), "Ready").status,
            "True",
            "{}",
            conditions(broker.as_ref())
        );
        self.cluster.everything_is_listed().await.unwrap();
    }
}

/// Waits until the Broker `orders` is not Ready and a condition that tells of the trouble has all these words.
async fn is_told(space: &Space, words: &[&str]) -> Value {
    space
        .wait_for(
            &format!("Broker orders tells of {words:?}"),
            seconds(60),
            async || {
                let broker = space.get("Broker", "orders").await.ok_or("it is not there")?;
                let ready = condition(Some(&broker), "Ready");
                let degraded = condition(Some(&broker), "Degraded");
                let told = if degraded.status == "True" {
                    &degraded.message
                } else {
                    ""
                };
                if ready.status == "False" && words.iter().all(|word| told.contains(word)) {
                    Ok(broker)
                } else {
                    Err(conditions(Some(&broker)))
                }
            },
        )
        .await
}

async fn heals(space: &Space) {
    let broker = space.wait_until_ready("Broker", "orders").await;
    assert_ne!(
        condition(Some(&broker), "Degraded").status,
        "True",
        "{}",
        conditions(Some(&broker))
    );
}

async fn started_nothing(space: &Space) {
    let sets = space.cluster.list("StatefulSet", &space.name, "").await;
    let mine: Vec<&str> = sets
        .iter()
        .map(name_of)
        .filter(|n| n.starts_with("orders-"))
        .collect();
    assert!(mine.is_empty(), "started in spite of it: {mine:?}");
}

async fn is_refused(object: &Fixture, words: &[&str]) {
    scenario(0, async |stage| {
        let space = stage.namespace().await;
        let why = space.try_apply(object).await.expect_err("the API server took it");
        assert!(
            words.iter().all(|word| why.contains(word)),
            "it does not name {words:?}: {why}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_negative_size_is_refused() {
    is_refused(&broker("orders").with("spec.size", json!(-1)), &["spec.size"]).await;
    is_refused(
        &name_service("names").with("spec.size", json!(-1)),
        &["spec.size"],
    )
    .await;
    is_refused(
        &broker("orders").with("spec.replicaPerGroup", json!(-1)),
        &["spec.replicaPerGroup"],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_storage_mode_is_refused() {
    is_refused(
        &broker("orders").with("spec.storageMode", json!("Tape")),
        &["spec.storageMode", "Tape"],
    )
    .await;
    is_refused(
        &name_service("names").with("spec.storageMode", json!("Tape")),
        &["spec.storageMode", "Tape"],
    )
    .await;
}

#[tokio::test]
async fn a_name_too_long_for_its_children_is_refused() {
    let long = "o".repeat(60);
    is_refused(&broker(&long), &["metadata.name"]).await;
    is_refused(&name_service(&long), &["metadata.name"]).await;
}

#[tokio::test]
async fn two_name_services_and_none_named_is_told_and_heals() {
    scenario(5, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        space.apply(&name_service("more-names")).await;
        space.apply(&broker("orders")).await;
        is_told(&space, &["nameService", "more-names", "names"]).await;
        started_nothing(&space).await;
        neighbour.noticed_nothing().await;
        space.apply(&broker("orders").at("more-names")).await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn no_name_service_at_all_is_told_and_heals() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        space.apply(&broker("orders")).await;
        is_told(&space, &["NameService"]).await;
        started_nothing(&space).await;
        space.apply(&name_service("names")).await;
        heals(&space).await;
    })
    .await;
}

#[tokio::test]
async fn a_name_service_that_is_not_there_is_told_and_heals() {
    scenario(4, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        space.apply(&broker("orders").at("nobody")).await;
        is_told(&space, &["nameService", "nobody"]).await;
        neighbour.noticed_nothing().await;
        space.apply(&name_service("nobody")).await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_missing_storage_class_is_told_and_heals() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        let class = format!("{}-class", space.name);
        let mut wrong = broker("orders").at("names").storage(&Storage::StorageClass);
        let mut claims = wrong["spec"]["volumeClaimTemplates"].clone();
        claims[0]["spec"]["storageClassName"] = json!(class);
        wrong = wrong.with("spec.volumeClaimTemplates", claims);
        space.apply(&wrong).await;
        is_told(&space, &["volumeClaimTemplates", &class]).await;
        neighbour.noticed_nothing().await;

        let mut made = space
            .cluster
            .get("StorageClass", "", STORAGE_CLASS)
            .await
            .unwrap();
        made["metadata"] = json!({ "name": class, "labels": { "rocketmq-e2e": "true" } });
        space.cluster.try_apply(&made).await.unwrap();
        heals(&space).await;
        neighbour.noticed_nothing().await;
        space.cluster.delete("StorageClass", "", &class).await;
    })
    .await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told_and_heals() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        let right = broker("orders").at("names");
        // The address range for benchmarks: nobody answers there.
        let image = "198.19.255.255:5000/rocketmq:none";
        space
            .apply(&right.clone().with("spec.brokerImage", json!(image)))
            .await;
        is_told(&space, &["brokerImage", image]).await;
        neighbour.noticed_nothing().await;
        space.apply(&right).await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_config_map_that_is_not_there_is_told_and_heals() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        let volumes = json!([{ "name": "broker-config", "configMap": { "name": "orders-config" } }]);
        space
            .apply(&broker("orders").at("names").with("spec.volumes", volumes))
            .await;
        is_told(&space, &["volumes", "orders-config"]).await;
        neighbour.noticed_nothing().await;
        let conf = json!({ "broker-common.conf": "fileReservedTime=12\n" });
        space.apply(&config_map("orders-config", &conf)).await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
        let conf = space
            .rocketmq("names", "orders")
            .exec("orders-0-master-0", "cat /rocketmq/run/broker.conf")
            .await
            .done();
        assert!(conf.contains("fileReservedTime=12"), "{conf}");
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_of_somebody_else_is_left_alone_and_told() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        let labels = json!({ "app": "somebody" });
        let owner = space.apply(&config_map("somebody", &json!({}))).await;
        let theirs = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": "orders-0-master",
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "ConfigMap", "name": "somebody", "uid": owner["metadata"]["uid"], "controller": true,
                }],
            },
            "spec": {
                "replicas": 0, "serviceName": "", "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "none" }] } },
            },
        });
        let theirs = space.apply(&theirs).await;
        space.apply(&broker("orders").at("names")).await;
        is_told(&space, &["orders-0-master", "somebody"]).await;
        neighbour.noticed_nothing().await;
        let now = space.get("StatefulSet", "orders-0-master").await.expect("theirs stays");
        assert_eq!(now["metadata"]["uid"], theirs["metadata"]["uid"]);
        assert_eq!(now["spec"], theirs["spec"]);
        assert_eq!(now["metadata"]["ownerReferences"], theirs["metadata"]["ownerReferences"]);
        space.delete("StatefulSet", "orders-0-master").await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn controller_mode_starts_nothing_and_is_told() {
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let neighbour = Neighbour::moves_in(&space).await;
        let right = broker("orders").at("names");
        space
            .apply(&right.clone().with("spec.clusterMode", json!("CONTROLLER")))
            .await;
        is_told(&space, &["clusterMode", "STATIC"]).await;
        started_nothing(&space).await;
        neighbour.noticed_nothing().await;
        space
            .apply(&right.with("spec.clusterMode", json!("STATIC")))
            .await;
        heals(&space).await;
        neighbour.noticed_nothing().await;
    })
    .await;
}
