//! Restarting brokers to carry out a change: one pod at a time in the whole `Broker`, replicas before their master, and never on
//! a guess. What is not known is waited for.
//!
//! A master whose store does not survive is restarted only when nobody misses anything of it ([`volatile`]), and before its
//! replicas, which are emptied with it. Where each of its topics can be written to elsewhere it is fenced first:
//! name servers show it read-only, producers go to the other groups, and its replicas have every message when it stops.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::observe::{Observed, Seen};
use super::valid::{Member, Valid};
use super::volatile::{self, Store};
use crate::admin::system::{is_dead_letter_topic, is_retry_topic, is_system_topic};
use crate::admin::{Admin, TopicConfig, perm};
use crate::api::RolloutStatus;
use crate::context::Context;
use crate::error::Error;
use crate::k8s::pod;
use crate::workload::claims::Claims;
use crate::workload::set::{self, Verdict};

/// How long producers are given to learn that a group is read-only: they ask name servers every 30 s.
pub(super) const ROUTES: i64 = 30;
/// How far a replica may be behind a master that goes on taking messages, in bytes.
const BEHIND: i64 = 1024 * 1024;

/// Why a broker does not run as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// Its StatefulSet is not yet what the spec asks for.
    Set,
    /// Its StatefulSet is, and Kubernetes has not taken note of that yet.
    Unseen,
    /// Its StatefulSet is, and its pod was made before.
    Pod,
    /// Its process does not take a new list of name servers without a restart.
    Process,
}

/// The next step of a rolling restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Roll {
    /// Every broker runs as it should.
    #[default]
    Done,
    /// One is to be restarted, and has to wait for something that passes.
    Wait {
        /// Which one.
        member: Member,
        /// What for, in words.
        gate: String,
    },
    /// One is to be restarted, and the user has to decide.
    Held {
        /// One word for the condition.
        reason: &'static str,
        /// What for, and what the user can do.
        message: String,
    },
    /// A master is to be restarted, and waits until nothing would be lost with its store.
    Drains {
        /// Which one.
        member: Member,
        /// What for, in words.
        gate: String,
        /// Why it waits, and what the user can do.
        would_lose: String,
    },
    /// The topics and groups of a master whose store goes with its pod are noted now.
    Note(Member),
    /// One is written, or its pod replaced, now.
    Restart(Member),
    /// A master with a new store has everything again that it is to have.
    Refilled(Member),
}

/// What is known of the topics of the master that is to be restarted next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    /// Whether each of its users' topics that can be written to can be written to on another master too; none if it has no
    /// such topic.
    pub elsewhere: Option<bool>,
    /// Whether no name server sends producers of them to this master.
    pub fenced: bool,
    /// What was seen of its store, where that goes with its pod.
    pub store: Option<Store>,
}

/// One broker and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// As it is.
    pub seen: &'a Seen,
    /// Why it is to be restarted.
    pub why: Outdated,
    /// How its claim templates differ, which cannot be changed in place.
    pub claims: Claims,
}

/// Why a broker is to be restarted, if it is.
#[must_use]
pub fn outdated(verdict: Verdict, seen: &Seen, list: &str) -> Option<Outdated> {
    let live = seen.set.as_deref()?;
    let made_by_us = set::intent(live).is_some();
    if matches!(
        verdict,
        Verdict::Pending | Verdict::PendingRemake | Verdict::Recreate
    ) {
        return made_by_us.then_some(Outdated::Set);
    }
    let pod = seen.pod.as_deref().filter(|pod| !pod::deleting(pod))?;
    let status = live.status.as_ref()?;
    let newest = status.update_revision.as_deref()?;
    if status.observed_generation < live.metadata.generation {
        return Some(Outdated::Unseen);
    }
    if pod::revision(pod).is_some_and(|revision| revision != newest) {
        return Some(Outdated::Pod);
    }
    let facts = seen.facts.as_ref()?;
    (facts.misses(list) && !facts.takes_name_servers_live()).then_some(Outdated::Process)
}

/// The broker that is restarted next: one that does not serve anyway, else by group, replicas first; masters first where
/// their stores go with their pods.
#[must_use]
pub fn next<'a>(
    valid: &Valid,
    candidates: &[Candidate<'a>],
    serves: impl Fn(&Seen) -> bool,
) -> Option<Candidate<'a>> {
    let masters_first = candidates
        .iter()
        .any(|candidate| volatile::is_volatile(valid, candidate.seen));
    let order = |candidate: &&Candidate<'a>| {
        let member = candidate.seen.member;
        (
            serves(candidate.seen),
            member.group,
            member.is_master() != masters_first,
            -member.replica,
        )
    };
    candidates.iter().min_by_key(order).copied()
}

/// Everything that decides about the next step.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What is asked for.
    pub valid: &'a Valid,
    /// What was observed.
    pub observed: &'a Observed,
    /// The brokers that are to be restarted.
    pub candidates: &'a [Candidate<'a>],
    /// Why brokers do not serve, by pod.
    pub not_serving: &'a BTreeMap<String, String>,
    /// What is known of the topics of the master that is next; an error if they cannot be read.
    pub topics: &'a Result<Topics, String>,
    /// What the API server says to the next StatefulSet that is written, if it does not take it.
    pub refused: Option<&'a str>,
    /// Now.
    pub now: &'a Time,
}

/// The next step, and what has to be remembered of it: while a master is remembered, its group is fenced.
#[must_use]
pub fn step(known: &Known<'_>) -> (Roll, Option<RolloutStatus>) {
    let memory = known.valid.rollout.clone();
    let serves = |seen: &Seen| !known.not_serving.contains_key(&known.pod(seen));
    if let Some(step) = volatile::refilling(known, memory.as_ref()) {
        return step;
    }
    if let Some(wait) = known.unfinished(memory.as_ref()) {
        return (wait, memory);
    }
    let Some(next) = next(known.valid, known.candidates, serves) else {
        return (Roll::Done, None);
    };
    let member = next.seen.member;
    let wait = |gate: String| Roll::Wait { member, gate };
    if next.why == Outdated::Unseen {
        let gate = "Kubernetes has to take note of its StatefulSet".to_owned();
        return (wait(gate), memory);
    }
    if let Some((pod, why)) = known.other_trouble(next.seen) {
        return (wait(format!("{pod} has to serve first: {why}")), None);
    }
    let cannot = |candidate: &&Candidate<'_>| matches!(candidate.claims, Claims::Shrunk | Claims::Other);
    if let Some(other) = known.candidates.iter().find(cannot) {
        return (known.other_claims(*other), None);
    }
    if known.valid.spec.allow_restart == Some(false) {
        return (known.not_allowed(next), None);
    }
    if let Some(why) = known.refused {
        return (known.refused_template(next, why), None);
    }
    if next.claims == Claims::Grown && known.valid.growth_refused {
        return (
            wait("its volume has to grow first, which it cannot".to_owned()),
            None,
        );
    }
    if !serves(next.seen) && !next.seen.pod_ready() {
        if volatile::holds(known.valid, known.observed, next.seen) {
            return volatile::emptying(known, next.seen, memory);
        }
        return (Roll::Restart(member), None);
    }
    if known.observed.views.is_empty() {
        let gate = "no name server is known that could tell whether it comes back".to_owned();
        return (wait(gate), None);
    }
    if next.seen.facts.is_none() {
        let why = known.not_serving.get(&known.pod(next.seen));
        let why = why.map_or("it was not asked", String::as_str);
        return (
            wait(format!("its pod is ready and it does not answer: {why}")),
            memory,
        );
    }
    if !member.is_master() {
        let gate = known.behind(None, BEHIND);
        return (gate.map_or(Roll::Restart(member), wait), None);
    }
    if volatile::is_volatile(known.valid, next.seen) {
        return volatile::emptying(known, next.seen, memory);
    }
    known.master(next.seen, memory)
}

impl Known<'_> {
    pub(super) fn pod(&self, seen: &Seen) -> String {
        seen.member.pod_name(&self.valid.name)
    }

    /// A master that was fenced for its restart and needs none any more stays fenced until it serves again, with its
    /// replicas.
    fn unfinished(&self, memory: Option<&RolloutStatus>) -> Option<Roll> {
        let pod = memory.map(|memory| memory.pod.as_str())?;
        let is_it = |seen: &&Seen| self.pod(seen) == pod;
        let seen = self.observed.members.iter().find(is_it)?;
        if self
            .candidates
            .iter()
            .any(|candidate| candidate.seen.member == seen.member)
        {
            return None;
        }
        let group = self.observed.members.iter();
        let mut group = group.filter(|other| other.member.group == seen.member.group);
        let why = group.find_map(|other| {
            let pod = self.pod(other);
            self.not_serving.get(&pod).map(|why| format!("{pod}: {why}"))
        });
        why.map(|gate| Roll::Wait {
            member: seen.member,
            gate,
        })
    }

    /// Another broker that does not serve.
    pub(super) fn other_trouble(&self, next: &Seen) -> Option<(&str, &str)> {
        let own = self.pod(next);
        let mut others = self.not_serving.iter().filter(|(pod, _)| **pod != own);
        others.next().map(|(pod, why)| (pod.as_str(), why.as_str()))
    }

    fn other_claims(&self, candidate: Candidate<'_>) -> Roll {
        let pod = self.pod(candidate.seen);
        if candidate.claims == Claims::Shrunk {
            return Roll::Held {
                reason: "VolumeNotShrunk",
                message: format!(
                    "spec.volumeClaimTemplates asks for less than the volumes of {pod} have, and a volume is never made smaller; \
                     put the size back, or ask for more"
                ),
            };
        }
        Roll::Held {
            reason: "VolumeClaimTemplatesChanged",
            message: format!(
                "spec.volumeClaimTemplates differs from the claims that {pod} runs with in more than size, and claims of a running \
                 broker are not changed; put the templates back, or make the change with new groups"
            ),
        }
    }

    fn refused_template(&self, next: Candidate<'_>, why: &str) -> Roll {
        Roll::Held {
            reason: "TemplateRefused",
            message: format!(
                "the API server does not take what the spec makes of {}, nothing is restarted: {why}; correct the spec",
                next.seen.member.name(&self.valid.name)
            ),
        }
    }

    fn not_allowed(&self, next: Candidate<'_>) -> Roll {
        Roll::Held {
            reason: "RestartNotAllowed",
            message: format!(
                "{} of {} brokers, {} first, take a change only with a restart, and spec.allowRestart is false: it applies \
                 when they restart anyway; allow restarts, or delete their pods one by one",
                self.candidates.len(),
                self.observed.members.len(),
                self.pod(next.seen)
            ),
        }
    }

    /// Why replicas of a group, or of all, are too far behind their master, or cannot be compared.
    fn behind(&self, group: Option<i32>, allowed: i64) -> Option<String> {
        let replicas = self
            .observed
            .members
            .iter()
            .filter(|seen| !seen.member.is_master());
        let mut replicas = replicas.filter(|seen| group.is_none_or(|group| seen.member.group == group));
        replicas.find_map(|replica| {
            let (of, pod) = (end_of(Some(replica)), self.pod(replica));
            let master = Member {
                group: replica.member.group,
                replica: 0,
            };
            let master = self.observed.broker(master);
            match (of, end_of(master)) {
                (Some(of), Some(end)) if end - of <= allowed => None,
                (Some(of), Some(end)) => {
                    Some(format!("replica {pod} is {} bytes behind its master", end - of))
                }
                _ => Some(format!("it is not known how far replica {pod} is")),
            }
        })
    }

    fn master(&self, seen: &Seen, memory: Option<RolloutStatus>) -> (Roll, Option<RolloutStatus>) {
        let member = seen.member;
        let wait = |gate: String| Roll::Wait { member, gate };
        let topics = match self.topics {
            Ok(topics) => topics,
            Err(why) => return (wait(format!("its topics are not known: {why}")), memory),
        };
        if topics.elsewhere != Some(true) {
            // A fence would be an outage: what can be done is to stop it with its replicas close behind.
            let gate = self.behind(Some(member.group), BEHIND);
            return (gate.map_or(Roll::Restart(member), wait), None);
        }
        let pod = self.pod(seen);
        let mut memory = memory
            .filter(|memory| memory.pod == pod)
            .unwrap_or(RolloutStatus {
                pod,
                ..RolloutStatus::default()
            });
        let said = seen.facts.as_ref().and_then(super::observe::Facts::fenced);
        if said != Some(true) || !topics.fenced {
            memory.fenced_since = None;
            let gate = "every name server has to show it read-only first".to_owned();
            return (wait(gate), Some(memory));
        }
        let since = memory
            .fenced_since
            .get_or_insert_with(|| self.now.clone())
            .clone();
        let left = ROUTES - self.now.0.duration_since(since.0).as_secs();
        if left > 0 {
            let gate = format!(
                "producers have {ROUTES} s to go to other groups, since {}",
                since.0
            );
            return (wait(gate), Some(memory));
        }
        let gate = self.behind(Some(member.group), 0);
        (gate.map_or(Roll::Restart(member), wait), Some(memory))
    }
}

/// Where the commit log of a broker ends, if that is known.
pub(super) fn end_of(seen: Option<&Seen>) -> Option<i64> {
    seen?.facts.as_ref()?.runtime.commit_log_max_offset()
}

/// Reads what decides how a master is restarted, and when: its topics, and its store where that goes with its pod. The outer
/// error is one of Kubernetes.
pub async fn read(
    valid: &Valid,
    observed: &Observed,
    master: Member,
    (ctx, admin): (&Context, &dyn Admin),
) -> Result<Result<Topics, String>, Error> {
    let is_emptied = volatile::emptied(observed).is_some_and(|seen| seen.member == master);
    let is_volatile = |seen: &Seen| volatile::is_volatile(valid, seen);
    let store = if is_emptied || observed.broker(master).is_some_and(is_volatile) {
        volatile::look(valid, observed, master, (ctx, admin)).await?
    } else {
        None
    };
    let topics = if is_emptied {
        Ok(Topics::default())
    } else {
        topics(valid, observed, master, admin).await
    };
    Ok(topics.map(|topics| Topics { store, ..topics }))
}

/// Reads what decides whether a master may be fenced: its users' topics, those of the other masters, and what name servers
/// show. With one group there is nowhere else.
async fn topics(
    valid: &Valid,
    observed: &Observed,
    master: Member,
    admin: &dyn Admin,
) -> Result<Topics, String> {
    // One that no name server lists cannot be shown as read-only, and nobody new finds it.
    let is_volatile = |seen: &Seen| volatile::is_volatile(valid, seen);
    let nowhere = valid.shape.groups < 2 && !observed.broker(master).is_some_and(is_volatile);
    if nowhere || !observed.may_be_listed(valid, master) {
        return Ok(Topics::default());
    }
    let masters = observed.members.iter().filter(|seen| seen.member.is_master());
    let tables = masters.map(|seen| async move {
        let address = seen.facts.as_ref().map(|facts| facts.address.as_str());
        let address =
            address.ok_or_else(|| format!("{} does not serve", seen.member.pod_name(&valid.name)))?;
        let topics = admin.topics(address).await.map_err(|err| err.to_string())?;
        Ok::<_, String>((seen, topics))
    });
    let tables = try_join_all(tables).await?;
    let broker = valid.broker_name(master.group);
    let writable = |topic: &&TopicConfig| topic.perm & perm::WRITE != 0 && topic.write_queues > 0;
    let own = tables.iter().find(|(seen, _)| seen.member == master);
    let own: Vec<_> = own
        .into_iter()
        .flat_map(|(_, topics)| topics.topics.values())
        .filter(|topic| is_users(&topic.name, &valid.name, &broker))
        .filter(writable)
        .collect();
    let Some(sample) = own.first() else {
        return Ok(Topics::default());
    };
    let elsewhere = own.iter().all(|topic| {
        tables.iter().any(|(seen, topics)| {
            let open = seen.facts.as_ref().and_then(super::observe::Facts::fenced) != Some(true);
            seen.member != master && open && topics.topics.get(&topic.name).as_ref().is_some_and(writable)
        })
    });
    Ok(Topics {
        elsewhere: Some(elsewhere),
        fenced: shown_read_only(observed, &broker, &sample.name, admin).await?,
        store: None,
    })
}

fn is_users(topic: &str, cluster: &str, broker: &str) -> bool {
    !is_system_topic(topic, cluster, broker) && !is_retry_topic(topic) && !is_dead_letter_topic(topic)
}

/// Whether no name server sends producers of a topic to that broker: it shows it read-only, or does not know of it. A broker
/// registers all of its topics at once, so one tells of all.
async fn shown_read_only(
    observed: &Observed,
    broker: &str,
    topic: &str,
    admin: &dyn Admin,
) -> Result<bool, String> {
    let mut all = !observed.views.is_empty();
    for view in &observed.views {
        let address = view
            .address
            .as_deref()
            .ok_or_else(|| format!("{} has no address", view.name))?;
        let route = admin.route(address, topic).await.map_err(|err| err.to_string())?;
        let shown = route.and_then(|mut route| route.brokers.remove(broker));
        all &= shown.is_none_or(|shown| !shown.queues.is_writable());
    }
    Ok(all)
}

#[cfg(test)]
#[path = "roll_properties.rs"]
mod properties;
