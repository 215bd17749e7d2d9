//! What the Go operator leaves behind: the StatefulSets that it made, with its field manager and its owner references.

use serde::Deserialize as _;
use serde_json::{Value, json};

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};

use super::cluster::{name_of, repository, text, uid_of};
use super::fixtures::{BROKER_JVM, Fixture, Image, Storage, broker, config_map, name_service};
use super::node;
use super::rocketmq::Rocketmq;
use super::stage::Space;
use super::wait::START;

/// Makes a cluster of one group with a replica as the Go operator does, from objects that it really made; waits until it
/// serves. No operator may look after the namespace.
pub async fn makes(space: &Space, image: Image) -> Rocketmq {
    let storage = Storage::StorageClass;
    let servers = name_service("name-service").image(image).storage(&storage);
    let volumes = json!([{ "name": "broker-config", "configMap": { "name": "broker-config" } }]);
    let brokers = broker("broker")
        .replicas(1)
        .image(image)
        .storage(&storage)
        .with("spec.jvmOptions", Value::Null)
        .with("spec.env", json!([{ "name": "BROKER_MEM", "value": BROKER_JVM }]))
        .with("spec.volumes", volumes);
    let common = "brokerRole=ASYNC_MASTER\ndeleteWhen=04\nfileReservedTime=48\nflushDiskType=ASYNC_FLUSH\n";
    space
        .apply(&config_map(
            "broker-config",
            &json!({ "broker-common.conf": common }),
        ))
        .await;
    let rocketmq = space.begin(&servers, &brokers).await;

    let made = recorded();
    let of = |name: &str| made.iter().find(|set| name_of(set) == name).cloned().unwrap();
    create(space, of("name-service"), (&servers, "nameServiceImage"), "").await;
    let list = space
        .wait_for("the name server runs", START, async || {
            let pods = rocketmq.name_server_pods().await;
            let ready = pods.iter().find(|pod| node::is_ready(pod));
            ready
                .map(|pod| format!("{}:9876;", text(pod, "/status/podIP")))
                .ok_or_else(|| "not yet".into())
        })
        .await;
    for name in ["broker-0-master", "broker-0-replica-1"] {
        create(space, of(name), (&brokers, "brokerImage"), &list).await;
    }
    status(
        space,
        "NameService",
        "name-service",
        json!({ "nameServers": [list.trim_end_matches(":9876;")] }),
    )
    .await;
    let nodes = ["broker-0-master-0", "broker-0-replica-1-0"];
    status(space, "Broker", "broker", json!({ "nodes": nodes, "size": 1 })).await;
    space
        .wait_for("the name server lists both brokers", START, async || {
            rocketmq.everything_is_listed().await
        })
        .await;
    rocketmq
}

fn recorded() -> Vec<Value> {
    let path = repository().join("tests/fixtures/go-operator/statefulsets.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut documents = serde_yaml_ng::Deserializer::from_str(&text);
    let list = Value::deserialize(documents.next().unwrap()).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Creates a recorded StatefulSet here, with what differs between that cluster and this one.
async fn create(space: &Space, mut set: Value, (owner, image): (&Fixture, &str), list: &str) {
    let kind = text(owner, "/kind");
    let stored = space.get(kind, owner.name()).await.unwrap();
    let mut reference = set["metadata"]["ownerReferences"][0].clone();
    reference["uid"] = json!(uid_of(&stored));
    set["metadata"] =
        json!({ "name": name_of(&set), "namespace": space.name, "ownerReferences": [reference] });
    set.as_object_mut().unwrap().remove("status");
    let claims = &stored["spec"]["volumeClaimTemplates"];
    set["spec"]["volumeClaimTemplates"] = claims.clone();
    let container = &mut set["spec"]["template"]["spec"]["containers"][0];
    container["image"] = stored["spec"][image].clone();
    container["resources"] = stored["spec"]["resources"].clone();
    if let Some(env) = container["env"].as_array_mut() {
        for var in env.iter_mut().filter(|var| var["name"] == "NAMESRV_ADDR") {
            var["value"] = json!(list);
        }
        env.extend(stored["spec"]["env"].as_array().unwrap().clone());
    }
    let object: DynamicObject = serde_json::from_value(set).unwrap();
    let params = PostParams {
        field_manager: Some("manager".to_owned()),
        ..PostParams::default()
    };
    let api = space.cluster.api("StatefulSet", &space.name);
    api.create(&params, &object).await.unwrap();
}

async fn status(space: &Space, kind: &str, name: &str, status: Value) {
    let patch = Patch::Merge(json!({ "status": status }));
    let api = space.cluster.api(kind, &space.name);
    api.patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}
