//! Groups that are added: nobody sends to them before they have what the others have.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rocketmq_operator::admin::fake::{FakeBroker, Moment};
use rocketmq_operator::admin::{SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::{Broker, NameService};
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::support::fixtures::{broker, name_service};
use crate::support::world::World;
use crate::{address, broker_of, in_use, permission, permission_if_any, resize, says};

#[tokio::test]
async fn a_new_group_has_the_topics_and_groups_of_the_others_before_it_takes_traffic() {
    let mut world = in_use().await;
    let before = world.get::<Pod>("mq/orders-0-master-0").uid();
    let long = "long".repeat(31);
    world
        .rocketmq
        .becomes(&address(&world, "orders-0-master-0"), |master| {
            master.topic(TopicConfig::new(&long, 2))
        });
    resize(&world, 3);
    world.settle().await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    let source = broker_of(&world, "orders-0-master-0");
    for pod in ["orders-1-master-0", "orders-2-master-0"] {
        let new = broker_of(&world, pod);
        for topic in ["payments", "parcels", &long] {
            assert_eq!(
                new.topics().get(topic),
                source.topics().get(topic),
                "{pod} {topic}"
            );
        }
        assert_eq!(
            new.groups().get("billing"),
            source.groups().get("billing"),
            "{pod}"
        );
        assert_eq!(permission(&world, pod), Some(6), "{pod}");
    }
    assert_eq!(world.get::<Pod>("mq/orders-0-master-0").uid(), before);
    // In order: read-only until everything is there.
    let changes = world.rocketmq.changes();
    for pod in ["orders-1-master-0", "orders-2-master-0"] {
        let address = address(&world, pod);
        let mine: Vec<_> = changes
            .iter()
            .filter(|asked| asked.address == address)
            .map(|asked| asked.request)
            .collect();
        assert_eq!(
            mine,
            [
                "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP",
                "UPDATE_AND_CREATE_TOPIC",
                "UPDATE_AND_CREATE_TOPIC",
                "UPDATE_AND_CREATE_TOPIC",
                "UPDATE_BROKER_CONFIG"
            ],
            "{pod}"
        );
    }
}

#[tokio::test]
async fn the_name_of_a_topic_is_data_whatever_it_looks_like() {
    let mut world = World::default();
    world.apply::<NameService>(name_service("names"));
    world.apply::<Broker>(broker("orders").image("apache/rocketmq:4.5.0"));
    world.settle().await;
    let odd = TopicConfig::new(r#"$(reboot) `id` "a" 'b' \\ {c}: [d],"#, 2);
    world
        .rocketmq
        .becomes(&address(&world, "orders-0-master-0"), |master| {
            master.topic(odd.clone())
        });
    resize(&world, 2);
    world.settle().await;
    // 4.5.0 has answered before it has made the topic.
    world.settle().await;
    let new = broker_of(&world, "orders-1-master-0");
    assert_eq!(new.topics().get(&odd.name), Some(&odd));
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test(start_paused = true)]
async fn groups_that_are_opened_together_share_the_time_of_a_reconcile_and_none_waits_for_another() {
    let mut world = in_use().await;
    world
        .rocketmq
        .becomes(&address(&world, "orders-0-master-0"), |master| {
            let topics = (0..400).map(|n| TopicConfig::new(&format!("topic-{n}"), 1));
            topics.fold(master, FakeBroker::topic)
        });
    resize(&world, 3);
    let new = ["orders-1-master-0", "orders-2-master-0"];
    while new.iter().any(|pod| permission_if_any(&world, pod) != Some(4)) {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
    }
    for pod in new {
        world
            .rocketmq
            .slow(&address(&world, pod), Duration::from_millis(500));
    }
    let mut before = [0, 0];
    while before != [400, 400] {
        let begun = Instant::now();
        world.reconcile_all().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
        world.rocketmq.register_all();
        let now = new.map(|pod| {
            let there = broker_of(&world, pod);
            there
                .topics()
                .keys()
                .filter(|name| name.starts_with("topic-"))
                .count()
        });
        assert!(
            (0..2).all(|n| now[n] > before[n] || now[n] == 400),
            "{before:?} {now:?}"
        );
        before = now;
    }
}

/// What of a new group counts in the end.
fn opened(world: &World) -> (Option<i32>, Vec<String>, Vec<String>) {
    let new = broker_of(world, "orders-1-master-0");
    let topics = new.topics().keys().cloned().collect();
    let groups = new.groups().keys().cloned().collect();
    (permission(world, "orders-1-master-0"), topics, groups)
}

#[tokio::test]
async fn a_group_is_opened_the_same_if_the_operator_is_killed_at_any_request_or_write() {
    let mut calm = in_use().await;
    let told_before = calm.rocketmq.changes().len();
    calm.api.writes();
    resize(&calm, 2);
    calm.settle().await;
    let (requests, writes) = (
        calm.rocketmq.changes().len() - told_before,
        calm.api.writes().len(),
    );
    assert!(requests >= 4 && writes >= 4, "{requests} {writes}");
    let end = opened(&calm);
    assert_eq!(end.0, Some(6));
    let kills =
        [Moment::Before, Moment::After].map(|moment| (1..=requests).map(move |nth| (nth, Some(moment))));
    let kills = kills
        .into_iter()
        .flatten()
        .chain((1..=writes).map(|nth| (nth, None)));
    for (nth, moment) in kills {
        let mut world = in_use().await;
        match moment {
            Some(moment) => {
                world.rocketmq.fails_at_change(nth, moment);
            }
            None => world.api.crash_after_write(nth),
        }
        resize(&world, 2);
        for _ in 0..40 {
            let failed = world.reconcile_all().await.is_err();
            let new = world
                .find::<Pod>("mq/orders-1-master-0")
                .and_then(|pod| pod.status?.pod_ip);
            let new = new.and_then(|ip| world.rocketmq.broker_at(&format!("{ip}:10911")));
            let topics_first = new.is_some_and(|new| {
                new.topics().contains_key("payments") && !new.groups().contains_key("billing")
            });
            assert!(
                !topics_first,
                "a consumer would make its group with defaults: {moment:?} {nth}"
            );
            if world.api.has_crashed() {
                world.api.heal();
            }
            if failed {
                world.restart_operator();
            }
            world.kubelet.step();
        }
        world.settle().await;
        assert!(world.ready::<Broker>("mq/orders"), "{moment:?} {nth}");
        assert_eq!(opened(&world), end, "{moment:?} {nth}");
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_read_keeps_a_new_group_without_traffic_and_is_named() {
    let mut world = in_use().await;
    let source = address(&world, "orders-0-master-0");
    world.rocketmq.refuses(&source, 1, "not now");
    resize(&world, 2);
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    says(&world, "Degraded=True SourceUnreadable: group 1 takes no traffic");
    says(&world, "orders-0-master-0 cannot be read");
    world.rocketmq.heal(&source);
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    assert!(
        broker_of(&world, "orders-1-master-0")
            .topics()
            .contains_key("payments")
    );
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_group_that_is_being_opened_stays_read_only_when_its_pod_restarts() {
    let mut world = in_use().await;
    let source = address(&world, "orders-0-master-0");
    world.rocketmq.deaf(&source);
    resize(&world, 2);
    world.settle().await;
    world.delete::<Pod>("mq/orders-1-master-0");
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    world.rocketmq.heal(&source);
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
    world.delete::<Pod>("mq/orders-1-master-0");
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
}

#[tokio::test]
async fn a_group_that_is_being_opened_is_opened_no_sooner_when_its_set_is_made_anew() {
    let mut world = in_use().await;
    let source = address(&world, "orders-0-master-0");
    world.rocketmq.deaf(&source);
    resize(&world, 2);
    world.settle().await;
    assert_eq!(world.get::<Broker>("mq/orders").status.unwrap().opening, [1]);
    world.delete::<StatefulSet>("mq/orders-1-master");
    world.settle().await;
    assert_eq!(permission(&world, "orders-1-master-0"), Some(4));
    world.rocketmq.heal(&source);
    world.settle().await;
    assert!(
        broker_of(&world, "orders-1-master-0")
            .topics()
            .contains_key("payments")
    );
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
}

#[tokio::test]
async fn what_a_user_changed_on_a_new_group_meanwhile_is_not_overwritten() {
    let mut world = in_use().await;
    let source = address(&world, "orders-0-master-0");
    world.rocketmq.deaf(&source);
    resize(&world, 2);
    world.settle().await;
    let new = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&new, |master| master.topic(TopicConfig::new("payments", 2)));
    world.rocketmq.heal(&source);
    world.settle().await;
    assert_eq!(
        broker_of(&world, "orders-1-master-0").topics()["payments"].write_queues,
        2
    );
}

#[tokio::test]
async fn a_scale_pod_that_is_no_master_is_named_with_the_remedy() {
    let mut world = in_use().await;
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"size": 2, "scalePodName": "orders-9-master-0"}}),
    );
    world.settle().await;
    says(
        &world,
        "spec.scalePodName \"orders-9-master-0\" is no master of this Broker",
    );
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"scalePodName": "orders-0-master-0"}}),
    );
    world.settle().await;
    assert!(world.ready::<Broker>("mq/orders"));
}

#[tokio::test]
async fn a_group_that_a_consumer_made_by_coming_before_it_was_copied_gets_its_settings() {
    let mut world = in_use().await;
    let source = address(&world, "orders-0-master-0");
    let audit = SubscriptionGroup::new("audit").with("retryMaxTimes", 4);
    world.rocketmq.becomes(&source, |master| master.group(&audit));
    world.rocketmq.deaf(&source);
    resize(&world, 2);
    world.settle().await;
    let new = address(&world, "orders-1-master-0");
    let by_a_user = SubscriptionGroup::new("audit").with("retryMaxTimes", 5);
    world.rocketmq.becomes(&new, |master| {
        master.group(&SubscriptionGroup::new("billing")).group(&by_a_user)
    });
    world.rocketmq.heal(&source);
    world.settle().await;
    let groups = broker_of(&world, "orders-1-master-0").groups().clone();
    assert_eq!(groups["billing"].settings["retryMaxTimes"], json!(3));
    assert_eq!(groups["audit"].settings["retryMaxTimes"], json!(5));
    assert_eq!(permission(&world, "orders-1-master-0"), Some(6));
}
