//! What a transfer tells its user.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::machine::Decision;
use crate::api::{TopicTransfer, TopicTransferStatus, TransferCause, TransferPhase};
use crate::k8s::conditions::{self, COMPLETE, DEGRADED, PROGRESSING, READY, Says};

/// The reason of `Degraded` when RocketMQ refused what it was told.
const REQUEST_FAILED: &str = "RequestFailed";

/// The status that follows from a decision. `trouble` is what RocketMQ said when it was told something last.
#[must_use]
pub fn status(
    transfer: &TopicTransfer,
    decision: &Decision,
    trouble: Option<&str>,
    now: &Time,
) -> TopicTransferStatus {
    let memory = &decision.memory;
    let phase = memory.phase.unwrap_or_default();
    let step = memory.step.clone().unwrap_or_default();
    let before = transfer
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice());
    let says = vec![
        (READY, ready(transfer, phase)),
        (PROGRESSING, progressing(phase, &step)),
        (DEGRADED, degraded(decision, trouble)),
        (COMPLETE, complete(phase, &step)),
    ];
    TopicTransferStatus {
        observed_generation: transfer.metadata.generation,
        conditions: conditions::next(
            before.unwrap_or_default(),
            transfer.metadata.generation,
            now,
            says,
        ),
        ..memory.clone()
    }
}

/// What RocketMQ said when it was told something last, as the status has it.
#[must_use]
pub fn last_trouble(transfer: &TopicTransfer) -> Option<String> {
    let status = transfer.status.as_ref()?;
    let degraded: &Condition = conditions::find(&status.conditions, DEGRADED)?;
    (degraded.status == "True" && degraded.reason == REQUEST_FAILED).then(|| degraded.message.clone())
}

/// Whether clients can go to the target.
fn ready(transfer: &TopicTransfer, phase: TransferPhase) -> Says {
    let (topic, target) = (&transfer.spec.topic, &transfer.spec.target_cluster);
    match phase {
        TransferPhase::Pending | TransferPhase::Copying => Says::no(
            "NotCopied",
            format!("cluster {target} has not all of topic {topic} yet"),
        ),
        TransferPhase::Fencing
        | TransferPhase::Draining
        | TransferPhase::Removing
        | TransferPhase::Succeeded => Says::yes(
            "Copied",
            format!(
                "cluster {target} has topic {topic} and its groups: producers and consumers can go there"
            ),
        ),
        TransferPhase::Undoing | TransferPhase::Undone | TransferPhase::Failed => Says::no(
            "NotMoved",
            format!("topic {topic} does not move to cluster {target}"),
        ),
    }
}

fn progressing(phase: TransferPhase, step: &str) -> Says {
    if phase.is_final() {
        Says::no(phase.as_str(), step)
    } else {
        Says::yes(phase.as_str(), step)
    }
}

fn complete(phase: TransferPhase, step: &str) -> Says {
    match phase {
        TransferPhase::Succeeded => Says::yes("Succeeded", step),
        TransferPhase::Undone | TransferPhase::Failed => Says::no(phase.as_str(), step),
        _ => Says::no("InProgress", "the topic is not at the target only"),
    }
}

fn degraded(decision: &Decision, trouble: Option<&str>) -> Says {
    let memory = &decision.memory;
    match (&decision.degraded, trouble, memory.cause) {
        (Some((reason, words)), ..) => Says::yes(reason, words.clone()),
        (None, Some(trouble), _) => Says::yes(REQUEST_FAILED, trouble),
        // What its user asked for is no trouble.
        (None, None, None | Some(TransferCause::Deleted)) => Says::no("AsExpected", ""),
        (None, None, Some(cause)) => {
            Says::yes(cause.as_str(), memory.cause_message.clone().unwrap_or_default())
        }
    }
}
