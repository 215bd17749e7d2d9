//! Opening a new group: its master takes no traffic until it has the topics and subscription groups of another one.
//!
//! Only what is missing is created, nothing that a user made is updated, and no offsets are copied: a new group's queues are empty. What is
//! copied is read back by the next reconcile, so it repeats safely after any crash.

use std::collections::BTreeMap;

use futures::future::{join, join_all};
use kube::ResourceExt;

use super::budget::Budget;
use super::observe::{Answer, Observed, Seen};
use super::valid::{Member, Valid};
use crate::admin::system::{is_dead_letter_topic, is_retry_topic, is_system_group, is_system_topic};
use crate::admin::{
    self, Admin, Attributes, SubscriptionGroup, SubscriptionGroups, TopicConfig, Topics, confirm,
};
use crate::k8s::labels::{OPENING, STAGE};

/// What a new group still lacks, by group.
pub type Openings = BTreeMap<i32, Result<Missing, String>>;

/// What the master of a new group lacks of what the source has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missing {
    /// The pod that topics and groups are copied from.
    pub source: String,
    /// Subscription groups; made first, so that no consumer finds a topic without its group.
    pub groups: Vec<SubscriptionGroup>,
    /// Topics.
    pub topics: Vec<TopicConfig>,
}

impl Missing {
    /// Whether the group has all that the source has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.topics.is_empty()
    }
}

/// Whether this is the master of a group that is being opened, as its StatefulSet remembers.
#[must_use]
pub fn is_opening(seen: &Seen) -> bool {
    let set = seen.set.as_deref();
    set.is_some_and(|set| set.annotations().get(STAGE).is_some_and(|stage| stage == OPENING))
}

/// What each group that is being opened lacks, as far as its master can be filled now: it answers, every name server lists
/// it, and it announces itself as read-only.
pub async fn observe(valid: &Valid, observed: &Observed, admin: &dyn Admin) -> Openings {
    let masters = observed.members.iter().filter(|seen| is_opening(seen));
    let openings = masters.map(|master| async move {
        let missing = match fillable(valid, observed, master) {
            Ok((source, target)) => missing(valid, source, target, admin).await,
            Err(why) => Err(why),
        };
        (master.member.group, missing)
    });
    join_all(openings).await.into_iter().collect()
}

/// The source and the addresses, or why the master cannot be filled yet.
fn fillable<'a>(
    valid: &Valid,
    observed: &'a Observed,
    master: &'a Seen,
) -> Result<(&'a Seen, &'a str), String> {
    let pod = master.member.pod_name(&valid.name);
    let Some(facts) = &master.facts else {
        return Err(format!("waiting until {pod} serves"));
    };
    if !observed.is_listed(valid, master.member) {
        return Err(format!("waiting until every name server lists {pod}"));
    }
    if facts.fenced() != Some(true) {
        return Err(format!("waiting until {pod} is read-only"));
    }
    Ok((source(valid, observed)?, facts.address.as_str()))
}

/// The master whose topics and groups a new group starts with.
fn source<'a>(valid: &Valid, observed: &'a Observed) -> Result<&'a Seen, String> {
    let first = Member { group: 0, replica: 0 }.pod_name(&valid.name);
    let named = valid.spec.scale_pod_name.as_deref();
    let name = named.unwrap_or(&first);
    let mut masters = observed.members.iter().filter(|seen| seen.member.is_master());
    let found = masters.find(|seen| seen.member.pod_name(&valid.name) == name);
    match found {
        None => Err(format!(
            "spec.scalePodName {name:?} is no master of this Broker; name one, such as {first}"
        )),
        Some(seen) if is_opening(seen) => Err(format!(
            "spec.scalePodName {name:?} is itself a new group; name one that has topics, such as {first}"
        )),
        Some(seen) => match &seen.answer {
            Answer::Serves => Ok(seen),
            Answer::NotAsked => Err(format!("{name} cannot be read: its pod is not ready")),
            Answer::No(why) => Err(format!("{name} cannot be read: {why}")),
        },
    }
}

async fn missing(valid: &Valid, source: &Seen, target: &str, admin: &dyn Admin) -> Result<Missing, String> {
    let name = source.member.pod_name(&valid.name);
    let address = source
        .facts
        .as_ref()
        .map(|facts| facts.address.as_str())
        .unwrap_or_default();
    let (from, to) = join(tables(address, admin), tables(target, admin)).await;
    let (from_topics, from_groups) = from.map_err(|err| format!("{name} cannot be read: {err}"))?;
    let (to_topics, to_groups) = to.map_err(|err| format!("the new master cannot be read: {err}"))?;
    let broker = valid.broker_name(source.member.group);
    Ok(Missing {
        source: name,
        groups: lacking_groups(&from_groups, &to_groups),
        topics: lacking_topics(&from_topics, &to_topics, &valid.name, &broker),
    })
}

async fn tables(address: &str, admin: &dyn Admin) -> Result<(Topics, SubscriptionGroups), admin::Error> {
    let (topics, groups) = join(admin.topics(address), admin.subscription_groups(address)).await;
    Ok((topics?, groups?))
}

/// The users' groups that `to` has not, or only as it makes one by itself: consumers find it by its `TBW102`, which every client
/// asks name servers for, before anything is copied.
fn lacking_groups(from: &SubscriptionGroups, to: &SubscriptionGroups) -> Vec<SubscriptionGroup> {
    let users = from.groups.values().filter(|group| !is_system_group(&group.name));
    users
        .filter(|group| {
            let there = to.groups.get(&group.name);
            there.is_none_or(|there| there.is_placeholder_of(group))
        })
        .cloned()
        .collect()
}

/// The users' topics that `to` has not. Retry and dead-letter topics make themselves.
fn lacking_topics(from: &Topics, to: &Topics, cluster: &str, broker: &str) -> Vec<TopicConfig> {
    let users = from.topics.values().filter(|topic| {
        !is_system_topic(&topic.name, cluster, broker)
            && !is_retry_topic(&topic.name)
            && !is_dead_letter_topic(&topic.name)
    });
    users
        .filter(|topic| !to.topics.contains_key(&topic.name))
        .cloned()
        .collect()
}

/// Makes on the broker at `address`, if it is the master of `broker_name`, what it lacks, as `Budget::make` does.
///
/// # Errors
/// The first that is refused or not answered.
pub async fn fill(
    (admin, budget): (&dyn Admin, Budget),
    address: &str,
    broker_name: &str,
    missing: &Missing,
) -> Result<(), admin::Error> {
    let broker = confirm(admin, address, broker_name, 0).await?;
    let topics = missing.topics.iter().map(|topic| (topic, Attributes::Create));
    budget.make(&broker, &missing.groups, topics).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics(names: &[&str]) -> Topics {
        let topics = names
            .iter()
            .map(|name| ((*name).to_owned(), TopicConfig::new(name, 8)));
        Topics {
            topics: topics.collect(),
            ..Topics::default()
        }
    }

    fn groups(names: &[&str]) -> SubscriptionGroups {
        let groups = names
            .iter()
            .map(|name| ((*name).to_owned(), SubscriptionGroup::new(name)));
        SubscriptionGroups {
            groups: groups.collect(),
            ..SubscriptionGroups::default()
        }
    }

    #[test]
    fn only_what_users_made_and_the_new_group_lacks_is_copied() {
        let from = topics(&[
            "payments",
            "parcels",
            "%RETRY%billing",
            "%DLQ%billing",
            "TBW102",
            "orders",
            "orders-0",
            "SCHEDULE_TOPIC_XXXX",
        ]);
        let lacking = lacking_topics(&from, &topics(&["parcels"]), "orders", "orders-0");
        assert_eq!(
            lacking
                .iter()
                .map(|topic| topic.name.as_str())
                .collect::<Vec<_>>(),
            ["payments"]
        );
        let from = groups(&["billing", "shipping", "TOOLS_CONSUMER", "CID_ONSAPI_OWNER"]);
        let lacking = lacking_groups(&from, &groups(&["shipping"]));
        assert_eq!(
            lacking
                .iter()
                .map(|group| group.name.as_str())
                .collect::<Vec<_>>(),
            ["billing"]
        );
    }

    proptest! {
        #[test]
        fn what_the_new_group_has_is_never_touched(
            from in prop::collection::btree_set("[a-z]{1,3}", 0..12), to in prop::collection::btree_set("[a-z]{1,3}", 0..12),
        ) {
            let names = |set: &std::collections::BTreeSet<String>| topics(&set.iter().map(String::as_str).collect::<Vec<_>>());
            let lacking = lacking_topics(&names(&from), &names(&to), "orders", "orders-0");
            prop_assert!(lacking.iter().all(|topic| from.contains(&topic.name) && !to.contains(&topic.name)));
            prop_assert_eq!(lacking.len(), from.difference(&to).count());
        }
    }
}
