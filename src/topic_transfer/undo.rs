//! The ways in which a transfer ends before its time, and how the source gets its settings back.

use super::machine::{BOUND_SECONDS, Decision, Transfer, ask, fails, to, wait};
use super::request::Request;
use super::seen::Cluster;
use crate::admin::TopicConfig;
use crate::api::{TopicTransferStatus, TransferCause, TransferPhase};

impl Transfer<'_> {
    /// A deleted transfer that has done nothing to the source goes at once; one that has is undone, or where that cannot be
    /// any more comes to its end.
    pub(super) fn ended_by_user(
        &self,
        memory: &TopicTransferStatus,
        phase: TransferPhase,
    ) -> Option<Decision> {
        if !self.deleted {
            return None;
        }
        let release = |memory: &TopicTransferStatus| Decision {
            release: true,
            ..wait(memory.clone(), "deleted")
        };
        let gone = matches!(&self.seen.source, Err(unknown) if unknown.gone);
        if gone || matches!(phase, TransferPhase::Pending | TransferPhase::Copying) {
            return Some(release(memory));
        }
        if !memory.removed.is_empty() {
            let since = memory.ending_since.as_ref();
            let late = since.is_some_and(|since| self.seconds_since(since) >= BOUND_SECONDS);
            return late.then(|| release(memory));
        }
        let why = "this TopicTransfer was deleted: the source gets its settings back".to_owned();
        (phase != TransferPhase::Undoing).then(|| self.undo(memory.clone(), TransferCause::Deleted, why))
    }

    pub(super) fn ended_by_time(
        &self,
        memory: &TopicTransferStatus,
        phase: TransferPhase,
    ) -> Option<Decision> {
        let started = memory.started_at.as_ref()?;
        let late = self.seconds_since(started) >= self.timeout_seconds;
        if !late || !memory.removed.is_empty() {
            return None;
        }
        let step = memory.step.as_deref().unwrap_or("nothing");
        let after = format!(
            "not done after {} s (spec.timeoutSeconds); last: {step}",
            self.timeout_seconds
        );
        let remedy = "see to what it waited for, then make a new TopicTransfer";
        match phase {
            TransferPhase::Copying => {
                let why = format!("{after}; the source was not touched: {remedy}");
                Some(fails(memory.clone(), (TransferCause::TimedOut, why)))
            }
            TransferPhase::Fencing | TransferPhase::Draining | TransferPhase::Removing => {
                let why = format!("{after}; nothing was removed, the source takes messages again: {remedy}");
                Some(self.undo(memory.clone(), TransferCause::TimedOut, why))
            }
            _ => None,
        }
    }

    fn undo(&self, mut memory: TopicTransferStatus, cause: TransferCause, why: String) -> Decision {
        memory.cause = Some(cause);
        memory.cause_message = Some(why);
        memory.ending_since = Some(self.now.clone());
        to(
            memory,
            TransferPhase::Undoing,
            "the source gets its settings back",
        )
    }

    pub(super) fn undoing(&self, mut memory: TopicTransferStatus) -> Decision {
        let open = match &self.seen.source {
            Err(unknown) => Err(unknown.message.clone()),
            Ok(source) => next_undo(&memory, source),
        };
        match open {
            Ok(None) => {
                let words = "the source is as it was; what the target got stays there";
                to(memory, TransferPhase::Undone, words)
            }
            Ok(Some((broker, topic))) => {
                let words = format!("broker {broker} gets its settings of the topic back");
                ask(memory, words, Request::ChangeTopic { broker, topic })
            }
            Err(why) => {
                let since = memory
                    .ending_since
                    .get_or_insert_with(|| self.now.clone())
                    .clone();
                if self.seconds_since(&since) < BOUND_SECONDS {
                    return wait(memory, format!("waiting: {why}"));
                }
                let first = memory.cause_message.clone().unwrap_or_default();
                let why = format!(
                    "{first}; not everything could be put back within {BOUND_SECONDS} s: {why}; give the topic its \
                     permission back there (status.source has it)"
                );
                fails(memory, (TransferCause::NotUndone, why))
            }
        }
    }
}

/// The next broker that has not its first settings again. An error tells whose are not known.
fn next_undo(
    memory: &TopicTransferStatus,
    source: &Cluster,
) -> Result<Option<(String, TopicConfig)>, String> {
    let mut unseen = None;
    for first in &memory.source {
        let broker = &first.broker;
        match source.masters.get(broker) {
            None => {
                unseen = Some(format!(
                    "broker {broker} of the source is listed by no name server"
                ));
            }
            Some(Err(why)) => unseen = Some(format!("broker {broker} of the source: {why}")),
            Some(Ok(master)) => {
                let back = master.topic.as_ref().map(|topic| TopicConfig {
                    read_queues: first.read_queues,
                    write_queues: first.write_queues,
                    perm: first.perm,
                    ..topic.clone()
                });
                if let Some(back) = back.filter(|back| Some(back) != master.topic.as_ref()) {
                    return Ok(Some((broker.clone(), back)));
                }
            }
        }
    }
    unseen.map_or(Ok(None), Err)
}
