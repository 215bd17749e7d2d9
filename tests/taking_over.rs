//! Clusters that the Go operator made, one sentence a test. The objects are real ones of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use rocketmq_operator::admin::ORDER_TOPICS;
use rocketmq_operator::api::{Broker, NameService};
use serde_json::{Value, json};
use support::go_operator::{BROKER, NAME_SERVICE, PODS, left_behind, left_behind_with};
use support::rolling::time_passes;
use support::world::World;

fn uids(world: &World) -> BTreeMap<String, String> {
    let pods = world.api.all::<Pod>().into_iter();
    pods.map(|pod| (pod.name_any(), pod.uid().unwrap())).collect()
}

fn sets(world: &World) -> BTreeMap<String, StatefulSet> {
    let sets = world.api.all::<StatefulSet>().into_iter();
    sets.map(|set| (set.name_any(), set)).collect()
}

fn ip(world: &World, pod: &str) -> String {
    world
        .get::<Pod>(&format!("mq/{pod}"))
        .status
        .unwrap()
        .pod_ip
        .unwrap()
}

fn list(world: &World) -> String {
    world
        .get::<ConfigMap>("mq/broker-name-servers")
        .data
        .unwrap()
        .remove("NAMESRV_ADDR")
        .unwrap()
}

fn runs_with(world: &World, pod: &str) -> String {
    let broker = world
        .rocketmq
        .broker_at(&format!("{}:10911", ip(world, pod)))
        .unwrap();
    broker.whole_config().get("namesrvAddr").unwrap().to_owned()
}

fn says<K>(world: &World, name: &str, words: &str)
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + serde::Serialize,
{
    let told = world.conditions::<K>(name);
    assert!(
        told.iter().any(|line| line.contains(words)),
        "{words:?} is not in {told:#?}"
    );
}

fn is_ready(world: &World) {
    assert!(
        world.ready::<Broker>(BROKER),
        "{:#?}",
        world.conditions::<Broker>(BROKER)
    );
    assert!(
        world.ready::<NameService>(NAME_SERVICE),
        "{:#?}",
        world.conditions::<NameService>(NAME_SERVICE)
    );
}

/// Until nothing changes; brokers register anew, as they do every 30 s.
async fn settle(world: &mut World) {
    for _ in 0..5 {
        world.settle().await;
        world.rocketmq.register_all();
    }
}

async fn taken_over() -> World {
    let mut world = left_behind();
    settle(&mut world).await;
    is_ready(&world);
    world
}

fn restart(world: &World, kind: &str, at: &str) {
    let wish = json!({"metadata": {"annotations": {"rocketmq.apache.org/restartedAt": at}}});
    if kind == "Broker" {
        world.edit::<Broker>(BROKER, &wish);
    } else {
        world.edit::<NameService>(NAME_SERVICE, &wish);
    }
}

/// Reconciles step by step until nothing changes; which pods were replaced in what order. At no step is more than one of a
/// custom resource away.
async fn rolled(world: &mut World) -> Vec<String> {
    let (mut seen, mut order, mut quiet) = (uids(world), Vec::new(), 0);
    for _ in 0..200 {
        let version = world.api.objects(|objects| objects.version());
        world.reconcile_all().await.unwrap();
        let now = uids(world);
        let away: Vec<_> = seen.keys().filter(|pod| !now.contains_key(*pod)).collect();
        for cluster in ["broker", "name-service"] {
            let away = away.iter().filter(|pod| pod.starts_with(cluster)).count();
            assert!(away <= 1, "{away} of {cluster} are away at the same time");
        }
        world.kubelet.step();
        world.rocketmq.register_all();
        time_passes(world, BROKER);
        for (pod, uid) in uids(world) {
            if seen
                .insert(pod.clone(), uid.clone())
                .is_some_and(|before| before != uid)
            {
                order.push(pod);
            }
        }
        quiet = if world.api.objects(|objects| objects.version()) == version {
            quiet + 1
        } else {
            0
        };
        if quiet > 2 {
            return order;
        }
    }
    panic!(
        "no end: {:#?} {:#?}",
        world.conditions::<Broker>(BROKER),
        world.conditions::<NameService>(NAME_SERVICE)
    );
}

#[tokio::test]
async fn a_running_cluster_is_owned_without_a_restart_and_without_a_changed_template() {
    let mut world = left_behind();
    let (pods, before) = (uids(&world), sets(&world));
    settle(&mut world).await;
    is_ready(&world);
    assert_eq!(uids(&world), pods);
    for (name, set) in sets(&world) {
        assert_eq!(set.spec, before[&name].spec, "{name}");
        assert_eq!(
            set.metadata.generation, before[&name].metadata.generation,
            "{name}"
        );
        assert_eq!(set.labels()["app.kubernetes.io/managed-by"], "rocketmq-operator");
    }
    says::<Broker>(
        &world,
        BROKER,
        "Progressing=False TakenOver: 4 StatefulSets, broker-0-master",
    );
    says::<NameService>(&world, NAME_SERVICE, "Progressing=False TakenOver");
    assert_eq!(list(&world), format!("{}:9876", ip(&world, "name-service-0")));
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.restart_operator();
    settle(&mut world).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    assert_eq!(uids(&world), pods);
}

#[tokio::test]
async fn running_brokers_are_told_nothing_when_they_are_taken_over() {
    let mut world = left_behind();
    let before = runs_with(&world, PODS[0]);
    settle(&mut world).await;
    assert!(
        world.rocketmq.changes().is_empty(),
        "{:?}",
        world.rocketmq.changes()
    );
    assert_eq!(runs_with(&world, PODS[0]), before);
}

#[tokio::test]
async fn a_wish_to_restart_brings_one_roll_on_the_same_volumes_without_the_hook_and_at_the_same_addresses() {
    let mut world = taken_over().await;
    let (pods, claims) = (uids(&world), world.names::<PersistentVolumeClaim>());
    restart(&world, "Broker", "today");
    let order = rolled(&mut world).await;
    assert_eq!(order, [PODS[1], PODS[0], PODS[3], PODS[2]]);
    is_ready(&world);
    assert_eq!(uids(&world)["name-service-0"], pods["name-service-0"]);
    assert_eq!(world.names::<PersistentVolumeClaim>(), claims);
    for pod in PODS {
        let spec = world.get::<Pod>(&format!("mq/{pod}")).spec.unwrap();
        let container = &spec.containers[0];
        assert!(container.lifecycle.is_none(), "{pod}: {:?}", container.lifecycle);
        let store = container.volume_mounts.as_ref().unwrap();
        let store = store
            .iter()
            .find(|mount| mount.mount_path == "/rocketmq/store")
            .unwrap();
        assert_eq!(store.name, "broker-storage");
        assert_eq!(
            store.sub_path.as_deref(),
            pod.strip_suffix("-0")
                .map(|set| format!("store/{set}"))
                .as_deref()
        );
        let advertised = container
            .env
            .iter()
            .flatten()
            .find(|var| var.name == "ROCKETMQ_ADVERTISED_ADDRESS");
        let path = advertised
            .unwrap()
            .value_from
            .as_ref()
            .unwrap()
            .field_ref
            .as_ref()
            .unwrap();
        assert_eq!(path.field_path, "status.podIP", "{pod}");
    }
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert_eq!(world.api.writes(), Vec::<String>::new());
    assert!(rolled(&mut world).await.is_empty());
}

#[tokio::test]
async fn a_changed_spec_rolls_a_cluster_that_was_taken_over_and_carries_out_all_of_it() {
    let mut world = taken_over().await;
    world.edit::<Broker>(BROKER, &json!({"spec": {"jvmOptions": "-Xmx1g"}}));
    assert_eq!(rolled(&mut world).await.len(), 4);
    is_ready(&world);
    for set in sets(&world)
        .values()
        .filter(|set| set.name_any() != "name-service")
    {
        let spec = set.spec.as_ref().unwrap();
        assert_eq!(spec.pod_management_policy.as_deref(), Some("Parallel"));
        assert_eq!(
            spec.update_strategy.as_ref().unwrap().type_.as_deref(),
            Some("OnDelete")
        );
    }
}

#[tokio::test]
async fn the_wish_to_restart_gives_name_servers_names_that_stay_and_restarts_no_broker() {
    let mut world = taken_over().await;
    let pods = uids(&world);
    restart(&world, "NameService", "today");
    assert_eq!(rolled(&mut world).await, ["name-service-0"]);
    is_ready(&world);
    let name = "name-service-0.name-service-headless.mq.svc:9876";
    assert_eq!(list(&world), name);
    for pod in PODS {
        assert_eq!(uids(&world)[pod], pods[pod]);
        assert_eq!(runs_with(&world, pod), name);
    }
}

#[tokio::test]
async fn while_name_servers_have_no_names_a_new_address_of_one_is_told_to_running_brokers() {
    let mut world = taken_over().await;
    let pods = uids(&world);
    let old = ip(&world, "name-service-0");
    world.delete::<Pod>("mq/name-service-0");
    settle(&mut world).await;
    is_ready(&world);
    let new = ip(&world, "name-service-0");
    assert_ne!(new, old);
    assert_eq!(list(&world), format!("{new}:9876"));
    for pod in PODS {
        assert_eq!(runs_with(&world, pod), format!("{new}:9876"));
        assert_eq!(uids(&world)[pod], pods[pod]);
    }
}

#[tokio::test]
async fn more_name_servers_restart_nothing_and_are_listed_by_their_addresses() {
    let mut world = taken_over().await;
    let pods = uids(&world);
    world.edit::<NameService>(NAME_SERVICE, &json!({"spec": {"size": 2}}));
    settle(&mut world).await;
    is_ready(&world);
    let both = ["name-service-0", "name-service-1"].map(|pod| format!("{}:9876", ip(&world, pod)));
    assert_eq!(list(&world), both.join(";"));
    let now = uids(&world);
    assert!(pods.iter().all(|(pod, uid)| now[pod] == *uid));
    world.edit::<NameService>(NAME_SERVICE, &json!({"spec": {"size": 1}}));
    settle(&mut world).await;
    is_ready(&world);
    assert_eq!(uids(&world), pods);
    assert_eq!(runs_with(&world, PODS[0]), both[0]);
}

#[tokio::test]
async fn an_old_broker_that_does_not_take_name_servers_live_is_restarted_with_a_list_that_it_reads_anew() {
    let mut world = left_behind_with(|object| {
        if object["kind"] == "StatefulSet" {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("go/rocketmq:4.5.0");
        }
    });
    settle(&mut world).await;
    is_ready(&world);
    world.delete::<Pod>("mq/name-service-0");
    let order = rolled(&mut world).await;
    assert_eq!(
        order.iter().filter(|pod| pod.starts_with("broker")).count(),
        4,
        "{order:?}"
    );
    is_ready(&world);
}

#[tokio::test]
async fn a_new_group_of_a_cluster_that_was_taken_over_is_dialled_as_the_others() {
    let mut world = taken_over().await;
    let pods = uids(&world);
    world.edit::<Broker>(BROKER, &json!({"spec": {"size": 3}}));
    settle(&mut world).await;
    is_ready(&world);
    let now = uids(&world);
    assert!(pods.iter().all(|(pod, uid)| now[pod] == *uid));
    let container = world.get::<Pod>("mq/broker-2-master-0").spec.unwrap().containers[0].clone();
    let advertised = container
        .env
        .unwrap()
        .into_iter()
        .find(|var| var.name == "ROCKETMQ_ADVERTISED_ADDRESS");
    assert!(advertised.unwrap().value_from.is_some());
}

#[tokio::test]
async fn a_volume_whose_name_the_go_operator_made_up_is_found_again() {
    let made_up = "3f0f6c1e-9a52-4c0e-8f55-0a6a1d0d5f11";
    let mut world = left_behind_with(|object| match object["kind"].as_str() {
        Some("Broker") => {
            object["spec"]["volumeClaimTemplates"][0]["metadata"] = json!({});
        }
        Some("StatefulSet") if object["metadata"]["name"] != "name-service" => {
            let spec = &mut object["spec"];
            spec["volumeClaimTemplates"][0]["metadata"]["name"] = json!(made_up);
            for at in 0..2 {
                spec["template"]["spec"]["containers"][0]["volumeMounts"][at]["name"] = json!(made_up);
            }
        }
        _ => {}
    });
    let claims = world.names::<PersistentVolumeClaim>();
    settle(&mut world).await;
    is_ready(&world);
    restart(&world, "Broker", "today");
    assert_eq!(rolled(&mut world).await.len(), 4);
    is_ready(&world);
    assert_eq!(world.names::<PersistentVolumeClaim>(), claims);
}

#[tokio::test]
async fn groups_that_the_go_operator_left_running_are_named_and_left_alone() {
    let mut world = left_behind();
    world.edit::<Broker>(BROKER, &json!({"spec": {"size": 1}}));
    world.edit_status::<Broker>(BROKER, &json!({"size": 1}));
    let pods = uids(&world);
    settle(&mut world).await;
    assert_eq!(uids(&world), pods);
    says::<Broker>(
        &world,
        BROKER,
        "Degraded=True Leftovers: 2 StatefulSets, broker-1-master among them",
    );
    says::<Broker>(&world, BROKER, "spec.size 2, spec.replicaPerGroup 1");
    world.edit::<Broker>(BROKER, &json!({"spec": {"size": 2}}));
    settle(&mut world).await;
    is_ready(&world);
    assert_eq!(uids(&world), pods);
    says::<Broker>(&world, BROKER, "Degraded=False");
}

#[tokio::test]
async fn a_set_that_selects_other_pods_is_nobodys_to_take() {
    let mut world = left_behind_with(|object| {
        if object["kind"] == "StatefulSet" && object["metadata"]["name"] == "broker-1-master" {
            for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
                *object.pointer_mut(labels).unwrap() =
                    json!({"app": "broker", "broker_cr": "broker", "theirs": "yes"});
            }
        }
    });
    let before = sets(&world)["broker-1-master"].clone();
    settle(&mut world).await;
    says::<Broker>(
        &world,
        BROKER,
        "NotTakenOver: 1 StatefulSets, broker-1-master among them",
    );
    assert_eq!(
        sets(&world)["broker-1-master"].metadata.annotations,
        before.metadata.annotations
    );
}

#[tokio::test]
async fn the_only_name_server_is_not_restarted_while_nobody_else_has_its_order_topics() {
    let mut world = taken_over().await;
    let server = format!("{}:9876", ip(&world, "name-service-0"));
    world.rocketmq.kv(&server, ORDER_TOPICS, "payments", "broker-0:4");
    let before = uids(&world)["name-service-0"].clone();
    restart(&world, "NameService", "today");
    settle(&mut world).await;
    assert_eq!(uids(&world)["name-service-0"], before);
    says::<NameService>(
        &world,
        NAME_SERVICE,
        "TopicsWouldBeLost: name-service-0 keeps 1 order topics",
    );
    world.edit::<NameService>(NAME_SERVICE, &json!({"spec": {"size": 2}}));
    rolled(&mut world).await;
    is_ready(&world);
    assert_ne!(uids(&world)["name-service-0"], before);
    let server = format!("{}:9876", ip(&world, "name-service-0"));
    let kept = rocketmq_operator::admin::Admin::kv_list(&world.rocketmq, &server, ORDER_TOPICS).await;
    assert!(kept.unwrap().contains_key("payments"));
}

#[tokio::test]
async fn a_broken_pod_of_the_go_operator_is_mended_by_a_corrected_spec() {
    let mut world = taken_over().await;
    world.kubelet.cannot_pull("rocketmq-broker:5.5.0");
    world.delete::<Pod>("mq/broker-0-replica-1-0");
    settle(&mut world).await;
    says::<Broker>(&world, BROKER, "ImagePullFailed");
    world.edit::<Broker>(BROKER, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.0"}}));
    assert_eq!(rolled(&mut world).await.len(), 4);
    is_ready(&world);
}

#[tokio::test]
async fn a_lost_status_takes_nothing_from_a_running_cluster() {
    let mut world = taken_over().await;
    let pods = uids(&world);
    let gone: Value =
        json!({"size": 0, "nodes": [], "replicaPerGroup": null, "conditions": null, "nameServers": null});
    world.edit_status::<Broker>(BROKER, &gone);
    settle(&mut world).await;
    is_ready(&world);
    assert_eq!(uids(&world), pods);
    assert_eq!(world.get::<Broker>(BROKER).status.unwrap().size, 2);
}

/// Every write of taking over and of one roll of everything may be the last one of an operator.
#[tokio::test]
async fn an_operator_killed_after_any_write_of_taking_over_and_rolling_ends_it_all_the_same() {
    let ends = async |world: &mut World| {
        rolled(world).await;
        is_ready(world);
    };
    let roll = |world: &World| {
        restart(world, "Broker", "today");
        restart(world, "NameService", "today");
    };
    let mut calm = taken_over().await;
    calm.api.writes();
    roll(&calm);
    ends(&mut calm).await;
    let writes = calm.api.writes().len();
    assert!(writes > 15, "{writes}");
    for write in (1..=writes).step_by(6) {
        let mut world = taken_over().await;
        roll(&world);
        world.api.writes();
        world.api.crash_after_write(write);
        for _ in 0..200 {
            let _ = world.reconcile_all().await;
            if world.api.has_crashed() {
                break;
            }
            world.kubelet.step();
            world.rocketmq.register_all();
            time_passes(&world, BROKER);
        }
        world.api.heal();
        world.restart_operator();
        ends(&mut world).await;
        let of = |world: &World| sets(world).into_values().map(|set| set.spec).collect::<Vec<_>>();
        assert_eq!(of(&world), of(&calm), "killed after write {write}");
    }
}
