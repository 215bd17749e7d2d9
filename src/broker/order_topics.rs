//! A group that leaves in the queues of order topics, as name servers keep them (`ORDER_TOPIC_CONFIG`: topic to
//! `BROKER:QUEUES;…`). Producers of an order topic send to exactly these queues: as long as a group is named there that takes
//! no writes, a share of their messages is refused. So it is taken out before it becomes read-only, and put back as it was
//! if it stays after all.

use std::collections::{BTreeMap, BTreeSet};

use super::budget::Budget;
use super::observe::Observed;
use crate::admin::{self, Admin, ORDER_TOPICS, Topics};
use crate::api::ScaleInStatus;

/// The order topics of the cluster, for a group that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderTopics {
    /// Those that name the group, with their queues as they are: of name servers that differ the first one counts. Not
    /// those that are left alone: see `Cluster::is_stale`.
    pub naming: BTreeMap<String, String>,
    /// Of these, the ones that name this group alone, where no group that stays takes writes of the topic: their queues
    /// have nowhere to go.
    pub homeless: BTreeSet<String>,
    /// What is to be written to take the group out.
    pub without: Vec<Entry>,
    /// What is to be written to put it back as it was.
    pub again: Vec<Entry>,
}

/// The queues of an order topic, to be written on one name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `host:port`.
    pub name_server: String,
    /// The topic.
    pub topic: String,
    /// Its queues.
    pub queues: String,
}

/// A master that stays: its `brokerName` and its topics.
pub type Home<'a> = (String, &'a Topics);

/// Where topics are, whatever their entries say.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    /// `brokerName` of the group that leaves.
    pub broker_name: &'a str,
    /// The topics of its master, where they are known.
    pub leaving: Option<&'a Topics>,
    /// The masters that stay and take writes.
    pub homes: &'a [Home<'a>],
}

impl Cluster<'_> {
    /// Whether an entry that names the leaving group alone is left over from a topic that is not there any more, or never
    /// was. No producer can follow it, because the master that it sends them to does not have the topic: it is no reason to
    /// wait. It is left as it is, because it is its user's and says nothing that was not untrue before.
    fn is_stale(&self, topic: &str) -> bool {
        let leaving = self.leaving;
        leaving.is_some_and(|topics| !topics.topics.contains_key(topic)) && self.home(topic).is_none()
    }

    /// The queues of the first master that stays and takes writes of the topic.
    fn home(&self, topic: &str) -> Option<String> {
        self.homes.iter().find_map(|(broker_name, topics)| {
            let found = topics.topics.get(topic)?;
            let writable = found.perm & admin::perm::WRITE != 0 && found.write_queues > 0;
            writable.then(|| format!("{broker_name}:{}", found.write_queues))
        })
    }
}

/// Looks at every name server. Nothing is taken out that is not remembered in `memory`: first it is stored as it was.
///
/// # Errors
/// When one name server does not tell.
pub async fn observe(
    observed: &Observed,
    cluster: &Cluster<'_>,
    memory: Option<&ScaleInStatus>,
    admin: &dyn Admin,
) -> Result<OrderTopics, String> {
    let mut found = OrderTopics::default();
    for view in &observed.views {
        let name = &view.name;
        let address = view.address.as_deref();
        let address = address.ok_or_else(|| format!("{name} has no address"))?;
        let table = admin.kv_list(address, ORDER_TOPICS).await;
        let table = table.map_err(|err| format!("{name}: {err}"))?;
        found.add(address, &table, cluster, memory);
    }
    Ok(found)
}

/// Writes entries, as many as the budget allows. Each is what a look a moment ago found to be missing.
///
/// # Errors
/// The first that a name server refuses or does not answer.
pub async fn put(entries: &[Entry], (admin, budget): (&dyn Admin, Budget)) -> Result<(), admin::Error> {
    for entry in entries.iter().take_while(|_| !budget.is_spent()) {
        tracing::info!(
            name_server = entry.name_server,
            topic = entry.topic,
            queues = entry.queues,
            "writing the queues of an order topic"
        );
        admin
            .put_kv(&entry.name_server, ORDER_TOPICS, &entry.topic, &entry.queues)
            .await?;
    }
    Ok(())
}

impl OrderTopics {
    fn add(
        &mut self,
        name_server: &str,
        table: &BTreeMap<String, String>,
        cluster: &Cluster<'_>,
        memory: Option<&ScaleInStatus>,
    ) {
        let broker_name = cluster.broker_name;
        let entry = |topic: &str, queues: String| Entry {
            name_server: name_server.to_owned(),
            topic: topic.to_owned(),
            queues,
        };
        for (topic, queues) in table.iter().filter(|(_, queues)| names(queues, broker_name)) {
            let left = without(queues, broker_name).or_else(|| cluster.home(topic));
            if left.is_none() && cluster.is_stale(topic) {
                continue;
            }
            self.naming.entry(topic.clone()).or_insert_with(|| queues.clone());
            let stored = memory.is_some_and(|memory| memory.order_topics.contains_key(topic));
            match left {
                Some(left) if stored => self.without.push(entry(topic, left)),
                Some(_) => {}
                None => {
                    self.homeless.insert(topic.clone());
                }
            }
        }
        for (topic, before) in memory.iter().flat_map(|memory| &memory.order_topics) {
            let now = table.get(topic).filter(|now| !names(now, broker_name));
            // What the user has written meanwhile, or deleted, stays.
            let ours = |now: &&String| without(before, broker_name).is_none_or(|left| left == **now);
            if now.as_ref().is_some_and(ours) {
                self.again.push(entry(topic, before.clone()));
            }
        }
    }
}

fn parts(queues: &str) -> impl Iterator<Item = &str> {
    queues.split(';').map(str::trim).filter(|part| !part.is_empty())
}

fn is_of(part: &str, broker_name: &str) -> bool {
    part.rsplit_once(':').is_some_and(|(name, _)| name == broker_name)
}

fn names(queues: &str, broker_name: &str) -> bool {
    parts(queues).any(|part| is_of(part, broker_name))
}

/// The queues without those of a broker; none if there are no others.
fn without(queues: &str, broker_name: &str) -> Option<String> {
    let left: Vec<_> = parts(queues).filter(|part| !is_of(part, broker_name)).collect();
    (!left.is_empty()).then(|| left.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::TopicConfig;
    use crate::api::ScaleInPhase;
    use k8s_openapi::jiff::Timestamp;
    use proptest::prelude::*;

    fn table(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        let entries = entries
            .iter()
            .map(|(topic, queues)| ((*topic).to_owned(), (*queues).to_owned()));
        entries.collect()
    }

    fn remembers(entries: &[(&str, &str)]) -> ScaleInStatus {
        ScaleInStatus {
            order_topics: table(entries),
            ..ScaleInStatus::begun(
                2,
                k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
            )
        }
    }

    fn look(entries: &[(&str, &str)], memory: Option<&ScaleInStatus>) -> OrderTopics {
        look_at(true, entries, memory)
    }

    /// Both masters have the topic `alone`, and only the leaving one has `homeless`; if its topics are known.
    fn look_at(known: bool, entries: &[(&str, &str)], memory: Option<&ScaleInStatus>) -> OrderTopics {
        let mut topics = Topics::default();
        topics
            .topics
            .insert("alone".to_owned(), TopicConfig::new("alone", 8));
        let mut leaving = topics.clone();
        leaving
            .topics
            .insert("homeless".to_owned(), TopicConfig::new("homeless", 4));
        let mut found = OrderTopics::default();
        let cluster = Cluster {
            broker_name: "orders-2",
            leaving: known.then_some(&leaving),
            homes: &[("orders-0".to_owned(), &topics)],
        };
        found.add("198.18.0.2:9876", &table(entries), &cluster, memory);
        found
    }

    fn written(entries: &[Entry]) -> Vec<(&str, &str)> {
        let entries = entries.iter();
        entries
            .map(|entry| (entry.topic.as_str(), entry.queues.as_str()))
            .collect()
    }

    #[test]
    fn a_group_is_taken_out_once_it_is_remembered_as_it_was() {
        let now = [
            ("parcels", "orders-0:4;orders-2:4"),
            ("stock", "orders-0:4;orders-20:4"),
        ];
        let first = look(&now, None);
        assert_eq!(first.naming, table(&now[..1]));
        assert_eq!(first.without, [], "it is not remembered yet");
        let next = look(&now, Some(&remembers(&now[..1])));
        assert_eq!(written(&next.without), [("parcels", "orders-0:4")]);
        assert_eq!(next.again, []);
    }

    #[test]
    fn a_topic_of_that_group_alone_goes_where_its_home_is_and_waits_as_long_as_it_has_none() {
        let now = [("alone", "orders-2:8"), ("homeless", "orders-2:4")];
        let found = look(&now, Some(&remembers(&now)));
        assert_eq!(written(&found.without), [("alone", "orders-0:8")]);
        assert_eq!(found.naming.len(), 2);
        assert_eq!(found.homeless, BTreeSet::from(["homeless".to_owned()]));
    }

    #[test]
    fn an_entry_of_a_topic_that_is_not_there_is_left_alone_and_not_waited_for() {
        let now = [("gone", "orders-2:4"), ("both", "orders-0:4;orders-2:4")];
        let found = look(&now, Some(&remembers(&now)));
        assert_eq!(found.naming, table(&now[1..]));
        assert_eq!(written(&found.without), [("both", "orders-0:4")]);
        assert_eq!((found.homeless.len(), found.again), (0, Vec::new()));
        let unknown = look_at(false, &now, Some(&remembers(&now)));
        assert_eq!(unknown.naming, table(&now), "it may be there");
    }

    #[test]
    fn a_group_that_stays_is_put_back_where_its_user_has_not_written_meanwhile() {
        let before = remembers(&[
            ("parcels", "orders-0:4;orders-2:4"),
            ("alone", "orders-2:8"),
            ("changed", "orders-0:4;orders-2:4"),
            ("deleted", "orders-0:4;orders-2:4"),
            ("named", "orders-0:4;orders-2:4"),
        ]);
        let now = [
            ("parcels", "orders-0:4"),
            ("alone", "orders-0:8"),
            ("changed", "orders-1:2"),
            ("named", "orders-2:1"),
        ];
        let found = look(&now, Some(&before));
        assert_eq!(
            written(&found.again),
            [("alone", "orders-2:8"), ("parcels", "orders-0:4;orders-2:4")]
        );
    }

    #[test]
    fn a_memory_begins_in_the_first_phase() {
        assert_eq!(remembers(&[]).phase, ScaleInPhase::Moving);
    }

    proptest! {
        #[test]
        fn what_is_left_never_names_the_group_and_keeps_the_others_in_their_order(
            brokers in prop::collection::vec((0usize..6, 1i32..9), 0..6), noise in prop::sample::select(vec!["", ";", " ", "x", ":"]),
        ) {
            let queues: Vec<_> = brokers.iter().map(|(n, queues)| format!("orders-{n}:{queues}")).collect();
            let queues = format!("{noise};{}", queues.join(";"));
            let left = without(&queues, "orders-2").unwrap_or_default();
            prop_assert!(!names(&left, "orders-2"));
            let others: Vec<_> = parts(&queues).filter(|part| !part.starts_with("orders-2:")).collect();
            prop_assert_eq!(parts(&left).collect::<Vec<_>>(), others);
        }
    }
}
