//! How name servers come, go and restart, for the people whose brokers use them, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

#[path = "../support/mod.rs"]
mod support;

mod convergence;
mod order_topics;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use rocketmq_operator::api::{Broker, NameService};
use serde_json::{Value, json};
use support::api::Failure;
use support::fixtures::{broker, name_service};
use support::names::*;
use support::world::World;

#[tokio::test]
async fn a_name_server_is_published_only_when_it_answers() {
    let mut world = serving(name_service("names")).await;
    let first = uid(&world, "names-0");
    world.kubelet.hold("names-2");
    scale(&world, 3);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (3, 1));
    says(&world, "Ready=False ScalePending: all 1 name servers");
    says(
        &world,
        "Progressing=True ScalingOut: 1 of 3 name servers are published",
    );
    says(&world, "names-2: its pod is not ready");
    world.kubelet.heal();
    world.kubelet.step();
    world.rocketmq.deaf(&address(&world, "names-2"));
    world.settle().await;
    assert_eq!(published(&world), 1, "a ready pod is no name server that answers");
    world.rocketmq.heal(&address(&world, "names-2"));
    world.settle().await;
    assert_eq!(published(&world), 3);
    assert!(world.ready::<NameService>("mq/names"));
    assert_eq!(uid(&world, "names-0"), first);
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn brokers_leave_a_name_server_before_it_goes() {
    let mut world = used(3).await;
    let before = uids(&world);
    scale(&world, 1);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (3, 1));
    says(
        &world,
        "Progressing=True ScalingIn: 3 name servers run and 1 stay: names-1, names-2 go",
    );
    says(&world, "waiting: Broker orders still runs with some");
    runs_with(&world, "orders", 2);
    world.settle().await;
    assert_eq!(uids(&world), before, "one of two was left");
    runs_with(&world, "orders", 1);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (1, 1));
    assert!(world.find::<Pod>("mq/names-1").is_none());
    assert_eq!(uid(&world, "names-0"), before["names-0"]);
    says(&world, "Progressing=False Steady");
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn it_is_published_that_name_servers_go_before_any_does() {
    let mut world = serving(name_service("names").size(2)).await;
    scale(&world, 1);
    world.reconcile_name_service("mq/names").await.unwrap();
    assert_eq!((replicas(&world), published(&world)), (2, 1));
    world.reconcile_name_service("mq/names").await.unwrap();
    assert_eq!((replicas(&world), published(&world)), (1, 1));
}

#[tokio::test]
async fn a_broker_that_has_not_told_or_is_paused_holds_up_and_one_that_is_gone_or_elsewhere_does_not() {
    let mut world = serving(name_service("names").size(2)).await;
    world.apply::<Broker>(broker("orders").annotated("rocketmq.apache.org/paused", "true"));
    world.apply::<Broker>(broker("stock").name_servers("198.18.200.1:9876"));
    world.edit_status::<Broker>("mq/orders", &json!({"size": 1}));
    scale(&world, 1);
    world.settle().await;
    assert_eq!(replicas(&world), 2);
    says(
        &world,
        "Broker orders has not told which ones it runs with and is paused",
    );
    let told = told(&world).join(" ");
    assert!(!told.contains("Broker stock"), "{told}");
    world.delete::<Broker>("mq/orders");
    world.settle().await;
    assert_eq!(replicas(&world), 1);
}

#[tokio::test]
async fn a_change_of_mind_between_retargets() {
    let mut world = used(3).await;
    let before = uids(&world);
    scale(&world, 1);
    world.settle().await;
    scale(&world, 2);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (3, 2));
    says(&world, "names-2 go when brokers have left them");
    scale(&world, 3);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (3, 3));
    assert_eq!(uids(&world), before);
    world.kubelet.hold("names-3");
    scale(&world, 4);
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (4, 3));
    scale(&world, 3);
    world.settle().await;
    assert_eq!(
        (replicas(&world), published(&world)),
        (3, 3),
        "nobody was told of names-3"
    );
    assert_eq!(uids(&world), before);
}

#[tokio::test]
async fn replicas_edited_by_hand_are_put_back() {
    let mut world = used(2).await;
    for edited in [0, 5] {
        world.edit::<StatefulSet>("mq/names", &json!({"spec": {"replicas": edited}}));
        world.settle().await;
        assert_eq!((replicas(&world), published(&world)), (2, 2));
    }
}

#[tokio::test]
async fn a_changed_image_restarts_one_name_server_at_a_time() {
    let mut world = used(3).await;
    let before = uids(&world);
    change_image(&world, NEWER);
    for _ in 0..30 {
        world.reconcile_all().await.unwrap();
        let ready = (0..3).filter(|ordinal| {
            let pod = world.find::<Pod>(&format!("mq/names-{ordinal}"));
            pod.is_some_and(|pod| rocketmq_operator::k8s::pod::ready(&pod))
        });
        assert!(ready.count() >= 2);
        world.kubelet.step();
    }
    let after = uids(&world);
    assert_eq!(after["orders-0-master-0"], before["orders-0-master-0"]);
    for name in ["names-0", "names-1", "names-2"] {
        assert_ne!(after[name], before[name]);
        let pod = world.get::<Pod>(&format!("mq/{name}"));
        assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some(NEWER));
    }
    says(&world, "Progressing=False Steady");
    let deleted = |line: &&String| line.starts_with("delete Pod");
    let writes = world.api.writes();
    assert_eq!(writes.iter().filter(deleted).count(), 3, "{writes:#?}");
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn the_next_name_server_waits_until_the_one_before_lists_every_broker() {
    let mut world = used(2).await;
    change_image(&world, NEWER);
    world.reconcile_all().await.unwrap();
    world.kubelet.step();
    world.reconcile_all().await.unwrap();
    assert!(world.find::<Pod>("mq/names-1").is_none());
    let first = uid(&world, "names-0");
    world.kubelet.step();
    world.kubelet.step();
    world
        .rocketmq
        .strike_off(&address(&world, "names-1"), "orders-0", 0);
    world.settle().await;
    assert_eq!(uid(&world, "names-0"), first);
    says(
        &world,
        "Progressing=True Rolling: 1 of 2 name servers run the newest template; names-0 is next once",
    );
    says(&world, "names-0 lists orders-0 id 0 at 198.19.0.");
    says(&world, "names-1 does not");
    world.rocketmq.register_all();
    world.settle().await;
    assert_ne!(uid(&world, "names-0"), first);
    says(&world, "Progressing=False Steady");
}

/// The ready pods that the Service of clients selects.
fn for_clients(world: &World) -> Vec<String> {
    let selector = world.get::<Service>("mq/names").spec.unwrap().selector.unwrap();
    let pods = world.names::<Pod>().into_iter().filter(|name| {
        let pod = world.get::<Pod>(&format!("mq/{name}"));
        let selected = rocketmq_operator::k8s::labels::contain(pod.metadata.labels.as_ref(), &selector);
        selected && rocketmq_operator::k8s::pod::ready(&pod)
    });
    pods.collect()
}

#[tokio::test]
async fn while_name_servers_restart_clients_are_sent_only_to_those_that_list_every_broker() {
    let mut world = used(3).await;
    assert_eq!(for_clients(&world), ["names-0", "names-1", "names-2"]);
    let before = uids(&world);
    change_image(&world, NEWER);
    for (restarts, others) in [
        ("names-2", ["names-0", "names-1"]),
        ("names-1", ["names-0", "names-2"]),
        ("names-0", ["names-1", "names-2"]),
    ] {
        for _ in 0..10 {
            world.reconcile_all().await.unwrap();
            world.kubelet.step();
            if world.find::<Pod>(&format!("mq/{restarts}")).is_some_and(|pod| {
                pod.uid().as_ref() != before.get(restarts) && rocketmq_operator::k8s::pod::ready(&pod)
            }) {
                break;
            }
        }
        assert_ne!(uid(&world, restarts), before[restarts]);
        world
            .rocketmq
            .strike_off(&address(&world, restarts), "orders-0", 0);
        world.settle().await;
        assert_eq!(
            for_clients(&world),
            others,
            "{restarts} is ready and lists nobody"
        );
        says(&world, "Progressing=True");
        says(&world, &format!("{restarts} does not"));
        world.rocketmq.register_all();
    }
    world.settle().await;
    says(&world, "Progressing=False Steady");
    assert_eq!(for_clients(&world), ["names-0", "names-1", "names-2"]);
    let selector = world.get::<Service>("mq/names").spec.unwrap().selector.unwrap();
    assert_eq!(
        selector.len(),
        2,
        "at rest no pod depends on the operator: {selector:?}"
    );
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn a_name_server_that_comes_goes_or_dies_is_for_clients_only_while_it_lists_every_broker() {
    let mut world = serving(name_service("names")).await;
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    let all = ["names-0", "names-1"];
    // Comes: it is ready before a broker is told of it.
    scale(&world, 2);
    for _ in 0..6 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
        if world.find::<Pod>("mq/names-1").is_some() {
            assert!(!for_clients(&world).contains(&"names-1".to_owned()));
        }
    }
    world.settle().await;
    assert_eq!(for_clients(&world), ["names-0"]);
    world.rocketmq.register_all();
    world.settle().await;
    assert_eq!(for_clients(&world), all);
    // Dies, and is ready again before a broker has come back to it.
    let first = uid(&world, "names-0");
    world.delete::<Pod>("mq/names-0");
    world.reconcile_all().await.unwrap();
    while world
        .find::<Pod>("mq/names-0")
        .is_none_or(|pod| !rocketmq_operator::k8s::pod::ready(&pod))
    {
        world.kubelet.step();
    }
    assert_ne!(uid(&world, "names-0"), first);
    world
        .rocketmq
        .strike_off(&address(&world, "names-0"), "orders-0", 0);
    world.settle().await;
    assert_eq!(for_clients(&world), ["names-1"]);
    says(
        &world,
        "Progressing=True Informing: clients are sent to 1 of 2 name servers",
    );
    world.rocketmq.register_all();
    world.settle().await;
    assert_eq!(for_clients(&world), all);
    // Goes: no client is sent to it from the moment that brokers leave it.
    scale(&world, 1);
    world.reconcile_all().await.unwrap();
    assert_eq!(for_clients(&world), ["names-0"]);
    world.settle().await;
    assert_eq!(for_clients(&world), ["names-0"]);
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn a_bad_image_stops_after_one_name_server_and_its_correction_heals() {
    let mut world = serving(name_service("names").size(3)).await;
    let before = uids(&world);
    world.kubelet.cannot_pull("typo");
    change_image(&world, "apache/rocketmq:typo");
    world.settle().await;
    let during = uids(&world);
    assert_ne!(during["names-2"], before["names-2"]);
    says(&world, "Degraded=True ImagePullFailed");
    says(
        &world,
        "1 of 3 name servers run the newest template; names-1 is next once this has passed: names-2: its pod",
    );
    change_image(&world, "apache/rocketmq:5.5.0");
    world.settle().await;
    assert!(world.ready::<NameService>("mq/names"), "{:#?}", told(&world));
    for name in ["names-0", "names-1"] {
        assert_eq!(uid(&world, name), before[name]);
    }
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn a_wish_for_a_restart_restarts_once_and_taking_it_back_restarts_nothing() {
    let mut world = serving(name_service("names").size(2)).await;
    let before = uids(&world);
    let wish =
        |value: Value| json!({"metadata": {"annotations": {"rocketmq.apache.org/restartedAt": value}}});
    world.edit::<NameService>("mq/names", &wish(json!("today")));
    world.settle().await;
    let restarted = uids(&world);
    for (name, uid) in &before {
        assert_ne!(&restarted[name], uid);
    }
    world.edit::<NameService>("mq/names", &wish(Value::Null));
    world.settle().await;
    world.restart_operator();
    world.settle().await;
    assert_eq!(uids(&world), restarted);
}

#[tokio::test]
async fn a_set_that_the_api_server_does_not_take_is_told_and_nothing_restarts_for_it() {
    let mut world = serving(name_service("names").size(2)).await;
    let before = uids(&world);
    world
        .api
        .fail_always("apply StatefulSet mq/names", Failure::Forbidden);
    change_image(&world, NEWER);
    assert!(world.reconcile_name_service("mq/names").await.is_err());
    says(
        &world,
        "Degraded=True TemplateRefused: the API server does not take what the spec makes of StatefulSet names",
    );
    assert!(world.ready::<NameService>("mq/names"));
    assert_eq!(uids(&world), before);
    world.api.heal();
    world.settle().await;
    says(&world, "Degraded=False AsExpected");
    assert!(
        uids(&world)
            .values()
            .all(|uid| !before.values().any(|old| old == uid))
    );
}

#[tokio::test]
async fn a_paused_name_service_neither_scales_nor_restarts_nor_is_given_order_topics() {
    let mut world = used(2).await;
    put_order_topic(&world, 2, "a");
    let pause = |value: &str| json!({"metadata": {"annotations": {"rocketmq.apache.org/paused": value}}});
    world.edit::<NameService>("mq/names", &pause("true"));
    scale(&world, 3);
    change_image(&world, NEWER);
    world.delete::<Pod>("mq/names-1");
    world.rocketmq.forget_asked();
    world.settle().await;
    assert_eq!((replicas(&world), published(&world)), (2, 2));
    assert!(order_topics(&world, "names-1").await.is_empty());
    says(&world, "Progressing=False Paused");
    says(&world, "names-1: has to be given 1 order topics");
    scale(&world, 1);
    world.settle().await;
    assert_eq!(published(&world), 2, "brokers are told nothing either");
    world.edit::<NameService>("mq/names", &pause("false"));
    scale(&world, 2);
    world.settle().await;
    assert_eq!(order_topics(&world, "names-1").await, ["a"]);
    assert!(world.ready::<NameService>("mq/names"));
}

#[tokio::test]
async fn changed_volume_claims_are_told_and_nothing_is_half_done() {
    let claim = |mode: &str| {
        json!([{"metadata": {"name": "data"}, "spec": {"accessModes": [mode],
            "storageClassName": "rocketmq-storage", "resources": {"requests": {"storage": "1Gi"}}}}])
    };
    let names = name_service("names").size(2).with(|spec| {
        spec.storage_mode = rocketmq_operator::api::StorageMode::StorageClass;
        spec.volume_claim_templates = serde_json::from_value(claim("ReadWriteOnce")).unwrap();
    });
    let mut world = serving(names).await;
    let before = uids(&world);
    world.edit::<NameService>(
        "mq/names",
        &json!({"spec": {"volumeClaimTemplates": claim("ReadWriteMany")}}),
    );
    change_image(&world, NEWER);
    world.settle().await;
    assert_eq!(uids(&world), before);
    says(
        &world,
        "Progressing=True ChangePending: spec.volumeClaimTemplates",
    );
    is_at_rest(&mut world).await;
    world.edit::<NameService>(
        "mq/names",
        &json!({"spec": {"volumeClaimTemplates": claim("ReadWriteOnce")}}),
    );
    world.settle().await;
    assert_ne!(uids(&world)["names-0"], before["names-0"]);
    says(&world, "Progressing=False Steady");
}
