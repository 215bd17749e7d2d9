//! What was seen of the two clusters of a transfer, just now, and what follows from it alone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::{ATTRIBUTES, ConsumerOffsets, Route, SubscriptionGroup, TopicConfig, Version, perm};
use crate::broker::ahead::Ahead;
use crate::broker::backlog::{Facts, HALF_GROUP, HALF_TOPIC, REVIVE_GROUP, REVIVE_TOPIC};
use crate::broker::uncounted::Uncounted;

/// Both clusters, and who else wants the topic.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where the topic is.
    pub source: Result<Cluster, Unknown>,
    /// Where it goes.
    pub target: Result<Cluster, Unknown>,
    /// Another transfer that has the topic, in words.
    pub rival: Option<String>,
}

/// Why it is not known where a cluster is, for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// One word for the condition's reason.
    pub reason: &'static str,
    /// The field and the remedy.
    pub message: String,
    /// Whether there is no such cluster any more, rather than one that cannot be asked.
    pub gone: bool,
}

/// A cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// `brokerClusterName`.
    pub name: String,
    /// Each of its name servers.
    pub name_servers: Vec<NameServer>,
    /// Each of its masters by `brokerName`, or why it cannot be seen.
    pub masters: BTreeMap<String, Result<Master, String>>,
    /// Why there may be masters that are not among these.
    pub hidden: Option<String>,
}

/// A name server.
#[derive(Clone, Debug)]
pub struct NameServer {
    /// What people call it.
    pub name: String,
    /// `host:port`; none where its pod has no address.
    pub address: Option<String>,
    /// What it tells, or why it does not.
    pub tells: Result<Told, String>,
}

/// What a name server tells of the topic.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Where it is.
    pub route: Option<Route>,
    /// Its entry among the order topics.
    pub order: Option<String>,
}

/// A master that answers.
#[derive(Clone, Debug)]
pub struct Master {
    /// `host:port`.
    pub address: String,
    /// The topic, if it has it.
    pub topic: Option<TopicConfig>,
    /// Its subscription groups.
    pub groups: BTreeMap<String, SubscriptionGroup>,
    /// What its version can do.
    pub version: Version,
    /// Of the source: the groups that subscribe to the topic or have offsets of it.
    pub consumers: BTreeSet<String>,
    /// Of the target, as long as a master of it may get the topic: who would go on beyond the end of a queue, from an earlier life of the topic.
    pub ahead: Vec<Ahead>,
    /// Of the target, as long as that: how far its consumers are.
    pub offsets: Option<ConsumerOffsets>,
    /// Of the source: what it holds of the topic, and of what is to be retried.
    pub facts: Option<Facts>,
}

impl Cluster {
    /// The first reason why this is not the whole picture.
    #[must_use]
    pub fn unseen(&self) -> Option<String> {
        let server = self.name_servers.iter().find_map(|server| {
            let why = server.tells.as_ref().err()?;
            Some(format!(
                "name server {} of cluster {} does not answer: {why}",
                server.name, self.name
            ))
        });
        let master = self.masters.iter().find_map(|(broker, master)| {
            let why = master.as_ref().err()?;
            Some(format!(
                "broker {broker} of cluster {} cannot be asked: {why}",
                self.name
            ))
        });
        server.or_else(|| self.hidden.clone()).or(master)
    }

    /// The masters that answer.
    pub fn answering(&self) -> impl Iterator<Item = (&String, &Master)> {
        let masters = self.masters.iter();
        masters.filter_map(|(broker, master)| Some((broker, master.as_ref().ok()?)))
    }

    /// Those of them that have the topic.
    pub fn holders(&self) -> impl Iterator<Item = (&String, &Master, &TopicConfig)> {
        self.answering()
            .filter_map(|(broker, master)| Some((broker, master, master.topic.as_ref()?)))
    }

    /// What the name servers that answer tell.
    pub fn told(&self) -> impl Iterator<Item = (&NameServer, &Told)> {
        let servers = self.name_servers.iter();
        servers.filter_map(|server| Some((server, server.tells.as_ref().ok()?)))
    }

    /// The name of a name server that sends producers to this cluster.
    #[must_use]
    pub fn open_at(&self) -> Option<&str> {
        let open = |told: &Told| {
            let brokers = told.route.iter().flat_map(|route| route.brokers.values());
            let mut brokers = brokers.filter(|broker| broker.cluster == self.name);
            brokers.any(|broker| broker.queues.perm & perm::WRITE != 0)
        };
        let mut told = self.told();
        told.find(|(_, told)| open(told))
            .map(|(server, _)| server.name.as_str())
    }

    /// A name server that sends anybody to this cluster for the topic.
    #[must_use]
    pub fn listed_at(&self) -> Option<&NameServer> {
        let lists = |told: &Told| {
            let mut brokers = told.route.iter().flat_map(|route| route.brokers.values());
            brokers.any(|broker| broker.cluster == self.name)
        };
        self.told()
            .find(|(_, told)| lists(told))
            .map(|(server, _)| server)
    }

    /// A name server that does not send clients to every master with such queues, and why.
    #[must_use]
    pub fn not_served_by(&self, wanted: &TopicConfig) -> Option<String> {
        let serves = |told: &Told, broker: &String| {
            let route = told.route.as_ref().and_then(|route| route.brokers.get(broker));
            route.is_some_and(|route| {
                let queues = route.queues;
                (
                    queues.read,
                    queues.write,
                    queues.perm & (perm::READ | perm::WRITE),
                ) == (
                    wanted.read_queues,
                    wanted.write_queues,
                    wanted.perm & (perm::READ | perm::WRITE),
                )
            })
        };
        self.told().find_map(|(server, told)| {
            let broker = self.masters.keys().find(|broker| !serves(told, broker))?;
            Some(format!(
                "name server {} of cluster {} does not show the topic at broker {broker} yet",
                server.name, self.name
            ))
        })
    }

    /// The settings of a subscription group at some master that has it.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&SubscriptionGroup> {
        self.answering().find_map(|(_, master)| master.groups.get(name))
    }

    /// The groups that consume the topic and are kept at some master. One that only has offsets was deleted by its user.
    #[must_use]
    pub fn consumers(&self) -> BTreeSet<String> {
        let all = self.answering().flat_map(|(_, master)| &master.consumers);
        all.filter(|group| self.group(group).is_some()).cloned().collect()
    }

    /// The groups that are waited for: those that consume, but for those whose clients are broadcast to.
    #[must_use]
    pub fn waiting(&self, topic: &str) -> BTreeSet<String> {
        let facts = self.answering().filter_map(|(_, master)| master.facts.as_ref());
        let all = facts.flat_map(|facts| facts.groups_of(topic, &[]));
        all.filter(|group| self.group(group).is_some()).collect()
    }
}

/// The topics that hold messages which a group is to consume again: `%RETRY%GROUP`, and of messages that were popped (5.x).
#[must_use]
pub fn retry_topics(group: &str, topic: &str) -> [String; 3] {
    [
        format!("%RETRY%{group}"),
        format!("%RETRY%{group}_{topic}"),
        format!("%RETRY%{group}+{topic}"),
    ]
}

/// What a master holds of a topic for these groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// How many messages ever came into the topic.
    pub written: i64,
    /// What each group has still to consume.
    pub lag: BTreeMap<String, i64>,
    /// How many messages were ever to be retried by these groups.
    pub retried: i64,
    /// Bytes of the commit log whose messages do not stand in their queues yet.
    pub undispatched: i64,
    /// Messages of transactions that are open. Of which topic is not told.
    pub half: i64,
    /// Messages in timers (5.x). Of which topic is not told.
    pub timed: i64,
    /// How many messages of each delay level were delivered, of how many.
    pub delayed: BTreeMap<i32, (i64, i64)>,
    /// How far each queue of the revive log is worked off, and where it ends (5.x).
    pub popped: BTreeMap<i32, (i64, i64)>,
    /// What may be left beside all that. Of which topic is not told.
    pub uncounted: Vec<Uncounted>,
}

impl Held {
    /// Computes it from what the master said.
    #[must_use]
    pub fn of(facts: &Facts, topic: &str, groups: &BTreeSet<String>) -> Self {
        let end = |topic: &str| {
            let queues = facts.queues.get(topic).into_iter().flat_map(BTreeMap::values);
            queues.map(|queue| queue.max).fold(0, i64::saturating_add)
        };
        let mut held = Self {
            written: end(topic),
            undispatched: facts.runtime.dispatch_behind_bytes().unwrap_or_default().max(0),
            half: facts.lag(HALF_TOPIC, HALF_GROUP),
            uncounted: facts.uncounted.clone(),
            ..Self::default()
        };
        if let Some(timer) = facts.runtime.timer() {
            held.timed = timer.offset_behind.max(0).saturating_add(timer.congested.max(0));
        }
        for group in groups {
            let retries = retry_topics(group, topic);
            let others = |name: &str| groups.iter().any(|other| retry_topics(other, topic)[0] == name);
            let owned = retries
                .iter()
                .enumerate()
                .filter(|(at, name)| *at == 0 || !others(name));
            let owned: Vec<_> = owned.map(|(_, name)| name.as_str()).collect();
            let lags = owned.iter().map(|name| facts.lag(name, group));
            let lag = lags.fold(facts.lag(topic, group), i64::saturating_add);
            held.lag.insert(group.clone(), lag);
            let ends = owned.iter().map(|name| end(name));
            held.retried = ends.fold(held.retried, i64::saturating_add);
        }
        held.delayed = facts
            .delayed
            .iter()
            .map(|(level, messages)| (*level, (messages.delivered, messages.max)))
            .collect();
        let revive = format!("{REVIVE_TOPIC}{}", facts.who.cluster);
        let worked = facts.offsets.of(&revive, REVIVE_GROUP);
        let queues = facts.queues.get(&revive).into_iter().flatten();
        held.popped = queues
            .map(|(id, queue)| {
                let done = worked.and_then(|worked| worked.get(id)).copied();
                (*id, (done.unwrap_or(queue.min), queue.max))
            })
            .collect();
        held
    }

    /// All that the groups have still to consume.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.lag.values().copied().fold(0, i64::saturating_add)
    }
}

/// The topic as the target is to have it: at every broker with as many queues as the source's broker has that has most.
#[must_use]
pub fn merged<'a>(topics: impl Iterator<Item = &'a TopicConfig>) -> Option<TopicConfig> {
    topics.cloned().reduce(|mut all, one| {
        all.read_queues = all.read_queues.max(one.read_queues);
        all.write_queues = all.write_queues.max(one.write_queues);
        all.perm |= one.perm;
        all.order |= one.order;
        all.attributes.extend(one.attributes);
        all
    })
}

/// In what a topic at the target differs from what it is to be, as far as that broker's version knows it.
#[must_use]
pub fn differences(wanted: &TopicConfig, found: &TopicConfig, version: Version) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, wanted: String, found: String| {
        if wanted != found {
            differences.push(format!("{what} {found} instead of {wanted}"));
        }
    };
    let text = |number: i32| number.to_string();
    compare("readQueueNums", text(wanted.read_queues), text(found.read_queues));
    compare(
        "writeQueueNums",
        text(wanted.write_queues),
        text(found.write_queues),
    );
    compare("perm", text(wanted.perm), text(found.perm));
    compare("topicFilterType", wanted.filter.clone(), found.filter.clone());
    if version.honours_order() {
        compare("order", wanted.order.to_string(), found.order.to_string());
    }
    if version.has_attributes() {
        let text = |topic: &TopicConfig| format!("{:?}", topic.attributes);
        compare("attributes", text(wanted), text(found));
    }
    differences
}

/// The settings of a group that the target has otherwise. One that its version does not know is not there to differ.
#[must_use]
pub fn group_differences(
    wanted: &SubscriptionGroup,
    found: &SubscriptionGroup,
    version: Version,
) -> Vec<String> {
    let lost = wanted.lost_in(found).into_iter();
    // None are told as nothing at all.
    let told = |name: &str| name == ATTRIBUTES && version.has_group_attributes();
    lost.filter(|name| found.settings.contains_key(*name) || told(name))
        .map(ToOwned::to_owned)
        .collect()
}
