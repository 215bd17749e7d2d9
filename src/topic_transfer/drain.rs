//! Whether the source's topic may be removed: nobody can write to it, and nobody has anything left to consume.

use std::collections::BTreeMap;

use super::machine::{QUIET_SECONDS, Transfer, is_open};
use super::seen::{Cluster, Held};
use super::under_way;
use crate::api::{GroupLag, TopicTransferStatus};
use crate::broker::backlog::NAMED;

/// Why the source's topic may not be removed.
pub(super) enum Blocked {
    /// Somebody may write to it.
    Open,
    /// Not yet.
    Wait(String),
}

impl Transfer<'_> {
    /// Whether nobody can write to the source, nobody has anything left to consume there, and the target answers for all.
    pub(super) fn settled(
        &self,
        memory: &mut TopicTransferStatus,
        source: &Cluster,
        target: &Cluster,
    ) -> Result<(), Blocked> {
        let held = self.held(source);
        count(memory, &held);
        if source.holders().any(|(_, _, topic)| is_open(topic)) || source.open_at().is_some() {
            return Err(Blocked::Open);
        }
        let quiet = self.quiet(memory, source, &held);
        if let Some(why) = still_held(&held) {
            memory.under_way.clear();
            return Err(Blocked::Wait(why));
        }
        quiet.map_err(Blocked::Wait)?;
        under_way::delivered(memory, &held, self.now).map_err(Blocked::Wait)?;
        if !matches!(self.next_copy(memory, source, target), Ok(None)) {
            return Err(Blocked::Wait("waiting: the target has not all of it".to_owned()));
        }
        self.served(memory, target)
            .map_err(|why| Blocked::Wait(format!("waiting: {why}")))
    }

    /// What each master of the source holds for the groups that are waited for.
    pub(super) fn held(&self, source: &Cluster) -> BTreeMap<String, Held> {
        let groups = match self.groups {
            Some(groups) => groups.iter().cloned().collect(),
            None => source.waiting(self.topic),
        };
        let masters = source.answering();
        masters
            .filter_map(|(broker, master)| {
                let facts = master.facts.as_ref()?;
                Some((broker.clone(), Held::of(facts, self.topic, &groups)))
            })
            .collect()
    }

    /// In words, that all is consumed; or, if there was nobody to wait for, what goes with the topic.
    pub(super) fn farewell(&self, memory: &TopicTransferStatus, source: &Cluster) -> String {
        let facts = source.answering().filter_map(|(_, master)| master.facts.as_ref());
        let queues = facts
            .filter_map(|facts| facts.queues.get(self.topic))
            .flat_map(BTreeMap::values);
        let left = queues.map(|queue| queue.max.saturating_sub(queue.min).max(0));
        let left = left.fold(0, i64::saturating_add);
        if left == 0 || !memory.groups.is_empty() {
            return "everything is consumed; the source forgets the topic".to_owned();
        }
        format!(
            "no consumer group is waited for: the {left} messages that the source still holds go with the topic"
        )
    }

    /// Whether no message has come for long enough. The count and its time are remembered.
    pub(super) fn quiet(
        &self,
        memory: &mut TopicTransferStatus,
        source: &Cluster,
        held: &BTreeMap<String, Held>,
    ) -> Result<(), String> {
        let counts = source.holders().map(|(broker, ..)| {
            let count = held.get(broker).map(|held| held.written);
            (broker, count)
        });
        let counts: BTreeMap<_, _> = counts.collect();
        let still = counts
            .iter()
            .all(|(broker, count)| count.is_some() && memory.written.get(*broker) == count.as_ref());
        let since = memory.quiet_since.clone().filter(|_| still);
        if since.is_none() {
            memory.quiet_since = Some(self.now.clone());
            memory.under_way.clear();
            let counts = counts.into_iter();
            let known = counts.filter_map(|(broker, count)| Some((broker.clone(), count?)));
            memory.written.extend(known);
        }
        match since {
            Some(since) if self.seconds_since(&since) >= QUIET_SECONDS => Ok(()),
            _ => Err(format!(
                "waiting until no message has arrived at the source for {QUIET_SECONDS} s"
            )),
        }
    }
}

/// Remembers how much each group has still to consume.
pub(super) fn count(memory: &mut TopicTransferStatus, held: &BTreeMap<String, Held>) {
    let mut groups: BTreeMap<&String, i64> = BTreeMap::new();
    for (group, lag) in held.values().flat_map(|held| &held.lag) {
        let sum = groups.entry(group).or_default();
        *sum = sum.saturating_add(*lag);
    }
    memory.lag = Some(groups.values().copied().fold(0, i64::saturating_add));
    memory.groups = groups
        .into_iter()
        .map(|(name, lag)| GroupLag {
            name: name.clone(),
            lag,
        })
        .collect();
}

/// What is not consumed yet, in words.
fn still_held(held: &BTreeMap<String, Held>) -> Option<String> {
    let mut words = Vec::new();
    for (broker, held) in held {
        for (group, lag) in held.lag.iter().filter(|(_, lag)| **lag > 0) {
            words.push(format!("group {group} has {lag} to consume at broker {broker}"));
        }
        for one in &held.uncounted {
            words.push(format!("broker {broker}: {one}, perhaps of this topic"));
        }
        for (number, what) in [
            (held.half, "messages of open transactions"),
            (held.timed, "messages in timers"),
            (held.undispatched, "bytes of messages not yet in their queues"),
        ] {
            if number > 0 {
                words.push(format!(
                    "broker {broker} has {number} {what}, perhaps of this topic"
                ));
            }
        }
    }
    let more = words.len().saturating_sub(NAMED);
    words.truncate(NAMED);
    let rest = (more > 0).then(|| format!("{more} more"));
    let words: Vec<_> = words.into_iter().chain(rest).collect();
    (!words.is_empty()).then(|| format!("waiting: {}", words.join(", ")))
}
