//! What a broker keeps on its disk.

use std::collections::BTreeMap;

use super::troubles::Fault;
use crate::admin::system::SCHEDULE_TOPIC;
use crate::admin::{
    ATTRIBUTES, Attributes, ConsumeStats, ConsumedQueue, ConsumerOffsets, DataVersion, Progress, Queue,
    QueueOffsets, SubscriptionGroup, TopicConfig, Version,
};

/// Attributes of topics that cannot be changed: RocketMQ 5.3.3 `TopicAttributes`.
const FIXED: [&str; 2] = ["cleanup.policy", "queue.type"];

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) topics: BTreeMap<String, TopicConfig>,
    /// Put and not there yet: brokers before 4.7.1 answer first.
    pending: Vec<TopicConfig>,
    pub(super) groups: BTreeMap<String, SubscriptionGroup>,
    pub(super) offsets: ConsumerOffsets,
    /// By topic and queue id.
    pub(super) queues: BTreeMap<String, BTreeMap<i32, QueueOffsets>>,
    /// By delay level: how many messages were delivered.
    pub(super) delayed: BTreeMap<i32, i64>,
    /// Of topics, groups alike.
    pub(super) version: DataVersion,
}

impl Store {
    /// What every broker makes for itself, where it is not there.
    pub(super) fn add_system(&mut self, cluster: &str, broker_name: &str, version: Version) {
        for (name, queues, perm) in [
            ("TBW102", 8, 7),
            ("SELF_TEST_TOPIC", 1, 6),
            ("OFFSET_MOVED_EVENT", 1, 6),
            (cluster, 16, 7),
            (broker_name, 1, 7),
        ] {
            let mut topic = TopicConfig::new(name, queues);
            topic.perm = perm;
            self.topics.entry(name.to_owned()).or_insert(topic);
        }
        if version.has_schedule_topic() {
            let topic = TopicConfig::new(SCHEDULE_TOPIC, 18);
            self.topics.entry(topic.name.clone()).or_insert(topic);
        }
        for name in ["TOOLS_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONSAPI_PULL"] {
            if !self.groups.contains_key(name) {
                self.put_group(&SubscriptionGroup::new(name), version);
            }
        }
    }

    pub(super) fn put_topic(
        &mut self,
        topic: &TopicConfig,
        attributes: Attributes,
        version: Version,
    ) -> Result<(), Fault> {
        let known = self.topics.get(&topic.name);
        let mut put = topic.clone();
        put.attributes = known.map(|known| known.attributes.clone()).unwrap_or_default();
        if attributes == Attributes::Create && version.has_attributes() {
            let fixed = topic.attributes.keys().any(|name| FIXED.contains(&name.as_str()));
            if known.is_some() && fixed {
                return Err(Fault::refused(1, "attempt to update an unchangeable attribute"));
            }
            put.attributes.extend(topic.attributes.clone());
        }
        if !version.honours_order() {
            put.order = known.is_some_and(|known| known.order);
        }
        self.pending.push(put);
        if version.answers_after_topic_is_put() {
            self.settle();
        }
        Ok(())
    }

    /// What was put is there.
    pub(super) fn settle(&mut self) {
        for topic in std::mem::take(&mut self.pending) {
            self.topics.insert(topic.name.clone(), topic);
            self.version.counter += 1;
        }
    }

    pub(super) fn delete_topic(&mut self, topic: &str, version: Version) {
        self.topics.remove(topic);
        self.queues.remove(topic);
        if version.deletes_offsets_with_topic() {
            self.offsets.topics.remove(topic);
        }
        self.version.counter += 1;
    }

    /// As fastjson reads it: what is not given has its default, and before 5.0.0 what is not known is dropped. Whether it is
    /// taken: attributes of a group are not before there are any.
    pub(super) fn put_group(&mut self, group: &SubscriptionGroup, version: Version) -> bool {
        let refused = version.has_attributes() && !version.has_group_attributes();
        if refused && group.settings.contains_key(ATTRIBUTES) {
            return false;
        }
        let known = SubscriptionGroup::defaults(version.has_attributes());
        let mut settings = known.clone();
        settings.extend(group.settings.clone());
        settings.retain(|name, _| version.has_attributes() || known.contains_key(name));
        let put = SubscriptionGroup::told(group.name.clone(), settings);
        self.groups.insert(group.name.clone(), put);
        self.version.counter += 1;
        true
    }

    pub(super) fn delete_group(&mut self, group: &str, version: Version) {
        self.groups.remove(group);
        if version.deletes_offsets_with_group() {
            for groups in self.offsets.topics.values_mut() {
                groups.remove(group);
            }
            self.offsets.topics.retain(|_, groups| !groups.is_empty());
        }
        self.version.counter += 1;
    }

    pub(super) fn set_offset(&mut self, queue: ConsumedQueue<'_>, offset: i64) {
        let groups = self.offsets.topics.entry(queue.topic.to_owned()).or_default();
        groups
            .entry(queue.group.to_owned())
            .or_default()
            .insert(queue.id, offset);
    }

    /// Of a group that never consumed, 0 if the queue's first message is still there.
    pub(super) fn offset(&self, queue: ConsumedQueue<'_>) -> Option<i64> {
        let known = self
            .offsets
            .of(queue.topic, queue.group)
            .and_then(|queues| queues.get(&queue.id));
        let starts_at_zero = self.queue(queue.topic, queue.id).min == 0;
        known.copied().or(starts_at_zero.then_some(0))
    }

    pub(super) fn queue(&self, topic: &str, id: i32) -> QueueOffsets {
        let queues = self.queues.get(topic);
        queues
            .and_then(|queues| queues.get(&id))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn topic_stats(&self, topic: &str) -> Option<BTreeMap<i32, QueueOffsets>> {
        let config = self.topics.get(topic)?;
        Some(
            (0..config.write_queues)
                .map(|id| (id, self.queue(topic, id)))
                .collect(),
        )
    }

    /// Of one topic, also if the group has no offset of it, or of all of which it has; in each case of what is wanted.
    pub(super) fn consume_stats(
        &self,
        group: &str,
        topic: Option<&str>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> ConsumeStats {
        let mut stats = ConsumeStats::default();
        let consumed = self.offsets.topics.iter();
        let consumed = consumed.filter(|(_, groups)| groups.contains_key(group));
        let topics: Vec<&str> = match topic {
            Some(topic) => vec![topic],
            None => consumed.map(|(topic, _)| topic.as_str()).collect(),
        };
        for topic in topics.into_iter().filter(|topic| is_wanted(topic)) {
            let Some(config) = self.topics.get(topic) else {
                continue;
            };
            let offsets = self.offsets.of(topic, group);
            for id in 0..config.read_queues {
                let queue = self.queue(topic, id);
                let consumed = offsets.and_then(|offsets| offsets.get(&id)).copied();
                let consumer_offset = consumed.unwrap_or_default();
                let progress = Progress {
                    broker_offset: queue.max,
                    consumer_offset,
                    last_timestamp_ms: if consumer_offset > 0 {
                        queue.last_update_ms
                    } else {
                        0
                    },
                };
                let topic = topic.to_owned();
                stats.queues.insert(Queue { topic, id }, progress);
            }
        }
        stats
    }

    /// How many messages there ever were.
    pub(super) fn messages(&self) -> i64 {
        let queues = self.queues.values().flat_map(BTreeMap::values);
        queues.map(|queue| queue.max).sum()
    }
}
