//! Carrying out a change in brokers that run, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::admin::TopicConfig;
use rocketmq_operator::api::{Broker, NameService};
use serde_json::{Value, json};
use support::api::Failure;
use support::rolling::{address, brokers, edit, lasting, roll, round, says, serving, time_passes};
use support::world::World;

#[tokio::test]
async fn a_changed_image_restarts_each_broker_once_replicas_first() {
    let mut world = serving(lasting().replicas(2)).await;
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    let order = roll(&mut world).await;
    assert_eq!(
        order,
        [
            "orders-0-replica-2-0",
            "orders-0-replica-1-0",
            "orders-0-master-0"
        ]
    );
    for name in brokers(&world).keys() {
        let pod = world.get::<Pod>(&format!("mq/{name}"));
        assert_eq!(
            pod.spec.unwrap().containers[0].image.as_deref(),
            Some("apache/rocketmq:5.5.1")
        );
    }
    world.api.writes();
    world.reconcile_all().await.unwrap();
    assert_eq!(world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wish_to_restart_restarts_each_broker_once() {
    let mut world = serving(lasting().replicas(1)).await;
    edit(
        &world,
        &json!({"metadata": {"annotations": {"rocketmq.apache.org/restartedAt": "today"}}}),
    );
    assert_eq!(
        roll(&mut world).await,
        ["orders-0-replica-1-0", "orders-0-master-0"]
    );
}

#[tokio::test]
async fn nothing_restarts_for_a_label_an_annotation_or_the_order_of_the_environment() {
    let mut world = serving(lasting()).await;
    let before = brokers(&world);
    edit(
        &world,
        &json!({"metadata": {"labels": {"team": "billing"}, "annotations": {"note": "x"}}}),
    );
    edit(&world, &json!({"spec": {"env": []}}));
    world.settle().await;
    assert_eq!(brokers(&world), before);
}

#[tokio::test]
async fn a_bad_change_stops_after_one_pod_and_reverting_heals_it() {
    let mut world = serving(lasting().replicas(1)).await;
    world.kubelet.cannot_pull("typo");
    let before = brokers(&world);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:typo"}}));
    world.settle().await;
    says(&world, "ImagePullFailed");
    assert_eq!(brokers(&world)["orders-0-master-0"], before["orders-0-master-0"]);
    world.restart_operator();
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.0"}}));
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_eq!(brokers(&world)["orders-0-master-0"], before["orders-0-master-0"]);
}

#[tokio::test]
async fn a_master_waits_for_a_replica_that_is_behind_or_cannot_be_asked() {
    let mut world = serving(lasting().replicas(1)).await;
    let behind = |world: &World, end: &str| {
        let replica = address(world, "orders-0-replica-1-0");
        let end = end.to_owned();
        world
            .rocketmq
            .becomes(&replica, move |broker| broker.runtime("commitLogMaxOffset", &end));
    };
    let before = brokers(&world)["orders-0-master-0"].clone();
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    for _ in 0..20 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
        behind(&world, "-9000000");
    }
    assert_eq!(brokers(&world)["orders-0-master-0"], before);
    says(
        &world,
        "replica orders-0-replica-1-0 is 9001000 bytes behind its master",
    );
    behind(&world, "1000");
    roll(&mut world).await;
    assert_ne!(brokers(&world)["orders-0-master-0"], before);
}

#[tokio::test]
async fn without_leave_to_restart_a_change_is_told_and_applies_when_a_pod_restarts_anyway() {
    let mut world = serving(lasting().replicas(1)).await;
    let before = brokers(&world);
    edit(
        &world,
        &json!({"spec": {"allowRestart": false, "brokerImage": "apache/rocketmq:5.5.1"}}),
    );
    world.settle().await;
    assert_eq!(brokers(&world), before);
    assert!(world.ready::<Broker>("mq/orders"));
    says(&world, "RestartNotAllowed");
}

#[tokio::test]
async fn a_change_of_claim_templates_of_running_brokers_is_held_and_named() {
    let mut world = serving(lasting()).await;
    let before = brokers(&world);
    let claims = world
        .get::<Broker>("mq/orders")
        .spec
        .volume_claim_templates
        .unwrap();
    let mut claims = json!(claims);
    claims[0]["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    edit(&world, &json!({"spec": {"volumeClaimTemplates": claims}}));
    world.settle().await;
    says(&world, "VolumeClaimTemplatesChanged");
    assert_eq!(brokers(&world), before);
}

#[tokio::test]
async fn brokers_that_do_not_take_name_servers_live_are_restarted_replicas_first() {
    let mut world = serving(lasting().replicas(1).image("apache/rocketmq:4.5.0")).await;
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": 2}}));
    while world.get::<NameService>("mq/names").status.unwrap().size < 2 {
        world.reconcile_name_service("mq/names").await.unwrap();
        world.kubelet.step();
    }
    let order = roll(&mut world).await;
    assert_eq!(order, ["orders-0-replica-1-0", "orders-0-master-0"]);
    let config = world
        .rocketmq
        .broker_at(&address(&world, "orders-0-master-0"))
        .unwrap()
        .whole_config();
    let list = "names-0.names-headless.mq.svc:9876;names-1.names-headless.mq.svc:9876";
    assert_eq!(config.get("namesrvAddr"), Some(list));
}

/// The topic is on all of them.
fn has_payments<const N: usize>(world: &World, masters: [&str; N]) {
    for pod in masters {
        let topic = TopicConfig::new("payments", 8);
        world
            .rocketmq
            .becomes(&address(world, pod), |broker| broker.topic(topic));
    }
    world.rocketmq.register_all();
}

/// Reconciles so often while time passes quickly: the half minute that producers are given. The pods in the order in which they
/// were replaced.
async fn rounds(world: &mut World, rounds: usize, seen: &mut BTreeMap<String, String>) -> Vec<String> {
    let mut replaced = Vec::new();
    for _ in 0..rounds {
        time_passes(world, "mq/orders");
        replaced.extend(round(world, seen).await);
    }
    replaced
}

/// As many rounds as any roll takes.
async fn roll_behind_fences(world: &mut World) -> Vec<String> {
    let mut seen = brokers(world);
    rounds(world, 60, &mut seen).await
}

#[tokio::test]
async fn a_master_that_a_new_name_server_does_not_know_is_restarted_to_tell_it() {
    let mut world = serving(lasting().groups(2).replicas(1).image("apache/rocketmq:4.5.0")).await;
    has_payments(&world, ["orders-0-master-0", "orders-1-master-0"]);
    world.edit::<NameService>("mq/names", &json!({"spec": {"size": 2}}));
    let order = roll_behind_fences(&mut world).await;
    assert_eq!(
        order,
        [
            "orders-0-replica-1-0",
            "orders-0-master-0",
            "orders-1-replica-1-0",
            "orders-1-master-0"
        ]
    );
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn a_master_whose_topics_live_elsewhere_too_is_read_only_while_it_restarts() {
    let mut world = serving(lasting().groups(2)).await;
    has_payments(&world, ["orders-0-master-0", "orders-1-master-0"]);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    let before = brokers(&world);
    for _ in 0..8 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
    let permission = |world: &World, pod: &str| {
        world
            .rocketmq
            .broker_at(&address(world, pod))
            .unwrap()
            .whole_config()
            .broker_permission()
    };
    assert_eq!(brokers(&world), before);
    assert_eq!(permission(&world, "orders-0-master-0"), Some(4));
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    says(&world, "producers have 30 s to go to other groups");
    let order = roll_behind_fences(&mut world).await;
    assert_eq!(order, ["orders-0-master-0", "orders-1-master-0"]);
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    for pod in ["orders-0-master-0", "orders-1-master-0"] {
        assert_eq!(permission(&world, pod), Some(6), "{pod}");
    }
    assert!(world.get::<Broker>("mq/orders").status.unwrap().rollout.is_none());
}

#[tokio::test]
async fn an_operator_killed_after_any_write_of_a_roll_ends_it_all_the_same() {
    let image = json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}});
    let mut calm = serving(lasting().replicas(1)).await;
    calm.api.writes();
    edit(&calm, &image);
    calm.settle().await;
    let writes = calm.api.writes().len();
    assert!(writes > 5, "{writes}");
    for write in 1..=writes {
        let mut world = serving(lasting().replicas(1)).await;
        edit(&world, &image);
        world.api.writes();
        world.api.crash_after_write(write);
        world.run_until_crash().await;
        world.api.heal();
        world.restart_operator();
        world.settle().await;
        assert!(world.ready::<Broker>("mq/orders"), "killed after write {write}");
        assert_eq!(
            world.get::<StatefulSet>("mq/orders-0-master").spec,
            calm.get::<StatefulSet>("mq/orders-0-master").spec
        );
    }
}

/// A roll that is stopped by its user after any number of rounds, and later allowed again.
async fn stopped_halfway(stop: &Value, go: &Value) {
    for before in 0..14 {
        let mut world = serving(lasting().groups(2)).await;
        has_payments(&world, ["orders-0-master-0", "orders-1-master-0"]);
        let mut seen = brokers(&world);
        edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
        let mut replaced = rounds(&mut world, before, &mut seen).await;
        edit(&world, stop);
        let away = seen.len() - brokers(&world).len() + seen.len() - ready(&world).len();
        let meanwhile = rounds(&mut world, 6, &mut seen).await;
        assert!(
            meanwhile.len() <= away,
            "stopped after {before} rounds, {meanwhile:?} were replaced all the same"
        );
        replaced.extend(meanwhile);
        assert_eq!(ready(&world).len(), 2, "stopped after {before} rounds");
        edit(&world, go);
        replaced.extend(rounds(&mut world, 24, &mut seen).await);
        assert_eq!(
            replaced,
            ["orders-0-master-0", "orders-1-master-0"],
            "stopped after {before} rounds"
        );
        assert!(
            world.ready::<Broker>("mq/orders"),
            "stopped after {before} rounds"
        );
        assert!(world.get::<Broker>("mq/orders").status.unwrap().rollout.is_none());
    }
}

#[tokio::test]
async fn a_roll_that_is_paused_at_any_step_goes_no_further_and_ends_when_it_may() {
    let paused = |value: &Value| json!({"metadata": {"annotations": {"rocketmq.apache.org/paused": value}}});
    stopped_halfway(&paused(&json!("true")), &paused(&Value::Null)).await;
}

#[tokio::test]
async fn a_roll_that_loses_its_leave_to_restart_at_any_step_goes_no_further_and_ends_when_it_may() {
    let allowed = |value: bool| json!({"spec": {"allowRestart": value}});
    stopped_halfway(&allowed(false), &allowed(true)).await;
}

#[tokio::test]
async fn another_address_to_announce_reaches_every_broker_one_by_one() {
    let mut world = serving(lasting().groups(2)).await;
    edit(&world, &json!({"spec": {"advertisedAddress": "PodIP"}}));
    assert_eq!(roll(&mut world).await, ["orders-0-master-0", "orders-1-master-0"]);
}

#[tokio::test]
async fn nothing_restarts_while_no_name_server_is_known() {
    let mut world = serving(lasting().groups(2)).await;
    let before = brokers(&world);
    edit(
        &world,
        &json!({"spec": {"nameService": "nemas", "brokerImage": "apache/rocketmq:5.5.1"}}),
    );
    world.settle().await;
    assert_eq!(brokers(&world), before);
    edit(&world, &json!({"spec": {"nameService": "names"}}));
    assert_eq!(roll(&mut world).await.len(), 2);
}

#[tokio::test]
async fn a_set_that_the_api_server_does_not_take_is_told_and_nothing_is_done_for_it() {
    let mut world = serving(lasting().groups(2)).await;
    for group in 0..2 {
        let master = address(&world, &format!("orders-{group}-master-0"));
        world
            .rocketmq
            .becomes(&master, |broker| broker.topic(TopicConfig::new("payments", 4)));
    }
    world.rocketmq.register_all();
    let before = brokers(&world);
    world
        .api
        .fail_always("apply StatefulSet mq/orders-0-master", Failure::Forbidden);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    for _ in 0..10 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
        let master = world.rocketmq.broker_at(&address(&world, "orders-0-master-0"));
        assert_eq!(master.unwrap().whole_config().broker_permission(), Some(6));
    }
    says(
        &world,
        "Degraded=True TemplateRefused: the API server does not take",
    );
    assert_eq!(brokers(&world), before);
    world.api.heal();
    for _ in 0..30 {
        time_passes(&world, "mq/orders");
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
    assert!(
        brokers(&world)
            .values()
            .all(|uid| !before.values().any(|old| old == uid))
    );
}

/// The brokers whose pods are ready.
fn ready(world: &World) -> Vec<String> {
    let is_ready = |name: &String| {
        let pod = world.get::<Pod>(&format!("mq/{name}"));
        let conditions = pod
            .status
            .and_then(|status| status.conditions)
            .unwrap_or_default();
        conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    };
    brokers(world).into_keys().filter(is_ready).collect()
}

#[tokio::test]
async fn a_replica_that_is_too_many_does_not_stop_while_another_is_restarted() {
    const TOO_MANY: &str = "orders-0-replica-2-0";
    let mut world = serving(lasting().replicas(2)).await;
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    let (mut lowered, mut stopped) = (false, false);
    for _ in 0..60 {
        let before = ready(&world);
        world.reconcile_all().await.unwrap();
        let now = brokers(&world);
        if !lowered && !now.contains_key("orders-0-replica-1-0") {
            edit(&world, &json!({"spec": {"replicaPerGroup": 1}}));
            lowered = true;
        } else if lowered && !stopped && !now.contains_key(TOO_MANY) {
            assert_eq!(before.len(), 3, "it stopped while only {before:?} served");
            stopped = true;
        }
        world.kubelet.step();
    }
    assert!(stopped && world.ready::<Broker>("mq/orders"));
    assert_eq!(ready(&world), ["orders-0-master-0", "orders-0-replica-1-0"]);
}

#[tokio::test]
async fn claims_that_differ_are_held_though_the_pod_is_away_for_a_while() {
    let mut world = serving(lasting()).await;
    let before = world.get::<StatefulSet>("mq/orders-0-master").metadata.uid;
    let claims = world.get::<Broker>("mq/orders").spec.volume_claim_templates;
    let mut other = json!(claims.clone().unwrap());
    other[0]["metadata"]["name"] = json!("other-storage");
    edit(&world, &json!({"spec": {"volumeClaimTemplates": other}}));
    world.settle().await;
    world.delete::<Pod>("mq/orders-0-master-0");
    world.settle().await;
    world.kubelet.crashes("orders-0-master-0");
    world.settle().await;
    assert_eq!(
        world.get::<StatefulSet>("mq/orders-0-master").metadata.uid,
        before
    );
    world.kubelet.heal();
    edit(&world, &json!({"spec": {"volumeClaimTemplates": claims}}));
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_list_of_name_servers_of_which_none_answers_reaches_no_running_broker() {
    let mut world = serving(lasting()).await;
    let list = "names-0.names-headless.mq.svc:9876";
    edit(&world, &json!({"spec": {"nameServers": "typo.mq.svc:9876"}}));
    world.settle().await;
    let master = world
        .rocketmq
        .broker_at(&address(&world, "orders-0-master-0"))
        .unwrap();
    assert_eq!(master.whole_config().get("namesrvAddr"), Some(list));
    says(&world, "typo.mq.svc:9876");
}
