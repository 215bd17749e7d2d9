//! The `TopicTransfer` reconciler: observe, decide, remember, tell RocketMQ one thing.
//!
//! [`machine`] decides and is pure; [`seen`] is what it decides from. Its whole memory is the status, which is written only
//! over the very version that it was read from, and before anything is told that follows from it.

pub mod copy;
pub mod machine;
pub mod observe;
pub mod order;
pub mod request;
pub mod seen;
pub mod sides;
pub mod status;

mod apply;
mod drain;
mod under_way;
mod undo;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod properties;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;

pub use self::apply::FINALIZER;

use self::apply::Kept;
use self::machine::{Decision, Transfer};
use self::observe::Wanted;
use crate::api::{TRANSFER_TIMEOUT_SECONDS, TopicTransfer, TopicTransferStatus, TransferPhase};
use crate::context::Context;
use crate::error::Error;
use crate::k8s::cadence;
use crate::k8s::labels::{PAUSED, Switches};
use crate::k8s::status::{announce, now, write_over};

/// How soon it is looked what came of a request.
const SOON: Duration = Duration::from_millis(200);

/// Brings a transfer one step further, and reports.
pub async fn reconcile(transfer: Arc<TopicTransfer>, ctx: Arc<Context>) -> Result<Action, Error> {
    let deleted = transfer.metadata.deletion_timestamp.is_some();
    let kept = apply::is_kept(&transfer);
    let memory = transfer.status.clone().unwrap_or_default();
    if memory.phase.unwrap_or_default().is_final() || (deleted && !kept) {
        if kept {
            apply::keep(&transfer, Kept::No, &ctx).await?;
        }
        return Ok(Action::await_change());
    }
    if let Some(decision) = held_back(&transfer, &memory) {
        report(
            &transfer,
            status::status(&transfer, &decision, None, &now()),
            &ctx,
        )
        .await?;
        return Ok(cadence::rejected(&*transfer));
    }
    let places = sides::find(&transfer, &ctx).await?;
    let wanted = Wanted {
        topic: &transfer.spec.topic,
        groups: transfer.spec.consumer_groups.as_deref(),
        copying: matches!(
            memory.phase.unwrap_or_default(),
            TransferPhase::Pending
                | TransferPhase::Copying
                | TransferPhase::Fencing
                | TransferPhase::Draining
        ),
    };
    let seen = observe::observe(&places, wanted, sides::rival(&transfer, &ctx)).await;
    let now = now();
    let decision = machine::step(&Transfer {
        topic: wanted.topic,
        groups: wanted.groups,
        timeout_seconds: transfer.spec.timeout_seconds.unwrap_or(TRANSFER_TIMEOUT_SECONDS),
        deleted,
        memory: &memory,
        now: &now,
        seen: &seen,
    });
    if decision.release {
        apply::keep(&transfer, Kept::No, &ctx).await?;
        return Ok(Action::await_change());
    }
    let begins = decision.memory.phase != Some(TransferPhase::Pending);
    if begins && !kept && decision.memory.cause.is_none() {
        apply::keep(&transfer, Kept::Yes, &ctx).await?;
        return Ok(Action::requeue(SOON));
    }
    let trouble = status::last_trouble(&transfer).filter(|_| decision.request.is_some());
    let next = status::status(&transfer, &decision, trouble.as_deref(), &now);
    let stored = report(&transfer, next, &ctx).await?;
    let Some(request) = &decision.request else {
        return Ok(again(&transfer, &decision));
    };
    match apply::tell(request, wanted.topic, &seen, &places).await {
        Ok(()) if trouble.is_none() => {}
        Ok(()) => {
            let next = status::status(&stored, &decision, None, &now);
            report(&stored, next, &ctx).await?;
        }
        Err(err) => {
            let next = status::status(&stored, &decision, Some(&err.to_string()), &now);
            report(&stored, next, &ctx).await?;
            return Err(err.into());
        }
    }
    Ok(Action::requeue(SOON))
}

/// Why nothing is done, not even looked.
fn held_back(transfer: &TopicTransfer, memory: &TopicTransferStatus) -> Option<Decision> {
    let spec = &transfer.spec;
    if Switches::of(transfer.annotations()).paused && transfer.metadata.deletion_timestamp.is_none() {
        return Some(machine::wait(
            memory.clone(),
            format!("paused by the annotation {PAUSED}"),
        ));
    }
    let empty = [
        (&spec.topic, "topic"),
        (&spec.source_cluster, "sourceCluster"),
        (&spec.target_cluster, "targetCluster"),
    ];
    let empty = empty.iter().find(|(value, _)| value.is_empty());
    let unreadable = spec.unreadable.first().map(|why| format!("spec.{why}"));
    let why = unreadable.or_else(|| empty.map(|(_, field)| format!("spec.{field} must not be empty")))?;
    Some(machine::wait_for_user(memory.clone(), ("InvalidSpec", why)))
}

/// When to look again when nothing was told.
fn again(transfer: &TopicTransfer, decision: &Decision) -> Action {
    let memory = &decision.memory;
    let phase = memory.phase.unwrap_or_default();
    if phase.is_final() {
        // To let it go.
        return Action::requeue(SOON);
    }
    // Consumers take as long as they need.
    let slowly = decision.degraded.is_some()
        || (phase == TransferPhase::Draining && memory.lag.is_some_and(|lag| lag > 0));
    cadence::next(transfer, slowly)
}

/// Writes a status if it differs, and gives the transfer as it is stored then.
async fn report(
    transfer: &TopicTransfer,
    next: TopicTransferStatus,
    ctx: &Context,
) -> Result<TopicTransfer, Error> {
    let before = transfer.status.clone().unwrap_or_default();
    if transfer.status.as_ref() == Some(&next) {
        return Ok(transfer.clone());
    }
    let stored = write_over(ctx, transfer, &next).await?;
    announce(ctx, transfer, &before.conditions, &next.conditions).await;
    Ok(stored)
}
