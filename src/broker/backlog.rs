//! What a group's master still holds for somebody: read from the broker, then computed without it.
//!
//! Reading goes from where messages come from to where they go: offsets and timers before queues. A message that moves
//! meanwhile is then counted twice, never not at all.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::consumers::{Other, elsewhere, newcomers};
use super::delayed;
use super::uncounted::{self, Uncounted};
use crate::admin::system::{is_dead_letter_topic, is_retry_topic, is_system_group, is_system_topic};
use crate::admin::{
    Admin, ConsumerOffsets, Delayed, Error, QueueOffsets, RuntimeInfo, TopicConfig, Version, confirm,
};

/// Requests to one broker that are under way at once.
const AT_ONCE: usize = 16;
/// Blockers that are named, and looked into.
pub const NAMED: usize = 5;

/// Transactions whose producers have not decided yet.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Who looks after [`HALF_TOPIC`].
pub const HALF_GROUP: &str = "CID_RMQ_SYS_TRANS";
/// With the cluster's name behind it: what was popped and by when it is to be acknowledged (5.x).
pub const REVIVE_TOPIC: &str = "rmq_sys_REVIVE_LOG_";
/// Who looks after [`REVIVE_TOPIC`].
pub const REVIVE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";

/// Which group of brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub broker_name: String,
}

/// What a topic is to one who waits for it to be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    /// Messages that a group is to consume again.
    Retry,
    /// Transactions whose producers have not decided yet.
    Half,
    /// What was popped and by when it is to be acknowledged (5.x).
    Revive,
    /// Dead letters, which nobody waits for, and what RocketMQ has for itself.
    Other,
}

impl Who {
    pub(super) fn kind(&self, topic: &str) -> Kind {
        if is_dead_letter_topic(topic) {
            Kind::Other
        } else if is_retry_topic(topic) {
            Kind::Retry
        } else if topic == HALF_TOPIC {
            Kind::Half
        } else if topic.strip_prefix(REVIVE_TOPIC) == Some(&self.cluster) {
            Kind::Revive
        } else if is_system_topic(topic, &self.cluster, &self.broker_name) {
            Kind::Other
        } else {
            Kind::User
        }
    }
}

/// What a master said of its messages, complete: where anything could not be read, there are no facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose they are.
    pub who: Who,
    /// By topic and queue id, of every topic that counts.
    pub queues: BTreeMap<String, BTreeMap<i32, QueueOffsets>>,
    /// How far groups are.
    pub offsets: ConsumerOffsets,
    /// By topic: the groups that are to consume it and have no offset of it. They subscribe to it, but for those that broadcast,
    /// or consume it at another master.
    pub newcomers: BTreeMap<String, BTreeSet<String>>,
    /// What the broker says of its state, such as of its timer.
    pub runtime: RuntimeInfo,
    /// How far each delay level is that was ever used.
    pub delayed: BTreeMap<i32, Delayed>,
    /// What is kept beside all that, of which no number is told.
    pub uncounted: Vec<Uncounted>,
}

/// What a master still holds for somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many messages ever came into the topics that count. As long as it stays the same nothing arrives.
    pub written: i64,
    /// Messages that groups are still to consume, each counted for each group.
    pub unconsumed: i64,
    /// Messages whose time is to come.
    pub delayed: i64,
    /// Messages of transactions that are open.
    pub half: i64,
    /// Bytes of the commit log whose messages do not stand in their queues yet.
    pub undispatched: i64,
    /// What may be left beside all that.
    pub uncounted: Vec<Uncounted>,
    /// Who has still to consume, most messages first.
    pub blockers: Vec<Blocker>,
}

/// A group that has still to consume of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// How many messages.
    pub messages: i64,
    /// When the last message that it consumed came, milliseconds since 1970: about when it last committed, where it kept
    /// up. None if unknown.
    pub last_commit_ms: Option<i64>,
    /// Whether it is connected, and to other topics only.
    pub turned_away: bool,
}

/// Whom a master waits for, beside those that it knows itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whom<'a> {
    /// What groups consumed at the other masters, of each: [`elsewhere`].
    pub elsewhere: &'a [ConsumerOffsets],
    /// Groups that are not waited for; one as `TOPIC@GROUP` only on that topic, for it may still consume others.
    pub ignore: &'a [String],
}

fn ignores(ignore: &[String], topic: &str, group: &str) -> bool {
    ignore
        .iter()
        .any(|entry| entry == group || entry.split_once('@') == Some((topic, group)))
}

/// As [`look`], with who consumes at the `others`, and the groups to be ignored.
pub async fn look_with(
    admin: &dyn Admin,
    address: &str,
    who: &Who,
    (others, ignore): (&[Other<'_>], &[String]),
) -> Result<Backlog, String> {
    let elsewhere = &elsewhere(admin, others).await?;
    let backlog = look(admin, address, who, Whom { elsewhere, ignore }).await;
    backlog.map_err(|err| err.to_string())
}

/// Reads how much a master holds and whom it waits for: [`read`], [`backlog`], and how old the commits of the groups are
/// that are named. An error is never "nothing".
pub async fn look(admin: &dyn Admin, address: &str, who: &Who, whom: Whom<'_>) -> Result<Backlog, Error> {
    let facts = read(admin, address, who, whom.elsewhere).await?;
    let mut found = backlog(&facts, whom.ignore);
    for blocker in found.blockers.iter_mut().take(NAMED) {
        let stats = admin
            .consume_stats(address, &blocker.group, Some(&blocker.topic))
            .await?;
        let times = stats.queues.values().map(|queue| queue.last_timestamp_ms);
        blocker.last_commit_ms = times.max().filter(|time| *time > 0);
        // Whoever pops does not say that it subscribes to its retries.
        if who.kind(&blocker.topic) == Kind::User {
            let connection = admin.consumer_connection(address, &blocker.group).await?;
            blocker.turned_away = connection.is_some_and(|connection| {
                !connection.topics.is_empty() && !connection.topics.contains(&blocker.topic)
            });
        }
    }
    Ok(found)
}

/// What all of these answer, a few asked at a time; the first error ends it.
pub(super) async fn some_at_once<T: Send>(
    asked: Vec<BoxFuture<'_, Result<T, Error>>>,
) -> Result<Vec<T>, Error> {
    stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
}

/// What is read of a master.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Which topics count.
    pub topics: &'a (dyn Fn(&str) -> bool + Sync),
    /// As [`Whom::elsewhere`].
    pub elsewhere: &'a [ConsumerOffsets],
}

/// Reads what the master at `address`, as `host:port`, holds; an [`Error::AnotherBroker`] if it is not that master.
pub async fn read(
    admin: &dyn Admin,
    address: &str,
    who: &Who,
    elsewhere: &[ConsumerOffsets],
) -> Result<Facts, Error> {
    let topics = &|_: &str| true;
    read_some(admin, address, who, Scope { topics, elsewhere }).await
}

/// As [`read`], of the topics that count here.
pub async fn read_some(
    admin: &dyn Admin,
    address: &str,
    who: &Who,
    scope: Scope<'_>,
) -> Result<Facts, Error> {
    let broker = confirm(admin, address, &who.broker_name, 0).await?;
    let topics = admin.topics(address).await?;
    let offsets = admin.consumer_offsets(address).await?;
    let runtime = delayed::runtime(admin, address).await?;
    let delayed = delayed::levels(admin, address, &runtime, broker.config()).await?;
    let counted = topics
        .topics
        .values()
        .filter(|topic| who.kind(&topic.name) != Kind::Other && (scope.topics)(&topic.name));
    let queues = counted.clone().map(|topic| {
        let topic = topic.name.as_str();
        async move {
            let queues = admin.topic_stats(address, topic).await?;
            Ok(queues.map(|queues| (topic.to_owned(), queues)))
        }
        .boxed()
    });
    let queues: Vec<_> = some_at_once(queues.collect()).await?;
    let mut facts = Facts {
        who: who.clone(),
        queues: queues.into_iter().flatten().collect(),
        offsets,
        newcomers: BTreeMap::new(),
        runtime,
        delayed,
        uncounted: uncounted::of(broker.config()),
    };
    let narrowed: Vec<_> = counted
        .filter(|topic| topic.read_queues > topic.write_queues)
        .collect();
    facts.newcomers = newcomers(admin, address, &facts, &narrowed).await?;
    facts.add(scope.elsewhere);
    let shut = shut_queues(admin, address, &facts, &narrowed).await?;
    for (topic, id, queue) in shut {
        facts.queues.entry(topic).or_default().entry(id).or_insert(queue);
    }
    Ok(facts)
}

/// Queues that are read and no longer written to, which `GET_TOPIC_STATS_INFO` leaves out before 5.3.0
/// (`AdminBrokerProcessor`): where they end is told for each group. Where they begin is not, so they count from 0.
async fn shut_queues(
    admin: &dyn Admin,
    address: &str,
    facts: &Facts,
    narrowed: &[&TopicConfig],
) -> Result<Vec<(String, i32, QueueOffsets)>, Error> {
    let mut shut = Vec::new();
    for topic in narrowed {
        for group in facts.groups_of(&topic.name, &[]) {
            let stats = admin.consume_stats(address, &group, Some(&topic.name)).await?;
            shut.extend(stats.queues.iter().filter_map(|(queue, progress)| {
                let offsets = QueueOffsets {
                    min: 0,
                    max: progress.broker_offset,
                    last_update_ms: 0,
                };
                (queue.id >= topic.write_queues).then(|| (topic.name.clone(), queue.id, offsets))
            }));
        }
    }
    Ok(shut)
}

/// Whether it is a group of users' consumers. From 5.1.0 brokers keep how far clients are that are broadcast to, as a group
/// `GROUP@broadcast` (`BroadcastOffsetManager`).
#[must_use]
pub fn is_consumer(group: &str) -> bool {
    !is_system_group(group) && !group.contains('@')
}

impl Facts {
    /// Takes in who consumes the topics at other masters. A group that is offline since this one has the topic never came to
    /// commit an offset here, and is to consume all of it.
    fn add(&mut self, elsewhere: &[ConsumerOffsets]) {
        for topic in self
            .queues
            .keys()
            .filter(|topic| self.who.kind(topic) == Kind::User)
        {
            let groups = elsewhere.iter().flat_map(|offsets| offsets.groups_of(topic));
            let unknown = |group: &&str| is_consumer(group) && self.offsets.of(topic, group).is_none();
            let groups = groups.filter(unknown).map(ToOwned::to_owned);
            self.newcomers.entry(topic.clone()).or_default().extend(groups);
        }
    }

    /// The groups that are to consume a topic. A topic of messages to be retried is its own group's only.
    #[must_use]
    pub fn groups_of(&self, topic: &str, ignore: &[String]) -> Vec<String> {
        match self.who.kind(topic) {
            Kind::User => {
                let consumed = self.offsets.groups_of(topic).filter(|group| is_consumer(group));
                let newcomers = self.newcomers.get(topic).into_iter().flatten();
                let all: BTreeSet<_> = consumed.chain(newcomers.map(String::as_str)).collect();
                all.into_iter().map(ToOwned::to_owned).collect()
            }
            Kind::Retry => {
                let owners = self.retried_by(topic, ignore).into_iter();
                owners.filter(|group| is_consumer(group)).collect()
            }
            Kind::Half => vec![HALF_GROUP.to_owned()],
            Kind::Revive | Kind::Other => Vec::new(),
        }
    }

    /// Whose messages are retried there: `%RETRY%GROUP`, and for messages that were popped also `%RETRY%GROUP_TOPIC` and
    /// `%RETRY%GROUP+TOPIC` (5.x `KeyBuilder`). `%RETRY%a_b` may be of group `a_b`, and at the same time of group `a`, which pops
    /// topic `b`: whoever pops has an offset of it from the start.
    fn retried_by(&self, topic: &str, ignore: &[String]) -> BTreeSet<String> {
        let name = topic.strip_prefix("%RETRY%").unwrap_or(topic);
        let consumed = self.offsets.topics.values().flat_map(BTreeMap::keys);
        let known: BTreeSet<&String> = consumed
            .chain(self.newcomers.values().flatten())
            .chain(ignore)
            .collect();
        let pops = |group: &str| {
            let rest = name.strip_prefix(group);
            let topic = rest.and_then(|rest| rest.strip_prefix(['_', '+']));
            topic.is_some_and(|topic| self.queues.contains_key(topic))
        };
        let owner = if known.iter().any(|group| *group == name) {
            name
        } else {
            let popping = known.iter().filter(|group| pops(group));
            popping
                .max_by_key(|group| group.len())
                .map_or(name, |group| group.as_str())
        };
        let others = self.offsets.groups_of(topic).filter(|group| pops(group));
        others.chain([owner]).map(ToOwned::to_owned).collect()
    }

    /// The messages of a topic that a group is still to consume. What it has no offset of it has not begun; what is older
    /// than the first message is gone. From beyond the end of a queue, as of an earlier topic of that name, older brokers send
    /// it back to the start.
    #[must_use]
    pub fn lag(&self, topic: &str, group: &str) -> i64 {
        let consumed = self.offsets.of(topic, group);
        let queues = self.queues.get(topic).into_iter().flatten();
        let release = self.runtime.release();
        let goes_back = release.is_some_and(Version::sends_back_from_beyond_the_end);
        let behind = queues.map(|(id, queue)| {
            let next = consumed.and_then(|offsets| offsets.get(id)).copied();
            let next = next.unwrap_or(queue.min).max(queue.min);
            if next > queue.max && queue.min == 0 && goes_back {
                return queue.max;
            }
            queue.max.saturating_sub(next).max(0)
        });
        behind.fold(0, i64::saturating_add)
    }

    /// What shows that something moves in a topic. A revive log also moves when the broker works it off: its offset is that
    /// of the last check point, not of the acknowledgements behind it, so it never reaches the end (5.x
    /// `PopReviveService`), and only that it stands still tells that it is done.
    fn moved(&self, topic: &str) -> i64 {
        let queues = self.queues.get(topic).into_iter().flat_map(BTreeMap::values);
        let revived = self
            .offsets
            .of(topic, REVIVE_GROUP)
            .into_iter()
            .flat_map(BTreeMap::values);
        let ends = queues.map(|queue| queue.max);
        match self.who.kind(topic) {
            Kind::User | Kind::Retry => ends.fold(0, i64::saturating_add),
            Kind::Revive => ends.chain(revived.copied()).fold(0, i64::saturating_add),
            Kind::Half | Kind::Other => 0,
        }
    }
}

/// What a master still holds, but for the groups to be ignored and what they are to retry.
#[must_use]
pub fn backlog(facts: &Facts, ignore: &[String]) -> Backlog {
    let timer = facts.runtime.timer().unwrap_or_default();
    let levels = facts.delayed.values().map(Delayed::left);
    let mut found = Backlog {
        delayed: levels
            .fold(0, i64::saturating_add)
            .saturating_add(timer.offset_behind.max(0))
            .saturating_add(timer.congested.max(0)),
        undispatched: facts.runtime.dispatch_behind_bytes().unwrap_or_default().max(0),
        uncounted: facts.uncounted.clone(),
        ..Backlog::default()
    };
    for topic in facts.queues.keys() {
        let groups = facts.groups_of(topic, ignore);
        let ignored = |group: &String| ignores(ignore, topic, group);
        let is_retry = facts.who.kind(topic) == Kind::Retry && !groups.is_empty();
        if is_retry && groups.iter().all(ignored) {
            // It may come again and again.
            continue;
        }
        found.written = found.written.saturating_add(facts.moved(topic));
        for group in groups {
            let messages = facts.lag(topic, &group);
            if messages == 0 || ignored(&group) {
                continue;
            }
            let sum = match facts.who.kind(topic) {
                Kind::Half => &mut found.half,
                _ => &mut found.unconsumed,
            };
            *sum = sum.saturating_add(messages);
            found.blockers.push(Blocker {
                group,
                topic: topic.clone(),
                messages,
                last_commit_ms: None,
                turned_away: false,
            });
        }
    }
    let place = |one: &Blocker| (-one.messages, one.group.clone(), one.topic.clone());
    found.blockers.sort_by_key(place);
    found
}

impl Backlog {
    /// Messages that nobody has had yet.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.unconsumed
            .saturating_add(self.delayed)
            .saturating_add(self.half)
    }

    /// Whether nothing is left for anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0 && self.undispatched == 0 && self.uncounted.is_empty()
    }

    /// Whom it waits for, in words that change only when the numbers do; at most [`NAMED`].
    #[must_use]
    pub fn words(&self, now: &Time) -> Vec<String> {
        let delayed = (self.delayed > 0).then(|| format!("{} delayed", messages(self.delayed)));
        let groups = self.blockers.iter().map(|blocker| {
            let (group, topic) = (&blocker.group, &blocker.topic);
            let age = age(now.0.as_millisecond(), blocker.last_commit_ms);
            let left = messages(blocker.messages);
            if blocker.turned_away {
                return format!(
                    "group {group} on topic {topic}: {left}, it is connected and does not subscribe to it"
                );
            }
            format!("group {group} on topic {topic}: {left}, last commit {age}")
        });
        let uncounted = self.uncounted.iter().map(ToString::to_string);
        let all = uncounted.chain(delayed).chain(groups);
        all.take(NAMED).collect()
    }
}

/// `1 message`, `120 messages`.
#[must_use]
pub fn messages(number: i64) -> String {
    let noun = if number == 1 { "message" } else { "messages" };
    format!("{number} {noun}")
}

/// How long ago that was, coarsely, so that it does not read differently with every look.
fn age(now_ms: i64, then_ms: Option<i64>) -> String {
    let Some(then_ms) = then_ms else {
        return "never".to_owned();
    };
    let minutes = now_ms.saturating_sub(then_ms).max(0) / 60_000;
    match (minutes / 60, minutes / 60 / 24) {
        (0, _) => format!("{minutes} min ago"),
        (hours, 0 | 1) => format!("{hours} h ago"),
        (_, days) => format!("{days} days ago"),
    }
}

#[cfg(test)]
#[path = "backlog_rare_tests.rs"]
mod rare_tests;
#[cfg(test)]
#[path = "backlog_tests.rs"]
pub(super) mod tests;
