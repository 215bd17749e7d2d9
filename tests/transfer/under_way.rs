//! Messages that are on their way to a consumer and stand in none of its queues.

use rocketmq_operator::admin::TopicConfig;
use rocketmq_operator::api::{TopicTransfer, TransferPhase};

use crate::support::transfer::{OLD, Two, transfer};

#[tokio::test]
async fn what_waits_for_its_next_try_is_waited_for_but_not_what_others_delay() {
    let mut two = Two::new();
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.delayed(3, 5, 9));
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    for _ in 0..8 {
        two.look().await;
    }
    two.says("delayed messages are to be delivered at broker orders-0");
    assert_eq!(two.phase(), TransferPhase::Draining);
    // One of them is to be retried by a group: it has to be consumed, and all is looked at anew.
    let retry = "%RETRY%billing";
    two.world.rocketmq.becomes(OLD[0], |master| {
        let master = master.topic(TopicConfig::new(retry, 1));
        master.delayed(3, 9, 40).queue(retry, 0, 0, 1)
    });
    two.look().await;
    two.says("group billing has 1 to consume at broker orders-0");
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.consumed(retry, "billing", 0, 1));
    for _ in 0..8 {
        two.look().await;
    }
    assert_eq!(two.phase(), TransferPhase::Draining);
    // Others delay more and more.
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.delayed(3, 40, 400));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded);
}

#[tokio::test]
async fn a_message_that_waits_for_its_next_try_is_waited_for_also_where_its_broker_does_not_tell_of_it() {
    let mut two = Two::of_versions("V4_9_7", "V4_9_7");
    two.world
        .rocketmq
        .becomes(OLD[1], |master| master.delayed(16, 0, 1));
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    for _ in 0..20 {
        two.look().await;
        two.pass(10);
    }
    two.says("delayed messages are to be delivered at broker orders-1");
    assert_eq!(two.phase(), TransferPhase::Draining);
    two.world
        .rocketmq
        .becomes(OLD[1], |master| master.delayed(16, 1, 1));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
}

#[tokio::test]
async fn messages_that_nobody_can_count_keep_the_topic_at_the_source() {
    let mut two = Two::new();
    let pops = |two: &Two, value| {
        let key = "popConsumerKVServiceEnable";
        two.world
            .rocketmq
            .becomes(OLD[1], |master| master.config(key, value));
    };
    pops(&two, "true");
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    for _ in 0..20 {
        two.look().await;
        two.pass(10);
    }
    two.says("broker orders-1: it cannot be told whether messages that were popped");
    assert_eq!(two.phase(), TransferPhase::Draining);
    pops(&two, "false");
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
}
