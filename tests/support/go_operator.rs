//! A cluster as the Go operator made it: real objects of it, put into the world as if it had just gone.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::FakeApi;
use super::world::World;

/// The Broker of the fixtures, of two groups with a replica each.
pub const BROKER: &str = "mq/broker";
/// The NameService of the fixtures.
pub const NAME_SERVICE: &str = "mq/name-service";
/// The broker pods of the fixtures.
pub const PODS: [&str; 4] = [
    "broker-0-master-0",
    "broker-0-replica-1-0",
    "broker-1-master-0",
    "broker-1-replica-1-0",
];

fn fixture(name: &str) -> Value {
    let path = format!(
        "{}/tests/fixtures/go-operator/{name}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{path}: {err}"));
    let mut documents = serde_yaml_ng::Deserializer::from_str(&text);
    Value::deserialize(documents.next().unwrap()).unwrap()
}

/// What a user wrote, and the status that the Go operator left; `change` is what this story's user wrote otherwise.
fn custom_resources(world: &World, change: impl Fn(&mut Value)) {
    for name in ["nameservice", "broker"] {
        let mut object = fixture(name);
        let metadata = json!({"name": object["metadata"]["name"], "namespace": "mq"});
        let status = object["status"].take();
        object["metadata"] = metadata;
        change(&mut object);
        let full = format!("mq/{}", object["metadata"]["name"].as_str().unwrap());
        if name == "broker" {
            world.apply::<Broker>(serde_json::from_value::<Broker>(object).unwrap());
            world.edit_status::<Broker>(&full, &status);
        } else {
            world.apply::<NameService>(serde_json::from_value::<NameService>(object).unwrap());
            world.edit_status::<NameService>(&full, &status);
        }
    }
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "broker-config"}, "data": {"broker-common.conf": "brokerRole=ASYNC_MASTER\n"}}))
    .unwrap();
    world.apply::<ConfigMap>(map);
}

/// Makes the StatefulSets whose names are as wanted, as the Go operator did when these were the name servers.
fn sets(world: &World, name_servers: &str, wanted: impl Fn(&str) -> bool, change: impl Fn(&mut Value)) {
    let mut all = fixture("statefulsets")["items"].as_array().unwrap().clone();
    // The recording has three of the four: the last one is as the other replica.
    let replica = all
        .iter()
        .find(|set| set["metadata"]["name"] == "broker-0-replica-1");
    let text = replica.unwrap().to_string().replace("broker-0", "broker-1");
    all.push(serde_json::from_str(&text).unwrap());
    for mut set in all {
        let name = set["metadata"]["name"].as_str().unwrap().to_owned();
        if !wanted(&name) {
            continue;
        }
        let mut owner = set["metadata"]["ownerReferences"][0].clone();
        owner["uid"] = json!(if name == "name-service" {
            world.get::<NameService>(NAME_SERVICE).uid()
        } else {
            world.get::<Broker>(BROKER).uid()
        });
        set["metadata"] = json!({"name": name, "namespace": "mq", "ownerReferences": [owner]});
        let env = &mut set["spec"]["template"]["spec"]["containers"][0]["env"];
        for var in env.as_array_mut().into_iter().flatten() {
            if var["name"] == "NAMESRV_ADDR" {
                var["value"] = json!(name_servers);
            }
        }
        change(&mut set);
        let key = FakeApi::key::<StatefulSet>(&format!("mq/{name}"));
        world.api.objects(|objects| objects.create(&key, set)).unwrap();
    }
}

/// A world that the Go operator has just left: every pod runs, and no other operator has looked at it.
pub fn left_behind() -> World {
    left_behind_with(|_| {})
}

/// The same with other custom resources and StatefulSets.
pub fn left_behind_with(change: impl Fn(&mut Value)) -> World {
    let mut world = World::default();
    custom_resources(&world, &change);
    sets(&world, "", |name| name == "name-service", &change);
    world.kubelet.step();
    world.kubelet.step();
    let list = name_servers(&world);
    sets(&world, &list, |name| name != "name-service", &change);
    world.kubelet.step();
    world.kubelet.step();
    world.api.writes();
    world
}

/// `ip:9876;ip:9876;` as the Go operator wrote it.
fn name_servers(world: &World) -> String {
    let pods = world.api.all::<Pod>().into_iter();
    pods.filter_map(|pod| Some(format!("{}:9876;", pod.status?.pod_ip?)))
        .collect()
}
