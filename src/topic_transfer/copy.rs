//! What the target lacks, one thing at a time: groups before the topic, so that no consumer finds it without its group.

use std::collections::BTreeSet;

use super::machine::Transfer;
use super::order;
use super::request::{Request, Side};
use super::seen::{Cluster, differences, group_differences, merged};
use crate::admin::{ATTRIBUTES, TopicConfig};
use crate::api::{FirstSettings, TopicTransferStatus, TransferCause};
use crate::broker::ahead::Ahead;
use crate::broker::missing::Start;

/// Why the target cannot take the topic.
pub type Refusal = (TransferCause, String);

/// The topic's queues and permission at the target, of what the source had at first.
#[must_use]
pub fn numbers(topic: &str, source: &[FirstSettings]) -> TopicConfig {
    let all = source.iter().map(|first| TopicConfig {
        read_queues: first.read_queues,
        write_queues: first.write_queues,
        perm: first.perm,
        ..TopicConfig::new(topic, 0)
    });
    let all: Vec<_> = all.collect();
    merged(all.iter()).unwrap_or_else(|| TopicConfig::new(topic, 0))
}

impl Transfer<'_> {
    /// The next thing that the target lacks, or why it is not to get it.
    pub(super) fn next_copy(
        &self,
        memory: &TopicTransferStatus,
        source: &Cluster,
        target: &Cluster,
    ) -> Result<Option<(String, Request)>, Refusal> {
        let groups: BTreeSet<String> = match self.groups {
            Some(groups) => groups.iter().cloned().collect(),
            None => source.consumers(),
        };
        let topic = self.wanted(memory, source);
        self.refused(target, topic.as_ref(), source, &groups)?;
        for (broker, master) in target.answering() {
            let missing = groups.iter().find(|group| !master.groups.contains_key(*group));
            if let Some(group) = missing.and_then(|group| source.group(group)) {
                let words = format!("broker {broker} of the target gets group {}", group.name);
                let (broker, group) = (broker.clone(), group.clone());
                return Ok(Some((words, Request::PutGroup { broker, group })));
            }
        }
        let Some(topic) = topic else { return Ok(None) };
        if let Some((broker, _)) = target.answering().find(|(_, master)| master.topic.is_none()) {
            let words = format!("broker {broker} of the target gets the topic");
            let broker = broker.clone();
            return Ok(Some((words, Request::PutTopic { broker, topic })));
        }
        if let Some((broker, ahead)) = first_ahead(target) {
            let words = format!(
                "group {} goes on from the start of queue {} at broker {broker} of the target: its offset {} there is of an earlier \
                 topic of that name",
                ahead.group, ahead.id, ahead.offset
            );
            let (broker, ahead) = (broker.clone(), ahead.clone());
            return Ok(Some((words, Request::MoveBack { broker, ahead })));
        }
        if let Some((broker, start)) = first_start(target, self.topic, &groups) {
            let words = format!(
                "groups begin with the first message of the topic at broker {broker} of the target: {}",
                start
                    .groups
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            let broker = broker.clone();
            return Ok(Some((words, Request::Begin { broker, start })));
        }
        Ok(next_order(source, target, topic.write_queues))
    }

    /// The topic as the source had it at first, as long as a broker there has it.
    fn wanted(&self, memory: &TopicTransferStatus, source: &Cluster) -> Option<TopicConfig> {
        let mut topic = merged(source.holders().map(|(_, _, topic)| topic))?;
        let numbers = numbers(self.topic, &memory.source);
        topic.read_queues = numbers.read_queues;
        topic.write_queues = numbers.write_queues;
        topic.perm = numbers.perm;
        topic.order |= source.told().any(|(_, told)| told.order.is_some());
        Some(topic)
    }

    fn refused(
        &self,
        target: &Cluster,
        topic: Option<&TopicConfig>,
        source: &Cluster,
        groups: &BTreeSet<String>,
    ) -> Result<(), Refusal> {
        let remedy = "mend it there, then make a new TopicTransfer";
        for (broker, master) in target.answering() {
            if let Some(topic) = topic {
                if !topic.attributes.is_empty() && !master.version.has_attributes() {
                    let why = format!(
                        "broker {broker} of the target is of a version that knows no attributes, and the topic has {:?}; \
                         use a target of 5.0.0 or later",
                        topic.attributes
                    );
                    return Err((TransferCause::TargetTooOld, why));
                }
                if let Some(found) = &master.topic
                    && let Some(why) = differs(topic, found, master.version)
                {
                    let why = format!(
                        "broker {broker} of the target has topic {:?} with {why}; {remedy}",
                        self.topic
                    );
                    return Err((TransferCause::TargetDiffers, why));
                }
            }
            for group in groups {
                let Some(wanted) = source.group(group) else {
                    continue;
                };
                if let Some(attributes) = wanted.settings.get(ATTRIBUTES)
                    && !master.version.has_group_attributes()
                {
                    let why = format!(
                        "broker {broker} of the target is of a version whose groups have no attributes, and group {group:?} has {attributes}; \
                         use a target of 5.4.0 or later"
                    );
                    return Err((TransferCause::TargetTooOld, why));
                }
                let Some(found) = master.groups.get(group) else {
                    continue;
                };
                let other = group_differences(wanted, found, master.version);
                if !other.is_empty() {
                    let why = format!(
                        "broker {broker} of the target has group {group:?} with other settings: {}; {remedy}",
                        other.join(", ")
                    );
                    return Err((TransferCause::GroupDiffers, why));
                }
            }
        }
        Ok(())
    }
}

fn first_ahead(target: &Cluster) -> Option<(&String, &Ahead)> {
    let mut masters = target.answering();
    masters.find_map(|(broker, master)| Some((broker, master.ahead.first()?)))
}

/// A master of the target at which a group has no offset of a queue. Left to itself it may begin at the end, once it comes: see
/// [`crate::broker::missing`].
fn first_start<'a>(
    target: &'a Cluster,
    topic: &str,
    groups: &BTreeSet<String>,
) -> Option<(&'a String, Start)> {
    target.holders().find_map(|(broker, master, config)| {
        let there = groups.iter().filter(|group| master.groups.contains_key(*group));
        let start = Start::of(topic, config.read_queues, there, master.offsets.as_ref()?)?;
        Some((broker, start))
    })
}

/// In what a topic at the target differs, in words.
#[must_use]
pub fn differs(wanted: &TopicConfig, found: &TopicConfig, version: crate::admin::Version) -> Option<String> {
    let differences = differences(wanted, found, version);
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// The first name server of the target that lacks the topic among its order topics, if the source's have it.
fn next_order(source: &Cluster, target: &Cluster, queues: i32) -> Option<(String, Request)> {
    source.told().find(|(_, told)| told.order.is_some())?;
    target.told().find_map(|(server, told)| {
        let entry = order::with(told.order.as_deref(), target.masters.keys(), queues);
        let name_server = server.address.clone()?;
        (told.order.as_deref() != Some(entry.as_str())).then(|| {
            let words = format!("name server {} of the target learns the order", server.name);
            let request = Request::Order {
                side: Side::Target,
                name_server,
                entry: Some(entry),
            };
            (words, request)
        })
    })
}
