//! Transfers that are deleted or take too long: the source is as it was, or the transfer comes to its end.

use rocketmq_operator::api::{TopicTransfer, TransferPhase};

use crate::support::transfer::{MOVE, OLD, Two, ended, transfer};

#[tokio::test]
async fn undone_at_any_request_before_removal_the_source_is_as_it_was() {
    let first = Two::new().source();
    let mut undisturbed = Two::new();
    undisturbed.world.apply::<TopicTransfer>(transfer("move"));
    undisturbed.run().await;
    let changes = undisturbed.world.rocketmq.changes();
    let removal = changes
        .iter()
        .position(|asked| asked.request == "DELETE_TOPIC_IN_BROKER");
    for nth in 0..=removal.unwrap() {
        let mut two = Two::new();
        two.world.apply::<TopicTransfer>(transfer("move"));
        for _ in 0..400 {
            if two.world.rocketmq.changes().len() >= nth
                || two.phase() == TransferPhase::Draining && two.transfer().status.unwrap().lag == Some(0)
            {
                break;
            }
            two.look().await;
            two.pass(10);
        }
        two.world.delete::<TopicTransfer>(MOVE);
        two.run().await;
        assert!(
            two.world.find::<TopicTransfer>(MOVE).is_none(),
            "{nth}: {:#?}",
            two.told()
        );
        assert_eq!(two.source(), first, "{nth}");
    }
}

#[tokio::test]
async fn an_offline_group_with_backlog_is_waited_for_until_the_timeout_which_removes_nothing() {
    let mut two = Two::new();
    two.world.rocketmq.becomes(OLD[1], |master| {
        master
            .queue("payments", 3, 0, 20)
            .consumed("payments", "billing", 3, 7)
            .consumed("payments", "audit", 3, 20)
    });
    let before = two.source();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    two.look().await;
    two.says("group billing has 13 to consume at broker orders-1");
    let status = two.transfer().status.unwrap();
    assert_eq!(status.lag, Some(13));
    two.run().await;
    assert_eq!(two.phase(), TransferPhase::Undone);
    two.says("Degraded=True TimedOut: not done after 3600 s");
    two.says("group billing has 13 to consume");
    two.says("Complete=False Undone");
    let status = two.transfer().status.unwrap();
    assert_eq!((status.lag, status.groups.len()), (Some(13), 2));
    assert_eq!(two.source(), before);
    let told = two.world.rocketmq.changes();
    assert!(
        told.iter().all(|asked| !asked.request.starts_with("DELETE")),
        "{told:#?}"
    );
}

#[tokio::test]
async fn a_source_that_cannot_be_given_back_its_settings_does_not_hold_up_the_deletion_for_ever() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Draining).await;
    two.world.rocketmq.kill(OLD[1]);
    two.world.delete::<TopicTransfer>(MOVE);
    for _ in 0..3 {
        two.look().await;
    }
    two.says("Progressing=True Undoing: waiting: broker orders-1 of the source is listed by no name server");
    for _ in 0..80 {
        if two.world.find::<TopicTransfer>(MOVE).is_none() {
            break;
        }
        two.look().await;
        two.pass(10);
    }
    assert!(two.world.find::<TopicTransfer>(MOVE).is_none());
    let warning = "Warning NotUndone";
    assert!(
        two.world.events().iter().any(|event| event.starts_with(warning)),
        "{:#?}",
        two.world.events()
    );
    assert_eq!(
        two.world.rocketmq.broker_at(OLD[0]).unwrap().topics()["payments"].perm,
        6
    );
}

#[tokio::test]
async fn a_transfer_that_has_begun_to_remove_comes_to_its_end_although_it_is_deleted() {
    let mut two = Two::new();
    two.world.apply::<TopicTransfer>(transfer("move"));
    two.until(TransferPhase::Removing).await;
    two.look().await;
    assert_eq!(two.transfer().status.unwrap().removed, ["orders-0"]);
    two.world.delete::<TopicTransfer>(MOVE);
    two.run().await;
    assert!(ended(&two.world), "{:#?}", two.told());
    two.is_moved();
}
