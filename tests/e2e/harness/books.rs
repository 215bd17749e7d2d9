//! What a ledger's books say in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// What the books say in the end.
#[derive(Clone, Debug, Deserialize)]
pub struct Books {
    /// Per consumer group.
    pub groups: BTreeMap<String, Received>,
    /// What the producers got.
    pub produced: Produced,
}

/// What one consumer group received.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// Different messages.
    pub distinct: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Acknowledged messages that never came.
    pub missing: u64,
    /// Some of them.
    pub missing_sample: Vec<String>,
}

/// What the producers got.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Produced {
    /// Messages that were answered `SEND_OK`.
    pub acknowledged: u64,
    /// Other outcomes by name.
    pub refused: BTreeMap<String, u64>,
    /// The longest time in which no message was acknowledged, in milliseconds.
    pub longest_gap_ms: u64,
    /// Acknowledged messages a second.
    pub per_second: u64,
    /// Per topic, acknowledged messages by `broker/queue`.
    pub queues: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Books {
    /// Acknowledged messages that some group never received.
    pub fn lost(&self) -> u64 {
        self.groups.values().map(|group| group.missing).sum()
    }

    /// Every group has every acknowledged message.
    pub fn nothing_is_lost(&self) {
        let acknowledged = self.produced.acknowledged;
        assert!(acknowledged > 0 && !self.groups.is_empty(), "{self:?}");
        for (name, group) in &self.groups {
            let sample = &group.missing_sample;
            assert_eq!(group.missing, 0, "{name} never received {sample:?} and others");
            assert!(group.distinct >= acknowledged, "{name}: {group:?}");
        }
    }

    /// No group went back behind what it had consumed: nothing came again but the little that was not committed yet.
    pub fn nothing_came_again(&self) {
        for (name, group) in &self.groups {
            let again = group.duplicates;
            assert!(
                again * 20 < self.produced.acknowledged,
                "{name} received {again} messages again: {self:?}"
            );
        }
    }

    /// No longer than this was there no acknowledged message.
    pub fn no_gap_over(&self, longest: Duration) {
        let gap = Duration::from_millis(self.produced.longest_gap_ms);
        assert!(
            gap <= longest,
            "no message was acknowledged for {gap:?}: {:?}",
            self.produced
        );
    }

    /// How many messages a broker group acknowledged.
    pub fn taken_by(&self, broker: &str) -> u64 {
        let queues = self.produced.queues.values().flatten();
        let of_broker = queues.filter(|(queue, _)| queue.split('/').next() == Some(broker));
        of_broker.map(|(_, messages)| messages).sum()
    }

    /// One line for reports.
    pub fn figures(&self) -> String {
        let Produced {
            acknowledged,
            refused,
            longest_gap_ms,
            per_second,
            ..
        } = &self.produced;
        let duplicates: Vec<_> = self.groups.values().map(|group| group.duplicates).collect();
        format!(
            "{acknowledged} acknowledged, {per_second} a second, lost {}, duplicates {duplicates:?}, longest gap {longest_gap_ms} ms, \
             refused {refused:?}",
            self.lost()
        )
    }
}
