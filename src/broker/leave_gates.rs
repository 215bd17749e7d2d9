//! What has to hold before a group that leaves goes on. What is not known never counts as good.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::backlog::{Backlog, NAMED, messages};
use super::leave::{Leaving, Presence};
use crate::admin::{ORDER_TOPICS, Route, TopicConfig, perm};
use crate::api::ScaleInStatus;

/// How often producers ask for routes, with the queues of order topics.
const ROUTE_SECONDS: i64 = 30;
/// How long a master may take to answer that is restarting.
const SILENT_SECONDS: i64 = 60;
/// How long no write must arrive: two polls of a producer for routes.
const QUIET_SECONDS: i64 = 2 * ROUTE_SECONDS;

/// A name server, as people call it, and the routes of a group's topics as it tells them.
pub type View<E> = (String, Vec<Result<Option<Route>, E>>);

/// Whether every name server shows a group as read-only. A name server that does not know of the group sends nobody there.
pub fn fenced<E: Display>(broker_name: &str, views: &[View<E>]) -> Result<bool, String> {
    if views.is_empty() {
        return Err("no name server is known".to_owned());
    }
    let mut unknown = None;
    for (name_server, routes) in views {
        for route in routes {
            match route {
                Ok(route) => {
                    let brokers = route.as_ref().map(|route| &route.brokers);
                    let shown = brokers.and_then(|brokers| brokers.get(broker_name));
                    if shown.is_some_and(|shown| shown.queues.perm & perm::WRITE != 0) {
                        return Ok(false);
                    }
                }
                Err(why) => unknown = Some(format!("{name_server} does not tell its routes ({why})")),
            }
        }
    }
    unknown.map_or(Ok(true), Err)
}

/// Whether the group may be stopped.
pub(super) enum Drained {
    Yes,
    /// It is not read-only any more.
    Open,
    /// Somebody waits for messages, or not long enough has passed since the last write.
    No(String),
    Unknown(String),
}

impl Leaving<'_> {
    /// Whether producers of all its topics have another place, and if not, why not.
    pub(super) fn at_home(&self) -> Result<(), String> {
        match (&self.seen.homeless, self.seen.master) {
            (_, Presence::Ending | Presence::Gone) => Err("its master is started first".to_owned()),
            (Err(why), _) => Err(format!("its topics are not known: {why}")),
            (Ok(topics), _) if !topics.is_empty() => Err(creating(topics)),
            (Ok(_), _) => self.unordered(),
        }
    }

    /// Whether no order topic sends to it. With policy Immediate it does not wait for what only the user can do.
    fn unordered(&self) -> Result<(), String> {
        match &self.seen.order_topics {
            Err(why) => Err(format!("the queues of order topics are not known: {why}")),
            Ok(topics) if topics.naming.len() > topics.homeless.len() => Err(format!(
                "taking it out of the queues of {} order topics",
                topics.naming.len()
            )),
            Ok(topics) if !topics.homeless.is_empty() && !self.is_immediate() => {
                Err(nowhere(&topics.homeless))
            }
            Ok(_) => Ok(()),
        }
    }

    /// Whether producers of order topics have asked again since it was taken out of their queues, and what is to be remembered
    /// of that. As soon as it is read-only it refuses their messages (5.x `AbstractSendMessageProcessor.msgCheck`), and those
    /// of no other topic.
    pub(super) fn known_to_producers(
        &self,
        mut memory: ScaleInStatus,
    ) -> (ScaleInStatus, Result<(), String>) {
        if memory.order_topics.is_empty() || self.is_immediate() {
            return (memory, Ok(()));
        }
        match &self.seen.order_topics {
            Ok(topics) if topics.naming.is_empty() => {
                memory.unordered_since.get_or_insert_with(|| self.now.clone());
            }
            Ok(_) => memory.unordered_since = None,
            Err(_) => {}
        }
        let since = memory.unordered_since.as_ref();
        let asked = since.is_some_and(|since| self.seconds_since(since) >= ROUTE_SECONDS);
        let known = asked.then_some(()).ok_or_else(|| {
            format!(
                "taken out of the queues of order topics; waiting {ROUTE_SECONDS} s until every producer has asked for them"
            )
        });
        (memory, known)
    }

    /// What is remembered of a master that does not answer, where policy Immediate gives it up.
    pub(super) fn heard(&self, memory: ScaleInStatus) -> ScaleInStatus {
        let silent =
            self.is_immediate() && self.seen.master == Presence::Kept && self.seen.permission.is_err();
        let since = memory.silent_since.unwrap_or_else(|| self.now.clone());
        ScaleInStatus {
            silent_since: silent.then_some(since),
            ..memory
        }
    }

    /// Why the master does not answer, if policy Immediate waits for it no longer: it does not run, or has been silent for so
    /// long that it is not just restarting. A master that answers has its topics made elsewhere first.
    pub(super) fn silence(&self, memory: &ScaleInStatus) -> Option<&str> {
        let since = memory.silent_since.as_ref().filter(|_| self.is_stored())?;
        let long = self.seconds_since(since) >= SILENT_SECONDS;
        let told = self.seen.permission.as_ref().err().filter(|_| long);
        self.seen.broken.as_ref().or(told).map(String::as_str)
    }

    pub(super) fn given_up(&self, memory: &ScaleInStatus) -> bool {
        self.silence(memory).is_some()
    }

    /// Whether the master itself says that it is read-only.
    pub(super) fn read_only(&self) -> Result<bool, String> {
        match &self.seen.permission {
            Ok(told) => Ok(*told == perm::READ),
            Err(why) => Err(format!("its master does not tell its permission: {why}")),
        }
    }

    /// What is remembered of the backlog, where it is known.
    pub(super) fn counted(&self, mut memory: ScaleInStatus) -> ScaleInStatus {
        if let Ok(backlog) = &self.seen.backlog {
            let is_known = backlog.total() > 0 || backlog.uncounted.is_empty();
            memory.backlog = is_known.then(|| backlog.total());
            memory.blockers = backlog.words(self.now);
            memory.blockers.truncate(NAMED);
        }
        memory
    }

    /// Whether nothing is left, and what is to be remembered of that. Nothing but what was seen just now counts.
    pub(super) fn drained(&self, memory: ScaleInStatus) -> (ScaleInStatus, Drained) {
        let mut memory = self.counted(memory);
        match self.read_only() {
            // It may have restarted, and taken writes until it is read-only again.
            Err(why) => return (unquiet(memory), Drained::Unknown(why)),
            Ok(false) => return (unquiet(memory), Drained::Open),
            Ok(true) => {}
        }
        match &self.seen.fenced {
            Ok(true) => {}
            Ok(false) => return (unquiet(memory), Drained::Open),
            Err(why) => return (memory, Drained::Unknown(why.clone())),
        }
        let backlog = match &self.seen.backlog {
            Ok(backlog) => backlog,
            Err(why) => {
                return (
                    memory,
                    Drained::Unknown(format!("its backlog is not known: {why}")),
                );
            }
        };
        let same = memory.written == Some(backlog.written);
        memory.written = Some(backlog.written);
        memory.quiet_since = match memory.quiet_since.take() {
            Some(since) if same => Some(since),
            _ => same.then(|| self.now.clone()),
        };
        let quiet = memory.quiet_since.as_ref();
        let quiet = quiet.is_some_and(|since| self.seconds_since(since) >= QUIET_SECONDS);
        let drained = match &self.seen.homeless {
            Err(why) => Drained::Unknown(format!("its topics are not known: {why}")),
            Ok(topics) if !topics.is_empty() => Drained::No(creating(topics)),
            Ok(_) if !backlog.is_empty() => Drained::No(left(backlog, &memory.blockers)),
            Ok(_) if !quiet => Drained::No(format!(
                "nothing is left in it; waiting for {QUIET_SECONDS} s without a write"
            )),
            Ok(_) => Drained::Yes,
        };
        (memory, drained)
    }
}

/// What was seen of writes does not count any more.
pub(super) fn unquiet(memory: ScaleInStatus) -> ScaleInStatus {
    ScaleInStatus {
        quiet_since: None,
        written: None,
        ..memory
    }
}

pub(super) fn creating(topics: &[TopicConfig]) -> String {
    format!(
        "making {} elsewhere that producers can write to here only: {}",
        if topics.len() == 1 {
            "1 topic".to_owned()
        } else {
            format!("{} topics", topics.len())
        },
        some_of(topics.iter().map(|topic| topic.name.as_str()))
    )
}

/// Producers of an order topic go by its entry, whatever the topic's own permission says.
fn nowhere(topics: &BTreeSet<String>) -> String {
    format!(
        "name servers send producers of order topics to this group only, and no group that stays takes writes of them: {}; \
         make or open them there (mqadmin updateTopic), or delete their entries (mqadmin deleteKvConfig -s {ORDER_TOPICS} -k \
         TOPIC)",
        some_of(topics.iter().map(String::as_str))
    )
}

/// A few names of many.
pub(super) fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.take(NAMED + 1).collect();
    if names.len() > NAMED {
        names.pop();
        names.push("…");
    }
    names.join(", ")
}

fn left(backlog: &Backlog, blockers: &[String]) -> String {
    if !backlog.uncounted.is_empty() {
        let blockers = blockers.join("; ");
        return format!("{blockers}; turn that off once none are, or set spec.scaleIn.policy to Immediate");
    }
    if backlog.total() == 0 {
        return format!("{} bytes are on their way into its queues", backlog.undispatched);
    }
    format!("{} left; {}", messages(backlog.total()), blockers.join("; "))
}

#[cfg(test)]
#[path = "leave_gates_tests.rs"]
mod tests;
