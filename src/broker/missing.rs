//! What a master lacks of what users made on another one, or on itself before its store went.
//!
//! It is found by comparing what both tell, and made: groups before topics, so that no consumer finds a topic without its
//! group, and where consumers begin last. What is made is read back by the next reconcile, so it repeats safely after any crash.
//!
//! Where consumers begin: a group that has no offset of a queue goes on from wherever its client is set up to, by default from the
//! end, once the broker has dropped the first message from memory (`ConsumerManageProcessor.queryConsumerOffset`). One that is
//! away while a master fills would never get what came meanwhile. So every group that consumes a topic where it comes from
//! begins where the queue ends now, before producers are let in.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{FutureExt, try_join3};

use super::budget::Budget;
use super::tables::Tables;
use crate::admin::{
    self, Admin, Attributes, Confirmed, ConsumedQueue, ConsumerOffsets, QueueOffsets, SubscriptionGroup,
    SubscriptionGroups, TopicConfig, Topics, Version, confirm,
};

/// The longest name of a topic that brokers of all versions take (`TopicValidator`).
const LONGEST_NAME: usize = 127;

/// What a master keeps of topics, subscription groups and consumers, those of `RocketMQ` itself included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Topics.
    pub topics: Topics,
    /// Subscription groups.
    pub groups: SubscriptionGroups,
    /// How far consumers are.
    pub offsets: ConsumerOffsets,
}

impl Kept {
    /// Reads what the broker at `address`, as `host:port`, keeps.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn read(address: &str, admin: &dyn Admin) -> Result<Self, admin::Error> {
        let topics = admin.topics(address);
        let groups = admin.subscription_groups(address);
        let (topics, groups, offsets) = try_join3(topics, groups, admin.consumer_offsets(address)).await?;
        Ok(Self {
            topics,
            groups,
            offsets,
        })
    }
}

/// What a master lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missing {
    /// Where it comes from, for words.
    pub source: String,
    /// Subscription groups.
    pub groups: Vec<SubscriptionGroup>,
    /// Topics.
    pub topics: Vec<TopicConfig>,
    /// Topics of messages to be retried that are there with fewer queues than their group sends to, as they are to be.
    pub retries: Vec<TopicConfig>,
    /// Where consumers are to begin; only once everything else is there.
    pub starts: Vec<Start>,
}

/// A topic, and who is to begin somewhere in its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The topic.
    pub topic: String,
    /// How many queues are read.
    pub queues: i32,
    /// Who is to begin, and the queues of which it has an offset already.
    pub groups: BTreeMap<String, BTreeSet<i32>>,
}

impl Missing {
    /// What the master that keeps `there`, of that version, lacks of `wanted`.
    #[must_use]
    pub fn of(source: String, wanted: &Tables, there: &Kept, version: Option<Version>) -> Self {
        let topics = wanted
            .topics
            .iter()
            .filter(|topic| !there.topics.topics.contains_key(&topic.name));
        // A consumer makes its group there when it comes before the copy: every client asks name servers for the brokers of `TBW102`.
        let groups = wanted.groups.iter().filter(|group| {
            let found = there.groups.groups.get(&group.name);
            found.is_none_or(|found| found.is_placeholder_of(group, version))
        });
        let mut missing = Self {
            source,
            groups: groups.cloned().collect(),
            topics: topics.cloned().collect(),
            retries: wanted
                .groups
                .iter()
                .filter_map(|group| retries(group, there))
                .collect(),
            starts: Vec::new(),
        };
        if missing.is_empty() {
            missing.starts = starts(wanted, there);
        }
        missing
    }

    /// Whether nothing is lacking.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.topics.is_empty() && self.retries.is_empty() && self.starts.is_empty()
    }

    /// How much there is still to do.
    #[must_use]
    pub fn words(&self) -> String {
        let (groups, topics, source) = (self.groups.len(), self.topics.len(), &self.source);
        match (groups + topics, self.retries.len(), self.starts.len()) {
            (0, 0, starts @ 1..) => {
                format!("consumers of {starts} topics are still to be told where they begin")
            }
            (0, retries @ 1.., _) => {
                format!("{retries} topics of messages to be retried still need more queues")
            }
            _ => format!(
                "{groups} subscription groups and {topics} topics are still to be copied from {source}"
            ),
        }
    }
}

/// A group's messages to be retried go to one of as many queues as the group says, and nobody reads those that the topic does not
/// have (`AbstractSendMessageProcessor.consumerSendMsgBack`). A consumer that came before its group was copied made the topic with
/// one (`ClientManageProcessor.heartBeat`), which does not change with the group.
fn retries(group: &SubscriptionGroup, there: &Kept) -> Option<TopicConfig> {
    let queues = group.settings.get("retryQueueNums")?.as_i64()?;
    let queues = i32::try_from(queues).ok()?;
    let topic = there.topics.topics.get(&format!("%RETRY%{}", group.name))?;
    let is_narrow = topic.read_queues < queues || topic.write_queues < queues;
    (is_narrow && topic.name.len() <= LONGEST_NAME).then(|| TopicConfig {
        read_queues: topic.read_queues.max(queues),
        write_queues: topic.write_queues.max(queues),
        ..topic.clone()
    })
}

fn starts(wanted: &Tables, there: &Kept) -> Vec<Start> {
    let all = wanted.consumers.iter().filter_map(|(topic, groups)| {
        let queues = there.topics.topics.get(topic)?.read_queues;
        // 5.x takes no offset of a group that it does not know.
        let groups = groups
            .iter()
            .filter(|group| there.groups.groups.contains_key(*group));
        Start::of(topic, queues, groups, &there.offsets)
    });
    all.collect()
}

impl Start {
    /// Who of these groups has no offset of some of a topic's queues; none if nobody.
    pub fn of<'a>(
        topic: &str,
        queues: i32,
        groups: impl Iterator<Item = &'a String>,
        offsets: &ConsumerOffsets,
    ) -> Option<Self> {
        let groups = groups.filter_map(|group| {
            let known = offsets.of(topic, group).into_iter();
            let known: BTreeSet<i32> = known.flat_map(BTreeMap::keys).copied().collect();
            let lacks = (0..queues).any(|id| !known.contains(&id));
            lacks.then(|| (group.clone(), known))
        });
        let groups: BTreeMap<_, _> = groups.collect();
        let topic = topic.to_owned();
        (!groups.is_empty()).then_some(Self {
            topic,
            queues,
            groups,
        })
    }
}

/// Makes on the broker at `address`, if it is the master of `broker_name`, what it lacks, as [`Budget::make`] does.
///
/// # Errors
/// The first that is refused or not answered.
pub async fn fill(
    (admin, budget): (&dyn Admin, Budget),
    address: &str,
    broker_name: &str,
    missing: &Missing,
) -> Result<(), admin::Error> {
    let broker = &confirm(admin, address, broker_name, 0).await?;
    let made = missing.topics.iter().map(|topic| (topic, Attributes::Create));
    let changed = missing.retries.iter().map(|topic| (topic, Attributes::Keep));
    budget.make(broker, &missing.groups, made.chain(changed)).await?;
    let starts = missing.starts.iter();
    let starts = starts.map(|start| begin((admin, budget), broker, start, |queue| queue.max).boxed());
    budget.in_time(starts.collect()).await
}

/// Lets consumers of a topic begin somewhere in its queues. A queue that is not told has taken no message.
///
/// # Errors
/// The first offset that the broker refuses or does not answer.
pub async fn begin(
    (admin, budget): (&dyn Admin, Budget),
    broker: &Confirmed<'_>,
    start: &Start,
    place: fn(&QueueOffsets) -> i64,
) -> Result<(), admin::Error> {
    let topic = start.topic.as_str();
    let queues = admin
        .topic_stats(broker.address(), topic)
        .await?
        .unwrap_or_default();
    for (group, known) in &start.groups {
        for id in (0..start.queues).filter(|id| !known.contains(id)) {
            if budget.is_spent() {
                return Ok(());
            }
            let offset = queues.get(&id).map_or(0, place).max(0);
            let queue = ConsumedQueue { group, topic, id };
            broker.update_consumer_offset(queue, offset).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(topics: &[&str], groups: &[SubscriptionGroup]) -> Kept {
        let mut kept = Kept::default();
        for name in topics {
            kept.topics
                .topics
                .insert((*name).to_owned(), TopicConfig::new(name, 2));
        }
        for group in groups {
            kept.groups.groups.insert(group.name.clone(), group.clone());
        }
        kept
    }

    fn named(names: &[&str]) -> Vec<SubscriptionGroup> {
        names.iter().map(|name| SubscriptionGroup::new(name)).collect()
    }

    fn missing(from: &Kept, to: &Kept) -> Missing {
        let wanted = Tables::of(from, "orders", "orders-0");
        Missing::of("a".to_owned(), &wanted, to, Some("5.5.0".parse().unwrap()))
    }

    #[test]
    fn only_what_users_made_and_the_master_lacks_is_made() {
        let topics = [
            "payments",
            "parcels",
            "%RETRY%billing",
            "%DLQ%billing",
            "TBW102",
            "orders",
            "orders-0",
            "SCHEDULE_TOPIC_XXXX",
        ];
        let groups = named(&["billing", "shipping", "TOOLS_CONSUMER", "CID_ONSAPI_OWNER"]);
        let lacks = missing(
            &kept(&topics, &groups),
            &kept(&["parcels"], &named(&["shipping"])),
        );
        let names: Vec<_> = lacks.topics.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["payments"]);
        let names: Vec<_> = lacks.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["billing"]);
    }

    #[test]
    fn a_topic_of_retries_gets_the_queues_that_its_group_sends_to_and_keeps_more() {
        let wide = SubscriptionGroup::new("billing").with("retryQueueNums", 3);
        let narrow = SubscriptionGroup::new("shipping").with("retryQueueNums", 1);
        let groups = [wide, narrow];
        let mut to = kept(&["%RETRY%billing", "%RETRY%shipping"], &groups);
        let lacks = missing(&kept(&[], &groups), &to);
        let [topic] = lacks.retries.as_slice() else {
            panic!("{lacks:?}");
        };
        assert_eq!(
            (topic.name.as_str(), topic.read_queues, topic.write_queues),
            ("%RETRY%billing", 3, 3)
        );
        to.topics.topics.insert(topic.name.clone(), topic.clone());
        assert!(missing(&kept(&[], &groups), &to).is_empty());
    }

    #[test]
    fn consumers_begin_where_they_have_no_offset_once_everything_is_there() {
        let mut from = kept(&["payments"], &named(&["billing", "shipping"]));
        let consumed = |group: &str| (group.to_owned(), BTreeMap::from([(0, 9)]));
        let all = [
            consumed("billing"),
            consumed("shipping"),
            consumed("nobody's"),
            consumed("billing@broadcast"),
        ];
        from.offsets.topics.insert("payments".to_owned(), all.into());
        let mut to = kept(&[], &[]);
        let first = missing(&from, &to);
        assert!(first.starts.is_empty() && !first.topics.is_empty());
        to = kept(&["payments"], &named(&["billing", "shipping"]));
        let there = BTreeMap::from([("billing".to_owned(), BTreeMap::from([(1, 0)]))]);
        to.offsets.topics.insert("payments".to_owned(), there);
        let start = Start {
            topic: "payments".to_owned(),
            queues: 2,
            groups: [
                ("billing".to_owned(), [1].into()),
                ("shipping".to_owned(), [].into()),
            ]
            .into(),
        };
        assert_eq!(missing(&from, &to).starts, [start]);
        let there = to.offsets.topics.get_mut("payments").unwrap();
        for group in ["billing", "shipping"] {
            there.insert(group.to_owned(), BTreeMap::from([(0, 0), (1, 0)]));
        }
        assert!(missing(&from, &to).is_empty());
    }

    proptest! {
        #[test]
        fn what_a_master_has_is_never_touched(
            from in prop::collection::btree_set("[a-z]{1,3}", 0..12), to in prop::collection::btree_set("[a-z]{1,3}", 0..12),
        ) {
            let names = |set: &BTreeSet<String>| kept(&set.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
            let lacks = missing(&names(&from), &names(&to)).topics;
            prop_assert!(lacks.iter().all(|topic| from.contains(&topic.name) && !to.contains(&topic.name)));
            prop_assert_eq!(lacks.len(), from.difference(&to).count());
        }
    }
}
