//! What a new group begins with beside topics and groups, and when it is open.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::admin::{Admin as _, SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::Broker;
use serde_json::json;

use crate::support::fixtures::broker;
use crate::support::rolling::{brokers, edit, round, serving, time_passes};
use crate::support::world::World;
use crate::{address, broker_of, in_use, permission, permission_if_any, resize, says};

const SOURCE: &str = "orders-0-master-0";
const NEW: &str = "orders-1-master-0";

async fn offsets(world: &World, pod: &str, topic: &str, group: &str) -> BTreeMap<i32, i64> {
    let offsets = world
        .rocketmq
        .consumer_offsets(&address(world, pod))
        .await
        .unwrap();
    offsets.of(topic, group).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_consumer_group_that_is_away_begins_at_the_start_of_the_new_groups_queues() {
    let mut world = in_use().await;
    world.rocketmq.becomes(&address(&world, SOURCE), |master| {
        let nightly = SubscriptionGroup::new("nightly");
        let master = master.group(&nightly).topic(TopicConfig::new("letters", 3));
        master
            .consumed("letters", "nightly", 0, 70)
            .consumed("letters", "nobody-knows", 0, 7)
            .consumed("letters", "nightly@broadcast", 0, 7)
    });
    resize(&world, 2);
    world.settle().await;
    assert_eq!(permission(&world, NEW), Some(6));
    assert_eq!(
        offsets(&world, NEW, "letters", "nightly").await,
        [(0, 0), (1, 0), (2, 0)].into()
    );
    for other in ["nobody-knows", "nightly@broadcast"] {
        assert!(offsets(&world, NEW, "letters", other).await.is_empty(), "{other}");
    }
    // Before producers were let in.
    let new = address(&world, NEW);
    let changes = world.rocketmq.changes().into_iter();
    let mine: Vec<_> = changes
        .filter(|asked| asked.address == new)
        .map(|asked| asked.request)
        .collect();
    assert_eq!(mine.last(), Some(&"UPDATE_BROKER_CONFIG"), "{mine:?}");
}

#[tokio::test]
async fn on_a_volume_that_was_kept_a_group_without_an_offset_begins_where_the_queue_ends() {
    let mut world = in_use().await;
    let letters = || TopicConfig::new("letters", 1);
    world.rocketmq.becomes(&address(&world, SOURCE), |master| {
        let groups = master
            .group(&SubscriptionGroup::new("late"))
            .group(&SubscriptionGroup::new("known"));
        let topic = groups.topic(letters());
        topic
            .consumed("letters", "late", 0, 1)
            .consumed("letters", "known", 0, 1)
    });
    world.rocketmq.deaf(&address(&world, SOURCE));
    resize(&world, 2);
    world.settle().await;
    world.rocketmq.becomes(&address(&world, NEW), |master| {
        let topic = master.topic(letters()).queue("letters", 0, 0, 40);
        topic.consumed("letters", "known", 0, 33)
    });
    world.rocketmq.heal(&address(&world, SOURCE));
    world.settle().await;
    assert_eq!(offsets(&world, NEW, "letters", "late").await, [(0, 40)].into());
    assert_eq!(offsets(&world, NEW, "letters", "known").await, [(0, 33)].into());
    assert_eq!(permission(&world, NEW), Some(6));
}

#[tokio::test]
async fn retries_of_a_group_that_a_consumer_made_there_first_have_the_queues_that_it_sends_to() {
    let mut world = in_use().await;
    let billing = SubscriptionGroup::new("billing")
        .with("retryMaxTimes", 3)
        .with("retryQueueNums", 4);
    world
        .rocketmq
        .becomes(&address(&world, SOURCE), |master| master.group(&billing));
    world.rocketmq.deaf(&address(&world, SOURCE));
    resize(&world, 2);
    world.settle().await;
    world.rocketmq.becomes(&address(&world, NEW), |master| {
        let made = SubscriptionGroup::new("billing").with("retryQueueNums", 1);
        master.group(&made).topic(TopicConfig::new("%RETRY%billing", 1))
    });
    world.rocketmq.heal(&address(&world, SOURCE));
    world.settle().await;
    let new = broker_of(&world, NEW);
    assert_eq!(new.groups()["billing"].settings["retryQueueNums"], json!(4));
    let retries = &new.topics()["%RETRY%billing"];
    assert_eq!((retries.read_queues, retries.write_queues), (4, 4));
    assert_eq!(permission(&world, NEW), Some(6));
}

#[tokio::test]
async fn a_group_is_open_once_and_for_all_also_where_its_set_waits_for_leave_to_restart() {
    let mut world = in_use().await;
    world.rocketmq.deaf(&address(&world, SOURCE));
    resize(&world, 2);
    world.settle().await;
    edit(
        &world,
        &json!({"spec": {"allowRestart": false, "brokerImage": "apache/rocketmq:5.5.1"}}),
    );
    world.settle().await;
    says(&world, "Progressing=False RestartNotAllowed");
    assert_eq!(permission(&world, NEW), Some(4));
    world.rocketmq.heal(&address(&world, SOURCE));
    world.settle().await;
    assert_eq!(permission(&world, NEW), Some(6));
    world.rocketmq.forget_asked();
    world.api.writes();
    for _ in 0..4 {
        world.reconcile_all().await.unwrap();
        assert_eq!(permission(&world, NEW), Some(6));
    }
    assert!(
        world.rocketmq.changes().is_empty(),
        "{:?}",
        world.rocketmq.changes()
    );
    assert_eq!(world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_source_with_a_new_store_is_copied_from_only_when_it_has_its_topics_again() {
    let mut world = serving(broker("orders")).await;
    let source = address(&world, SOURCE);
    world
        .rocketmq
        .becomes(&source, |master| master.topic(TopicConfig::new("letters", 1)));
    world.rocketmq.register_all();
    let mut seen = brokers(&world);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    for _ in 0..60 {
        time_passes(&world, "mq/orders");
        world.reconcile_all().await.unwrap();
        if world.find::<Pod>(&format!("mq/{SOURCE}")).is_none() {
            world.kubelet.hold(SOURCE);
            break;
        }
        world.kubelet.step();
    }
    resize(&world, 2);
    // The new group is up, and waits for the source.
    for _ in 0..20 {
        round(&mut world, &mut seen).await;
    }
    assert_eq!(permission(&world, NEW), Some(4));
    world.kubelet.heal();
    for _ in 0..60 {
        time_passes(&world, "mq/orders");
        let _ = round(&mut world, &mut seen).await;
        let open = permission_if_any(&world, NEW) == Some(6);
        assert!(!open || broker_of(&world, NEW).topics().contains_key("letters"));
    }
    assert_eq!(permission(&world, NEW), Some(6));
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn a_master_with_a_new_store_gives_an_absent_group_the_start_of_its_queues() {
    let mut world = serving(broker("orders")).await;
    world.rocketmq.becomes(&address(&world, SOURCE), |master| {
        let topic = master
            .topic(TopicConfig::new("letters", 2))
            .group(&SubscriptionGroup::new("nightly"));
        topic
            .queue("letters", 0, 0, 9)
            .consumed("letters", "nightly", 0, 9)
            .consumed("letters", "nightly", 1, 0)
    });
    world.rocketmq.register_all();
    let mut seen = brokers(&world);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}}));
    for _ in 0..60 {
        time_passes(&world, "mq/orders");
        let _ = round(&mut world, &mut seen).await;
    }
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert_eq!(
        offsets(&world, SOURCE, "letters", "nightly").await,
        [(0, 0), (1, 0)].into()
    );
}
