//! Whom a group that leaves waits for.

use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::api::Broker;
use serde_json::json;

use crate::leaving::{time_passes, two_groups};
use crate::{address, resize, says};

#[tokio::test]
async fn a_drain_waits_for_no_group_that_its_user_ignores() {
    let mut world = two_groups(3).await;
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_some());
    world.edit::<Broker>(
        "mq/orders",
        &json!({"spec": {"scaleIn": {"ignoreConsumerGroups": ["billing"]}}}),
    );
    time_passes(&mut world, 20).await;
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
}

#[tokio::test]
async fn a_drain_waits_for_an_offline_group_that_never_came_to_consume_from_the_leaving_master() {
    for comes in [true, false] {
        let mut world = two_groups(0).await;
        let master = |pod| address(&world, pod);
        let (stays, leaves) = (master("orders-0-master-0"), master("orders-1-master-0"));
        world
            .rocketmq
            .becomes(&stays, |broker| broker.consumed("payments", "nightly", 0, 10));
        resize(&world, 1);
        time_passes(&mut world, 30).await;
        says(
            &world,
            "10 messages left; group nightly on topic payments: 10 messages",
        );
        assert!(world.find::<Pod>("mq/orders-1-master-0").is_some());
        if comes {
            world
                .rocketmq
                .becomes(&leaves, |broker| broker.consumed("payments", "nightly", 0, 10));
        } else {
            let ignored = json!({"spec": {"scaleIn": {"ignoreConsumerGroups": ["nightly"]}}});
            world.edit::<Broker>("mq/orders", &ignored);
        }
        time_passes(&mut world, 30).await;
        assert!(world.find::<Pod>("mq/orders-1-master-0").is_none(), "{comes}");
    }
}

#[tokio::test]
async fn a_drain_never_ends_by_itself_where_messages_are_kept_that_nobody_can_count() {
    let mut world = two_groups(0).await;
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.config("transRocksDBEnable", "true"));
    resize(&world, 1);
    time_passes(&mut world, 30).await;
    says(
        &world,
        "it cannot be told whether messages of open transactions are left (transRocksDBEnable=true); turn that off once \
         none are, or set spec.scaleIn.policy to Immediate",
    );
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_some());
    let immediate = json!({"spec": {"scaleIn": {"policy": "Immediate"}}});
    world.edit::<Broker>("mq/orders", &immediate);
    time_passes(&mut world, 20).await;
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_none());
    let events = world.events();
    let told = |event: &String| {
        event.contains("DroppingMessages") && event.contains("an unknown number of messages")
    };
    assert!(events.iter().any(told), "{events:#?}");
}

#[tokio::test]
async fn a_drain_asks_each_other_master_once_a_look_who_consumes_and_waits_while_one_does_not_tell() {
    let mut world = two_groups(3).await;
    let stays = address(&world, "orders-0-master-0");
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    world.rocketmq.forget_asked();
    world.reconcile_all().await.unwrap();
    let asked = world.rocketmq.asked();
    let asked = asked
        .iter()
        .filter(|asked| asked.address == stays && asked.request == "GET_ALL_CONSUMER_OFFSET");
    assert_eq!(asked.count(), 1);
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.consumed("payments", "billing", 0, 10));
    world.rocketmq.deaf(&stays);
    time_passes(&mut world, 20).await;
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_some());
    world.rocketmq.heal(&stays);
    time_passes(&mut world, 20).await;
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_none());
}

#[tokio::test]
async fn a_drain_waits_for_delayed_messages_of_which_no_level_delivered_any_yet() {
    let mut world = two_groups(0).await;
    let master = address(&world, "orders-1-master-0");
    world
        .rocketmq
        .becomes(&master, |broker| broker.version("V4_9_7").delayed(16, 0, 1));
    resize(&world, 1);
    time_passes(&mut world, 20).await;
    says(&world, "1 message left; 1 message delayed");
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_some());
    world.rocketmq.becomes(&master, |broker| broker.delayed(16, 1, 1));
    time_passes(&mut world, 20).await;
    assert!(world.find::<Pod>("mq/orders-1-master-0").is_none());
}
