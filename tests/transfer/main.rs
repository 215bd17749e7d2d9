//! Topics that move to another cluster, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

#[path = "../support/mod.rs"]
mod support;
mod under_way;
mod undone;

use rocketmq_operator::admin::fake::Moment;
use rocketmq_operator::admin::{Admin, ORDER_TOPICS, SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::{Broker, TopicTransfer, TopicTransferSpec, TransferPhase};
use serde_json::json;
use support::fixtures::broker;
use support::transfer::{MOVE, NEW, OLD, SOURCE_SERVERS, TARGET_SERVERS, Two, named, spec, transfer};

#[tokio::test]
async fn a_topic_moves_with_its_queues_attributes_and_groups_and_is_gone_from_every_broker_and_name_server() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    two.is_moved();
    for line in ["Ready=True Copied", "Complete=True Succeeded", "Degraded=False"] {
        two.says(line);
    }
    let transfer = two.transfer();
    assert_eq!(
        transfer.metadata.finalizers.unwrap_or_default(),
        Vec::<String>::new()
    );
    let events = two.world.events();
    for phase in ["Copying", "Fencing", "Draining", "Removing", "Succeeded"] {
        let start = format!("Normal {phase}");
        assert!(
            events.iter().any(|event| event.starts_with(&start)),
            "{phase}: {events:#?}"
        );
    }
}

#[tokio::test]
async fn a_finished_transfer_does_nothing_ever_again() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    // Somebody makes a topic of that name again.
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.topic(TopicConfig::new("payments", 4)));
    two.world.restart_operator();
    two.world.rocketmq.forget_asked();
    two.world.api.writes();
    for _ in 0..3 {
        two.look().await;
    }
    assert_eq!(two.world.rocketmq.asked(), []);
    assert_eq!(two.world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn the_end_is_the_same_if_the_operator_is_killed_after_or_before_any_request_to_rocketmq() {
    let mut undisturbed = Two::new();
    undisturbed.world.apply::<TopicTransfer>(transfer("move"));
    undisturbed.run().await;
    let end = undisturbed.everything();
    let requests = undisturbed.world.rocketmq.changes().len();
    // Of two groups in 12 queues each, 24 say where a consumer begins.
    assert_eq!(requests, 9 + 24);
    for moment in [Moment::Before, Moment::After] {
        for nth in 1..=requests {
            let mut two = Two::new();
            two.world.apply::<TopicTransfer>(transfer("move"));
            two.world.rocketmq.fails_at_change(nth, moment);
            two.run_with_restarts().await;
            assert_eq!(
                two.phase(),
                TransferPhase::Succeeded,
                "{moment:?} {nth}: {:#?}",
                two.told()
            );
            assert_eq!(two.everything(), end, "{moment:?} {nth}");
        }
    }
}

#[tokio::test]
async fn the_end_is_the_same_if_the_operator_dies_after_any_write_to_kubernetes() {
    let mut undisturbed = Two::new();
    undisturbed.world.apply::<TopicTransfer>(transfer("move"));
    undisturbed.world.api.writes();
    undisturbed.run().await;
    let end = undisturbed.everything();
    let writes = undisturbed.world.api.writes().len();
    for nth in 1..=writes {
        let mut two = Two::new();
        two.world.apply::<TopicTransfer>(transfer("move"));
        two.world.api.crash_after_write(nth);
        for _ in 0..400 {
            two.look().await;
            if two.world.api.has_crashed() {
                break;
            }
            two.pass(10);
        }
        two.world.api.heal();
        two.world.restart_operator();
        two.run().await;
        assert_eq!(two.phase(), TransferPhase::Succeeded, "{nth}: {:#?}", two.told());
        assert_eq!(two.everything(), end, "{nth}");
    }
}

#[tokio::test]
async fn consumers_skip_nothing_where_the_target_remembers_an_earlier_topic_of_that_name() {
    let mut two = Two::of_versions("V4_9_7", "V4_9_7");
    two.world.rocketmq.becomes(NEW, |master| {
        master
            .consumed("payments", "billing", 0, 40)
            .consumed("payments", "gone", 5, 7)
    });
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Fencing).await;
    let offsets = two.world.rocketmq.consumer_offsets(NEW).await.unwrap();
    let of = |group: &str| {
        offsets.topics["payments"][group]
            .values()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("billing"),
        [0; 12],
        "the others too: left to itself it begins at the end"
    );
    assert_eq!(of("gone"), [7], "a group that is not there is nobody's");
    two.run().await;
    two.is_moved();
}

#[tokio::test]
async fn messages_that_nobody_is_to_consume_are_counted_before_they_go() {
    let mut two = Two::new();
    let spec = TopicTransferSpec {
        consumer_groups: Some(vec![]),
        ..spec()
    };
    two.world.apply::<TopicTransfer>(named("move", spec));
    two.run().await;
    let words =
        "no consumer group is waited for: the 20 messages that the source still holds go with the topic";
    let events = two.world.events();
    assert!(events.iter().any(|event| event.contains(words)), "{events:#?}");
}

#[tokio::test]
async fn a_groups_attributes_move_too_and_are_not_lost_at_a_target_that_knows_none() {
    for (target, moves) in [("V5_5_0", true), ("V5_3_3", false), ("V4_9_7", false)] {
        let mut two = Two::of_versions("V5_5_0", target);
        let billing = SubscriptionGroup::new("billing").with("attributes", json!({"priority.factor": "7"}));
        for old in OLD {
            two.world.rocketmq.becomes(old, |master| {
                let mut plain = TopicConfig::new("payments", 12);
                plain.attributes.clear();
                master.topic(plain).group(&billing)
            });
        }
        two.world.apply::<TopicTransfer>(transfer("move"));
        two.run().await;
        if moves {
            assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
            let groups = two.world.rocketmq.subscription_groups(NEW).await.unwrap();
            let moved = &groups.groups["billing"].settings;
            assert_eq!(moved["attributes"], billing.settings["attributes"]);
        } else {
            two.says("Degraded=True TargetTooOld");
            two.says("group \"billing\" has {\"priority.factor\":\"7\"}");
        }
    }
}

#[tokio::test]
async fn messages_that_come_after_all_send_it_back_to_draining() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Removing).await;
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.queue("payments", 0, 0, 11));
    two.look().await;
    assert_eq!(two.phase(), TransferPhase::Draining);
    two.pass(300);
    two.look().await;
    two.says("to consume at broker orders-0");
    two.world.rocketmq.becomes(OLD[0], |master| {
        let master = master.consumed("payments", "billing", 0, 11);
        master.consumed("payments", "audit", 0, 11)
    });
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded);
    two.is_moved();
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_waited_for_in_every_phase() {
    for phase in [
        TransferPhase::Pending,
        TransferPhase::Copying,
        TransferPhase::Fencing,
        TransferPhase::Draining,
        TransferPhase::Removing,
    ] {
        for address in [OLD[0], OLD[1], NEW, SOURCE_SERVERS[1], TARGET_SERVERS[0]] {
            let mut two = Two::new();
            two.world.apply::<TopicTransfer>(transfer("move"));
            two.until(phase).await;
            two.world.rocketmq.deaf(address);
            two.world.rocketmq.forget_asked();
            for _ in 0..20 {
                two.look().await;
                two.pass(10);
            }
            assert_eq!(two.phase(), phase, "{address}: {:#?}", two.told());
            assert_eq!(two.world.rocketmq.changes(), [], "{phase:?} {address}");
            two.says("did not answer");
            two.world.rocketmq.heal(address);
            two.run().await;
            assert_eq!(two.phase(), TransferPhase::Succeeded, "{phase:?} {address}");
            two.is_moved();
        }
    }
}

#[tokio::test]
async fn a_broker_that_went_away_while_it_drained_is_waited_for() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    let gone = two.world.rocketmq.broker_at(OLD[1]).unwrap();
    two.world.rocketmq.kill(OLD[1]);
    for _ in 0..20 {
        two.look().await;
        two.pass(10);
    }
    two.says("broker orders-1 of cluster orders is listed by no name server");
    two.world.rocketmq.broker(gone);
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded);
    two.is_moved();
}

#[tokio::test]
async fn a_target_that_has_the_topic_or_a_group_with_other_settings_is_refused() {
    let mut two = Two::new();
    two.world
        .rocketmq
        .becomes(NEW, |master| master.topic(TopicConfig::new("payments", 8)));
    let first = two.everything();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Failed);
    two.says("Degraded=True TargetDiffers: broker stock-0 of the target has topic \"payments\" with readQueueNums 8 instead of 12");
    assert_eq!(two.everything(), first);

    let mut two = Two::new();
    let other = rocketmq_operator::admin::SubscriptionGroup::new("billing").with("retryMaxTimes", 9);
    two.world.rocketmq.becomes(NEW, |master| master.group(&other));
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Failed);
    two.says(
        "GroupDiffers: broker stock-0 of the target has group \"billing\" with other settings: retryMaxTimes",
    );
    assert_eq!(two.world.rocketmq.changes(), []);
}

#[tokio::test]
async fn of_two_transfers_of_a_topic_the_second_is_refused() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.world.apply::<TopicTransfer>(transfer("again"));
    two.world.reconcile_transfer("mq/again").await.unwrap();
    let again = two.world.conditions::<TopicTransfer>("mq/again");
    let refused = again.iter().any(|line| {
        line.starts_with(
            "Degraded=True AnotherTransfer: TopicTransfer mq/move moves topic \"payments\" already",
        )
    });
    assert!(refused, "{again:#?}");
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded);
    two.is_moved();
}

#[tokio::test]
async fn an_unknown_cluster_is_told_with_its_field_and_the_transfer_begins_when_it_appears() {
    let mut two = Two::new();
    let mut by_name = spec();
    by_name.source_name_servers = None;
    two.world.apply::<TopicTransfer>(named("move", by_name));
    two.look().await;
    two.look().await;
    two.says(
        "Degraded=True UnknownCluster: spec.sourceCluster: there is no Broker \"orders\" in namespace mq",
    );
    let servers = SOURCE_SERVERS.join(";");
    two.world.apply::<Broker>(broker("orders").name_servers(&servers));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    two.is_moved();
}

#[tokio::test]
async fn a_topic_and_a_group_that_are_not_there_are_told_with_their_field() {
    let mut two = Two::new();
    let mut typo = spec();
    typo.topic = "payment".to_owned();
    two.world.apply::<TopicTransfer>(named("move", typo));
    two.look().await;
    two.says(
        "Degraded=True TopicNotFound: spec.topic: no broker of cluster \"orders\" has topic \"payment\"",
    );
    two.world.edit::<TopicTransfer>(
        MOVE,
        &json!({"spec": {"topic": "payments", "consumerGroups": ["biling"]}}),
    );
    two.look().await;
    two.says("Degraded=True GroupNotFound: spec.consumerGroups");
    assert_eq!(two.world.rocketmq.changes(), []);
}

#[tokio::test]
async fn a_topic_that_nobody_consumes_moves_too() {
    let mut two = Two::new();
    let mut quiet = spec();
    quiet.topic = "parcels".to_owned();
    two.world
        .rocketmq
        .becomes(OLD[0], |master| master.topic(TopicConfig::new("parcels", 3)));
    two.world.apply::<TopicTransfer>(named("move", quiet));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    let target = two.world.rocketmq.broker_at(NEW).unwrap();
    assert_eq!(target.topics()["parcels"].read_queues, 3);
    assert!(
        !target.groups().contains_key("billing"),
        "who does not consume it does not move"
    );
}

#[tokio::test]
async fn only_the_groups_that_are_named_are_copied_and_waited_for() {
    let mut two = Two::new();
    two.world.rocketmq.becomes(OLD[0], |master| {
        master
            .queue("payments", 0, 0, 12)
            .consumed("payments", "billing", 0, 12)
    });
    let mut only = spec();
    only.consumer_groups = Some(vec!["billing".to_owned()]);
    two.world.apply::<TopicTransfer>(named("move", only));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    let target = two.world.rocketmq.broker_at(NEW).unwrap();
    assert!(target.groups().contains_key("billing") && !target.groups().contains_key("audit"));
}

#[tokio::test]
async fn an_order_topic_stays_one_on_every_name_server() {
    let mut two = Two::new();
    for server in SOURCE_SERVERS {
        two.world
            .rocketmq
            .kv(server, ORDER_TOPICS, "payments", "orders-0:12;orders-1:12");
    }
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    for (servers, entry) in [
        (&SOURCE_SERVERS[..], None),
        (&TARGET_SERVERS[..], Some("stock-0:12")),
    ] {
        for server in servers {
            let kept = two.world.rocketmq.kv_list(server, ORDER_TOPICS).await.unwrap();
            assert_eq!(kept.get("payments").map(String::as_str), entry, "{server}");
        }
    }
    assert!(two.world.rocketmq.broker_at(NEW).unwrap().topics()["payments"].order);
}

#[tokio::test]
async fn from_4_5_0_a_topic_moves_to_5_5_0_and_one_with_attributes_not_the_other_way() {
    let mut two = Two::of_versions("V4_5_0", "V5_5_0");
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded, "{:#?}", two.told());
    two.is_moved();

    let mut two = Two::of_versions("V5_5_0", "V4_5_0");
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Failed);
    two.says("TargetTooOld: broker stock-0 of the target is of a version that knows no attributes");
    assert_eq!(two.world.rocketmq.changes(), []);
}

#[tokio::test]
async fn what_rocketmq_refuses_is_told_and_tried_again() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Copying).await;
    two.world.rocketmq.fails_at_change(1, Moment::Before);
    assert!(two.world.reconcile_transfer(MOVE).await.is_err());
    two.says("Degraded=True RequestFailed");
    two.look().await;
    two.says("Degraded=False");
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Succeeded);
}

#[tokio::test]
async fn a_stale_cache_cannot_take_back_what_is_remembered() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    two.look().await;
    two.until(TransferPhase::Removing).await;
    // The caches still hold Draining; what is decided from that is refused as a conflict, or is the same.
    let done = two.world.reconcile_transfer_with_old_caches(MOVE).await;
    assert!(done.is_err() || two.phase() == TransferPhase::Removing);
    assert_eq!(two.phase(), TransferPhase::Removing);
    assert!(
        two.world
            .rocketmq
            .broker_at(OLD[0])
            .unwrap()
            .topics()
            .contains_key("payments")
    );
}
