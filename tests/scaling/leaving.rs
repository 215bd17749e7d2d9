//! Groups that leave.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use rocketmq_operator::admin::fake::FakeBroker;
use rocketmq_operator::admin::{Admin as _, ORDER_TOPICS, SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::ScaleInPhase::{self, Draining, Fencing, Moving, Stopping};
use rocketmq_operator::api::{Broker, NameService};
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::support::fixtures::{broker, name_service};
use crate::support::world::World;
use crate::{address, broker_of, permission, resize, says};

/// Two groups with a topic on both, of which somebody consumed all but `lag` messages on the second.
pub(crate) async fn two_groups(lag: i64) -> World {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").groups(2).storage_class("rocketmq-storage"));
    world.settle().await;
    for (pod, lag) in [("orders-0-master-0", 0), ("orders-1-master-0", lag)] {
        world.rocketmq.becomes(&address(&world, pod), |master| {
            master
                .topic(TopicConfig::new("payments", 1))
                .group(&SubscriptionGroup::new("billing"))
                .queue("payments", 0, 0, 10)
                .consumed("payments", "billing", 0, 10 - lag)
        });
    }
    world.rocketmq.register_all();
    world
}

/// What is remembered to have begun, began long ago.
fn rewind(world: &World, moments: &[&str]) {
    let leaving = json!(world.get::<Broker>("mq/orders").status.unwrap().scale_in);
    for moment in moments.iter().filter(|moment| leaving[moment].is_string()) {
        let long_ago = json!({"scaleIn": {*moment: "2026-01-01T00:00:00Z"}});
        world.edit_status::<Broker>("mq/orders", &long_ago);
    }
}

/// Reconciles so often, while time passes quickly.
pub(crate) async fn time_passes(world: &mut World, rounds: usize) {
    for _ in 0..rounds {
        rewind(world, &["quietSince", "silentSince", "unorderedSince"]);
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
}

#[tokio::test]
async fn a_group_leaves_when_its_messages_are_consumed_and_its_volume_stays() {
    let mut world = two_groups(3).await;
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    assert_eq!(permission(&world, "orders-0-master-0"), Some(6));
    says(&world, "Progressing=True ScalingIn");
    let leaving = world.get::<Broker>("mq/orders").status.unwrap().scale_in.unwrap();
    assert_eq!(leaving.backlog, Some(3));
    assert!(leaving.blockers[0].contains("billing"), "{:?}", leaving.blockers);
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.consumed("payments", "billing", 0, 10));
    time_passes(&mut world, 20).await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
    let left = |names: Vec<String>| {
        names
            .into_iter()
            .filter(|name| name.contains("-1-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(left(world.names::<Service>()), Vec::<String>::new());
    assert_eq!(left(world.names::<ConfigMap>()), Vec::<String>::new());
    assert_eq!(left(world.names::<PodDisruptionBudget>()), Vec::<String>::new());
    assert_eq!(left(world.names::<PersistentVolumeClaim>()).len(), 1);
    let status = world.get::<Broker>("mq/orders").status.unwrap();
    assert_eq!((status.size, status.scale_in), (1, None));
}

#[tokio::test]
async fn with_policy_immediate_a_group_goes_at_once_and_what_is_dropped_is_told() {
    let mut world = two_groups(3).await;
    let immediate = json!({"spec": {"size": 1, "scaleIn": {"policy": "Immediate"}}});
    world.edit::<Broker>("mq/orders", &immediate);
    time_passes(&mut world, 20).await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
    let claims = world.names::<PersistentVolumeClaim>();
    assert!(claims.iter().any(|name| name.contains("orders-1-")), "{claims:?}");
    let events = world.events();
    let told = |event: &String| event.contains("DroppingMessages") && event.contains("dropping 3 messages");
    assert!(events.iter().any(told), "{events:#?}");
}

#[tokio::test]
async fn with_policy_immediate_a_group_whose_master_is_dead_goes_and_its_volume_stays() {
    for unschedulable in [false, true] {
        let mut world = two_groups(3).await;
        let (pod, why) = ("orders-1-master-0", "0/3 nodes are available");
        let answered = address(&world, pod);
        if unschedulable {
            world.kubelet.cannot_schedule(pod, why);
            world.delete::<Pod>(&format!("mq/{pod}"));
            world.kubelet.step();
        } else {
            world.rocketmq.deaf(&answered);
        }
        resize(&world, 1);
        time_passes(&mut world, 20).await;
        assert!(world.find::<Pod>(&format!("mq/{pod}")).is_some(), "Drain waits");
        world.edit::<Broker>(
            "mq/orders",
            &json!({"spec": {"scaleIn": {"policy": "Immediate"}}}),
        );
        time_passes(&mut world, 20).await;
        assert!(
            world.ready::<Broker>("mq/orders"),
            "{:#?}",
            world.conditions::<Broker>("mq/orders")
        );
        assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
        let claims = world.names::<PersistentVolumeClaim>();
        assert!(claims.iter().any(|name| name.contains("orders-1-")), "{claims:?}");
        let events = world.events();
        let told = |event: &String| event.contains("DroppingMessages") && event.contains("does not answer");
        assert!(events.iter().any(told), "{events:#?}");
    }
}

#[tokio::test]
async fn a_drain_that_takes_too_long_deletes_nothing_and_ends_when_it_can() {
    let mut world = two_groups(3).await;
    let before = world.get::<Pod>("mq/orders-1-master-0").uid();
    resize(&world, 1);
    time_passes(&mut world, 10).await;
    let long_ago = json!({"scaleIn": {"startedAt": "2026-01-01T00:00:00Z"}});
    world.edit_status::<Broker>("mq/orders", &long_ago);
    time_passes(&mut world, 20).await;
    says(&world, "Degraded=True DrainTimeout");
    says(&world, "nothing is deleted");
    assert_eq!(world.get::<Pod>("mq/orders-1-master-0").uid(), before);
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.consumed("payments", "billing", 0, 10));
    time_passes(&mut world, 20).await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_none());
}

#[tokio::test]
async fn a_size_raised_again_gives_a_draining_group_its_permission_back_and_restarts_nothing() {
    let mut world = two_groups(3).await;
    let before = world.get::<Pod>("mq/orders-1-master-0").uid();
    resize(&world, 1);
    time_passes(&mut world, 10).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    resize(&world, 2);
    time_passes(&mut world, 10).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    assert_eq!(world.get::<Pod>("mq/orders-1-master-0").uid(), before);
    assert!(world.ready::<Broker>("mq/orders"));
}

/// The queues of an order topic, as the name server has them.
async fn ordered(world: &World, topic: &str) -> String {
    let kept = world
        .rocketmq
        .kv_list(&names_address(world), ORDER_TOPICS)
        .await
        .unwrap();
    kept[topic].clone()
}

fn names_address(world: &World) -> String {
    let pod = world.get::<Pod>("mq/names-0");
    format!("{}:9876", pod.status.unwrap().pod_ip.unwrap())
}

#[tokio::test]
async fn a_leaving_group_is_taken_out_of_order_topics_before_it_is_read_only_and_put_back_if_it_stays() {
    let mut world = two_groups(3).await;
    let (both, alone) = ("orders-0:1;orders-1:1", "orders-1:3");
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.topic(TopicConfig::new("parcels", 3)));
    world.rocketmq.register_all();
    for (topic, queues) in [("payments", both), ("parcels", alone)] {
        world
            .rocketmq
            .kv(&names_address(&world), ORDER_TOPICS, topic, queues);
    }
    resize(&world, 1);
    while ordered(&world, "parcels").await == alone {
        assert_eq!(
            permission(&world, "orders-1-master-0"),
            Some(6),
            "fenced too early"
        );
        time_passes(&mut world, 1).await;
    }
    time_passes(&mut world, 20).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    assert_eq!(ordered(&world, "payments").await, "orders-0:1");
    assert_eq!(ordered(&world, "parcels").await, "orders-0:3");
    resize(&world, 2);
    time_passes(&mut world, 10).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    assert_eq!(ordered(&world, "payments").await, both);
    assert_eq!(ordered(&world, "parcels").await, alone);
    assert_eq!(
        world.get::<Broker>("mq/orders").status.unwrap().scale_in,
        None,
        "nothing is left to do"
    );
}

#[tokio::test]
async fn a_group_that_order_topics_named_takes_writes_until_every_producer_has_asked_again() {
    let mut world = two_groups(0).await;
    world.rocketmq.kv(
        &names_address(&world),
        ORDER_TOPICS,
        "payments",
        "orders-0:1;orders-1:1",
    );
    resize(&world, 1);
    for _ in 0..20 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
    assert_eq!(ordered(&world, "payments").await, "orders-0:1");
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    says(&world, "taken out of the queues of order topics");
    time_passes(&mut world, 30).await;
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_stale_entry_of_an_order_topic_keeps_no_group_and_one_of_a_closed_topic_is_named() {
    let mut world = two_groups(0).await;
    let master = address(&world, "orders-1-master-0");
    let mut closed = TopicConfig::new("closed", 2);
    closed.perm = 4;
    world.rocketmq.becomes(&master, |broker| broker.topic(closed));
    world.rocketmq.register_all();
    for (topic, queues) in [("deleted", "orders-1:4"), ("closed", "orders-1:2")] {
        world
            .rocketmq
            .kv(&names_address(&world), ORDER_TOPICS, topic, queues);
    }
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    says(&world, "takes writes of them: closed; make or open them there");
    let stays = address(&world, "orders-0-master-0");
    world
        .rocketmq
        .becomes(&stays, |broker| broker.topic(TopicConfig::new("closed", 2)));
    world.rocketmq.register_all();
    time_passes(&mut world, 30).await;
    assert!(world.ready::<Broker>("mq/orders"));
    assert_eq!(ordered(&world, "deleted").await, "orders-1:4");
    assert_eq!(ordered(&world, "closed").await, "orders-0:2");
}

#[tokio::test]
async fn a_topic_that_only_the_leaving_group_has_is_made_elsewhere_first() {
    let mut world = two_groups(0).await;
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.topic(TopicConfig::new("parcels", 3)));
    world.rocketmq.register_all();
    resize(&world, 1);
    time_passes(&mut world, 30).await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    let stays = broker_of(&world, "orders-0-master-0");
    assert_eq!(stays.topics()["parcels"].write_queues, 3);
}

/// Lets time pass until the group that leaves is in that phase.
pub(crate) async fn until(world: &mut World, phase: ScaleInPhase) {
    for _ in 0..30 {
        let leaving = world.get::<Broker>("mq/orders").status.unwrap().scale_in;
        if leaving.is_some_and(|leaving| leaving.phase == phase) {
            return;
        }
        time_passes(world, 1).await;
    }
    let conditions = world.conditions::<Broker>("mq/orders");
    panic!("it is never {phase:?}: {conditions:#?}");
}

#[tokio::test]
async fn a_topic_that_is_made_on_a_leaving_master_is_made_elsewhere_in_every_phase() {
    for phase in [Moving, Fencing, Draining, Stopping] {
        let mut world = two_groups(0).await;
        resize(&world, 1);
        until(&mut world, phase).await;
        world
            .rocketmq
            .becomes(&address(&world, "orders-1-master-0"), |broker| {
                broker.topic(TopicConfig::new("parcels", 3))
            });
        world.rocketmq.register_all();
        time_passes(&mut world, 30).await;
        assert!(
            world.ready::<Broker>("mq/orders"),
            "{phase:?}: {:#?}",
            world.conditions::<Broker>("mq/orders")
        );
        let stays = broker_of(&world, "orders-0-master-0");
        assert_eq!(stays.topics()["parcels"].write_queues, 3, "{phase:?}");
    }
}

#[tokio::test]
async fn every_master_that_stays_gets_the_subscription_groups_of_the_leaving_one() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").groups(3));
    world.settle().await;
    let billing = SubscriptionGroup::new("billing").with("retryMaxTimes", 3);
    // The first one that stays has the topic, read-only: so it goes to the other.
    let closed = TopicConfig {
        perm: 4,
        ..TopicConfig::new("parcels", 3)
    };
    for (pod, topic) in [
        ("orders-0-master-0", closed),
        ("orders-2-master-0", TopicConfig::new("parcels", 3)),
    ] {
        world
            .rocketmq
            .becomes(&address(&world, pod), |broker| broker.topic(topic));
    }
    world
        .rocketmq
        .becomes(&address(&world, "orders-2-master-0"), |broker| {
            broker.group(&billing)
        });
    world.rocketmq.register_all();
    world.rocketmq.forget_asked();
    resize(&world, 2);
    time_passes(&mut world, 30).await;
    assert!(world.ready::<Broker>("mq/orders"));
    for pod in ["orders-0-master-0", "orders-1-master-0"] {
        let groups = broker_of(&world, pod).groups().clone();
        assert_eq!(groups["billing"].settings["retryMaxTimes"], 3, "{pod}");
    }
    let home = address(&world, "orders-1-master-0");
    let changes = world.rocketmq.changes();
    let there: Vec<_> = changes
        .iter()
        .filter(|asked| asked.address == home)
        .map(|asked| asked.request)
        .collect();
    assert_eq!(
        there,
        ["UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", "UPDATE_AND_CREATE_TOPIC"]
    );
}

#[tokio::test(start_paused = true)]
async fn topics_that_are_made_elsewhere_take_no_longer_than_a_reconcile_may() {
    let mut world = two_groups(0).await;
    world
        .rocketmq
        .becomes(&address(&world, "orders-1-master-0"), |master| {
            let topics = (0..300).map(|n| TopicConfig::new(&format!("topic-{n}"), 1));
            topics.fold(master, FakeBroker::topic)
        });
    world.rocketmq.register_all();
    let stays = address(&world, "orders-0-master-0");
    world.rocketmq.slow(&stays, Duration::from_millis(500));
    resize(&world, 1);
    while !broker_of(&world, "orders-0-master-0")
        .topics()
        .contains_key("topic-299")
    {
        let begun = Instant::now();
        world.reconcile_all().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_volume_size_that_is_raised_while_a_group_drains_does_not_keep_it() {
    let mut world = two_groups(3).await;
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    let mut claims = json!(world.get::<Broker>("mq/orders"))["spec"]["volumeClaimTemplates"].clone();
    claims[0]["spec"]["resources"]["requests"]["storage"] = json!("8Gi");
    world.edit::<Broker>("mq/orders", &json!({"spec": {"volumeClaimTemplates": claims}}));
    time_passes(&mut world, 5).await;
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.consumed("payments", "billing", 0, 10));
    time_passes(&mut world, 20).await;
    assert_eq!(world.names::<StatefulSet>(), ["names", "orders-0-master"]);
    assert_eq!(world.get::<Broker>("mq/orders").status.unwrap().size, 1);
}

#[tokio::test]
async fn an_operator_killed_after_any_write_of_a_scale_in_ends_it_all_the_same() {
    let mut calm = two_groups(0).await;
    calm.api.writes();
    resize(&calm, 1);
    time_passes(&mut calm, 30).await;
    let writes = calm.api.writes().len();
    assert!(writes > 8, "{writes}");
    for write in 1..=writes {
        let mut world = two_groups(0).await;
        resize(&world, 1);
        world.api.writes();
        world.api.crash_after_write(write);
        for _ in 0..30 {
            rewind(&world, &["quietSince", "silentSince", "unorderedSince"]);
            let _ = world.reconcile_all().await;
            if world.api.has_crashed() {
                break;
            }
            world.kubelet.step();
        }
        world.api.heal();
        world.restart_operator();
        time_passes(&mut world, 30).await;
        assert!(
            world.ready::<Broker>("mq/orders"),
            "killed after write {write}: {:#?}",
            world.conditions::<Broker>("mq/orders")
        );
        assert_eq!(world.names::<StatefulSet>(), calm.names::<StatefulSet>());
        assert_eq!(world.names::<Service>(), calm.names::<Service>());
        assert_eq!(world.names::<ConfigMap>(), calm.names::<ConfigMap>());
    }
}
