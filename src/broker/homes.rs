//! Where the topics and subscription groups of a master that leaves go, so that nobody misses them.

use super::backlog::{Kind, Who};
use crate::admin::system::is_system_group;
use crate::admin::{Attributes, SubscriptionGroup, SubscriptionGroups, TopicConfig, Topics, perm};

/// The topics to which producers can write on the leaving master and on no other. `others` are the masters that stay and
/// take writes. One that is read-only on the leaving master too was closed on purpose.
#[must_use]
pub fn homeless(victim: &Topics, others: &[&Topics], who: &Who) -> Vec<TopicConfig> {
    let elsewhere = |name: &String| {
        let there = others.iter().filter_map(|other| other.topics.get(name));
        there.into_iter().any(is_writable)
    };
    let users = victim
        .topics
        .values()
        .filter(|topic| who.kind(&topic.name) == Kind::User);
    users
        .filter(|topic| is_writable(topic) && !elsewhere(&topic.name))
        .cloned()
        .collect()
}

/// Where a homeless topic goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The place of the master among those that stay.
    pub place: usize,
    /// What is put there.
    pub topic: TopicConfig,
    /// How its attributes are put.
    pub attributes: Attributes,
}

/// Where a homeless topic goes: best to a master that does not have it yet. Where all have it and none lets producers
/// write, it is opened on the first, with no queue less to read than it has there: producers that write today could not any
/// more otherwise. None if no master stays.
#[must_use]
pub fn home(topic: &TopicConfig, others: &[&Topics]) -> Option<Home> {
    let known = |other: &&Topics| other.topics.get(&topic.name).cloned();
    let place = others
        .iter()
        .position(|other| known(other).is_none())
        .unwrap_or_default();
    let there = known(others.get(place)?);
    let read_queues = there.as_ref().map_or(0, |there| there.read_queues);
    Some(Home {
        place,
        topic: TopicConfig {
            read_queues: topic.read_queues.max(read_queues),
            ..topic.clone()
        },
        attributes: if there.is_some() {
            Attributes::Keep
        } else {
            Attributes::Create
        },
    })
}

fn is_writable(topic: &TopicConfig) -> bool {
    topic.perm & perm::WRITE != 0 && topic.write_queues > 0
}

/// The users' subscription groups that the leaving master has and another does not.
#[must_use]
pub fn missing_groups(victim: &SubscriptionGroups, target: &SubscriptionGroups) -> Vec<SubscriptionGroup> {
    let users = victim
        .groups
        .values()
        .filter(|group| !is_system_group(&group.name));
    users
        .filter(|group| !target.groups.contains_key(&group.name))
        .cloned()
        .collect()
}

#[cfg(test)]
#[path = "homes_tests.rs"]
mod tests;
