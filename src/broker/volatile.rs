//! Masters whose store goes with their pod: restarted when nobody misses anything of it, and given back what they had.
//!
//! Before: whoever consumes has consumed everything and nothing is written for a while, as when a group leaves. Where all its
//! topics can be written to elsewhere too the master is read-only from the start; where not, only when it is empty already,
//! because until it is back nobody can write. Its topics and subscription groups are noted.
//!
//! After: it starts read-only. It gets back its topics and groups, its replicas are emptied too, for they have a store that is
//! not its own, and no consumer may go on from an offset of the old store: it would skip what comes first in the new one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::ahead::{self, Ahead};
use super::backlog::{self, Backlog, Who, messages};
use super::missing::{Kept, Missing};
use super::observe::{Facts, Observed, Seen};
use super::place::{self, Accepted, accepted};
use super::roll::{Known, Outdated, ROUTES, Roll, end_of};
use super::tables::{self, Tables};
use super::valid::{Member, Valid};
use crate::admin::Admin;
use crate::api::RolloutStatus;
use crate::context::Context;
use crate::error::Error;

/// How long no write must arrive: two polls of a producer for routes, of 30 s each.
const QUIET: i64 = 60;

/// What was seen of the store of a master that is restarted, or was.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// It still has the store that goes.
    Full {
        /// What it holds.
        backlog: Result<Backlog, String>,
        /// Its topics and groups.
        tables: Result<Tables, String>,
    },
    /// It has a new one.
    Empty {
        /// What it lacks of what is noted.
        missing: Result<Missing, String>,
        /// Who would skip messages.
        ahead: Result<Vec<Ahead>, String>,
    },
}

/// What is put right on a master that has a new store.
#[derive(Clone, Debug, PartialEq)]
pub struct Refill {
    /// Which one.
    pub member: Member,
    /// Where it answers, `host:port`.
    pub address: String,
    /// What it lacks.
    pub missing: Missing,
    /// Whose offsets are moved to the end of their queue.
    pub ahead: Vec<Ahead>,
}

/// Whether a master's store does not outlive its pod.
#[must_use]
pub fn is_volatile(valid: &Valid, seen: &Seen) -> bool {
    seen.member.is_master() && place::lost_with_pod(valid, seen).is_some()
}

/// Whether what a master that does not serve may hold would be lost with its pod, and nobody said yet that it may be. One that
/// lost its store before, and has not served since, has nothing.
#[must_use]
pub fn holds(valid: &Valid, observed: &Observed, seen: &Seen) -> bool {
    let is_new = emptied(observed).is_some_and(|emptied| emptied.member == seen.member);
    is_volatile(valid, seen)
        && !is_new
        && place::may_hold_messages(seen)
        && accepted(valid, seen) != Accepted::Yes
}

/// The master that has a new store and is not yet given back what it had.
#[must_use]
pub fn emptied(observed: &Observed) -> Option<&Seen> {
    let mut masters = observed.members.iter().filter(|seen| seen.member.is_master());
    masters.find(|seen| {
        let noted = observed.tables.get(&seen.member.group);
        let same = |uid: &String| {
            let pod = seen.pod.as_deref().filter(|pod| !crate::k8s::pod::deleting(pod));
            pod.and_then(ResourceExt::uid).as_ref() == Some(uid)
        };
        noted.is_some_and(|noted| !same(&noted.uid))
    })
}

/// Looks at the store of a master.
pub async fn look(
    valid: &Valid,
    observed: &Observed,
    master: Member,
    (ctx, admin): (&Context, &dyn Admin),
) -> Result<Option<Store>, Error> {
    let seen = observed.broker(master);
    let Some(facts) = seen.and_then(|seen| seen.facts.as_ref()) else {
        return Ok(None);
    };
    let address = facts.address.as_str();
    if emptied(observed).is_some_and(|seen| seen.member == master) {
        let stored = tables::stored(valid, master.group, ctx).await?;
        let there = match Kept::read(address, admin).await.map_err(|err| err.to_string()) {
            Ok(there) => there,
            Err(why) => {
                let (missing, ahead) = (Err(why.clone()), Err(why));
                return Ok(Some(Store::Empty { missing, ahead }));
            }
        };
        let ahead = ahead::read(&there.offsets, (address, admin), true, &|_| true).await;
        let ahead = ahead.map_err(|err| err.to_string());
        let release = facts.runtime.release();
        let missing = stored.map(|stored| Missing::of("what it had".to_owned(), &stored, &there, release));
        return Ok(Some(Store::Empty { missing, ahead }));
    }
    let who = Who {
        cluster: valid.name.clone(),
        broker_name: valid.broker_name(master.group),
    };
    let options = valid.scale_in_options();
    let ignore = options.ignore_consumer_groups.unwrap_or_default();
    let others = observed.other_masters(valid, master.group);
    let backlog = backlog::look_with(admin, address, &who, (&others, &ignore)).await;
    let kept = Kept::read(address, admin).await;
    let tables = kept.map(|kept| Tables::of(&kept, &who.cluster, &who.broker_name));
    Ok(Some(Store::Full {
        backlog,
        tables: tables.map_err(|err| err.to_string()),
    }))
}

/// What is put right now, if that master can be told.
#[must_use]
pub fn refill(observed: &Observed, store: Option<&Store>) -> Option<Refill> {
    let seen = emptied(observed)?;
    let facts = seen.facts.as_ref()?;
    let Some(Store::Empty { missing, ahead }) = store else {
        return None;
    };
    let refill = Refill {
        member: seen.member,
        address: facts.address.clone(),
        missing: missing.clone().ok()?,
        ahead: ahead.clone().unwrap_or_default(),
    };
    let due = facts.fenced() == Some(true) && !(refill.missing.is_empty() && refill.ahead.is_empty());
    due.then_some(refill)
}

/// The next step with a master that has a new store, if there is one.
#[must_use]
pub fn refilling(known: &Known<'_>, memory: Option<&RolloutStatus>) -> Option<(Roll, Option<RolloutStatus>)> {
    let seen = emptied(known.observed)?;
    let (member, pod) = (seen.member, known.pod(seen));
    let clean = memory
        .filter(|memory| memory.pod == pod)
        .and_then(|memory| memory.clean_since.clone());
    let mut memory = RolloutStatus {
        pod: pod.clone(),
        ..RolloutStatus::default()
    };
    let step = match gate(known, seen) {
        Gate::Replica(replica) => Roll::Restart(replica),
        Gate::Wait(gate) => Roll::Wait { member, gate },
        Gate::Clean => {
            let since = clean.unwrap_or_else(|| known.now.clone());
            let left = ROUTES - seconds(&since, known.now);
            if left <= 0 {
                return Some((Roll::Refilled(member), None));
            }
            memory.clean_since = Some(since);
            Roll::Wait {
                member,
                gate: format!(
                    "it has its topics again; for {ROUTES} s no consumer must go on from an offset of its old store"
                ),
            }
        }
    };
    Some((step, Some(memory)))
}

/// What a master with a new store waits for.
enum Gate {
    /// A replica, which is emptied too.
    Replica(Member),
    /// Something that passes.
    Wait(String),
    /// Nothing but time.
    Clean,
}

fn gate(known: &Known<'_>, seen: &Seen) -> Gate {
    let pod = known.pod(seen);
    if let Some(why) = known.not_serving.get(&pod) {
        return Gate::Wait(format!("its store is new; {why}"));
    }
    if seen.facts.as_ref().and_then(Facts::fenced) != Some(true) {
        return Gate::Wait(
            "its store is new; it has to be read-only until it has its topics again".to_owned(),
        );
    }
    let store = known.topics.as_ref().map(|topics| topics.store.as_ref());
    let (missing, ahead) = match store {
        Ok(Some(Store::Empty { missing, ahead })) => (missing, ahead),
        Ok(_) => return Gate::Wait("its store is new; it could not be asked for its topics".to_owned()),
        Err(why) => return Gate::Wait(format!("its store is new; its topics are not known: {why}")),
    };
    match missing {
        Err(why) => return Gate::Wait(format!("its store is new; {why}")),
        Ok(missing) if !missing.is_empty() => {
            return Gate::Wait(format!("its store is new; {}", missing.words()));
        }
        Ok(_) => {}
    }
    if let Some(gate) = replica(known, seen) {
        return gate;
    }
    match ahead {
        Err(why) => Gate::Wait(format!("offsets of consumers are not known: {why}")),
        Ok(ahead) => match ahead.first() {
            Some(first) => Gate::Wait(format!(
                "{} offsets of consumers are beyond the end of its queues, such as that of group {} on topic {}: {} of {}",
                ahead.len(),
                first.group,
                first.topic,
                first.offset,
                first.end
            )),
            None => Gate::Clean,
        },
    }
}

/// A replica of the group that is to be restarted anyway, or has a longer store than its master, which is the old one.
fn replica(known: &Known<'_>, master: &Seen) -> Option<Gate> {
    let group = known.observed.members.iter();
    let group = group.filter(|seen| seen.member.group == master.member.group && !seen.member.is_master());
    for seen in group {
        let pod = known.pod(seen);
        let mut candidates = known.candidates.iter();
        let candidate = candidates.find(|candidate| candidate.seen.member == seen.member);
        if candidate.is_some_and(|candidate| candidate.why == Outdated::Unseen) {
            return Some(Gate::Wait(format!(
                "Kubernetes has to take note of replica {pod}"
            )));
        }
        let due = candidate.is_some();
        let old = match (end_of(Some(seen)), end_of(Some(master))) {
            (Some(own), Some(masters)) => own > masters,
            _ if due => true,
            _ => return Some(Gate::Wait(format!("it is not known how far replica {pod} is"))),
        };
        // One that is ready and does not answer is not known to be of no use.
        let unknown = seen.pod_ready() && seen.facts.is_none();
        if let Some(why) = known.not_serving.get(&pod).filter(|_| !due || unknown) {
            return Some(Gate::Wait(format!("replica {pod}: {why}")));
        }
        if due || old {
            return Some(match known.other_trouble(seen) {
                Some((other, why)) => Gate::Wait(format!("{other} has to serve first: {why}")),
                None => Gate::Replica(seen.member),
            });
        }
    }
    None
}

/// The next step with a master that is to be restarted and loses its store thereby.
#[must_use]
pub fn emptying(
    known: &Known<'_>,
    seen: &Seen,
    memory: Option<RolloutStatus>,
) -> (Roll, Option<RolloutStatus>) {
    let (member, pod) = (seen.member, known.pod(seen));
    let topics = known.topics.as_ref().ok();
    let elsewhere = topics.is_some_and(|topics| topics.elsewhere == Some(true));
    let mut memory = memory
        .filter(|memory| memory.pod == pod)
        .unwrap_or(RolloutStatus {
            pod: pod.clone(),
            writable: !elsewhere,
            ..RolloutStatus::default()
        });
    let says = accepted(known.valid, seen);
    let accepted = says == Accepted::Yes;
    let gate = match says {
        Accepted::Yes => {
            memory.writable = false;
            None
        }
        Accepted::Now => Some("that its loss is accepted is noted".to_owned()),
        Accepted::No | Accepted::Spent => drained(known, seen, &mut memory).err(),
    };
    let would_lose = would_lose(known.valid, seen, says);
    let drains = |gate: String| Roll::Drains {
        member,
        gate,
        would_lose: would_lose.clone(),
    };
    if let Some(gate) = gate {
        return (drains(gate), Some(memory));
    }
    let tables = match topics.and_then(|topics| topics.store.as_ref()) {
        Some(Store::Full {
            tables: Ok(tables), ..
        }) => tables,
        _ if accepted => return (Roll::Restart(member), Some(memory)),
        _ => return (drains("its topics are not known".to_owned()), Some(memory)),
    };
    let uid = seen.pod.as_deref().and_then(ResourceExt::uid).unwrap_or_default();
    let noted = known.observed.tables.get(&member.group);
    let step = if tables.are(noted, &uid) {
        Roll::Restart(member)
    } else if tables.fit() {
        Roll::Note(member)
    } else if accepted {
        Roll::Restart(member)
    } else {
        drains("it has more topics and subscription groups than can be noted for it".to_owned())
    };
    (step, Some(memory))
}

fn would_lose(valid: &Valid, seen: &Seen, says: Accepted) -> String {
    let pod = seen.member.pod_name(&valid.name);
    let again = match says {
        Accepted::Spent => {
            " (it was accepted of an earlier pod: take the annotation away, then set it again)"
        }
        Accepted::No | Accepted::Now | Accepted::Yes => "",
    };
    format!(
        "{pod} takes a change only with a restart, and its messages are {}; annotate the Broker with \
         rocketmq.apache.org/accept-loss={pod}{again} to go on at once and lose what is not consumed, or undo the change",
        place::lost_with_pod(valid, seen).unwrap_or_default()
    )
}

/// Whether nobody misses anything of a store, and what is remembered of that; if not, why.
fn drained(known: &Known<'_>, seen: &Seen, memory: &mut RolloutStatus) -> Result<(), String> {
    let topics = match known.topics {
        Ok(topics) => topics,
        Err(why) => {
            memory.quiet_since = None;
            return Err(format!("its topics are not known: {why}"));
        }
    };
    let elsewhere = topics.elsewhere == Some(true);
    if elsewhere {
        memory.writable = false;
    }
    let unquiet = |memory: &mut RolloutStatus| {
        memory.quiet_since = None;
        memory.written = None;
    };
    let backlog = match &topics.store {
        Some(Store::Full {
            backlog: Ok(backlog), ..
        }) => backlog,
        Some(Store::Full {
            backlog: Err(why), ..
        }) => {
            unquiet(memory);
            return Err(format!("what it holds is not known: {why}"));
        }
        _ => {
            unquiet(memory);
            return Err("what it holds is not known".to_owned());
        }
    };
    let same = memory.written == Some(backlog.written);
    memory.written = Some(backlog.written);
    memory.quiet_since = match memory.quiet_since.take() {
        Some(since) if same => Some(since),
        _ => same.then(|| known.now.clone()),
    };
    if !backlog.is_empty() {
        if !elsewhere {
            memory.writable = true;
            memory.fenced_since = None;
        }
        return Err(left(backlog, known.now));
    }
    let quiet = memory.quiet_since.as_ref();
    if quiet.is_none_or(|since| seconds(since, known.now) < QUIET) {
        return Err(format!(
            "everything is consumed; waiting for {QUIET} s without a write"
        ));
    }
    if memory.writable {
        memory.writable = false;
        return Err("everything is consumed; making it read-only".to_owned());
    }
    let said = seen.facts.as_ref().and_then(Facts::fenced);
    if said != Some(true) || topics.elsewhere.is_some() && !topics.fenced {
        memory.fenced_since = None;
        return Err("everything is consumed; every name server has to show it read-only first".to_owned());
    }
    let since = memory.fenced_since.get_or_insert_with(|| known.now.clone());
    if seconds(since, known.now) < ROUTES {
        return Err(format!(
            "everything is consumed; producers have {ROUTES} s to learn that it is read-only"
        ));
    }
    Ok(())
}

/// How long ago that was; a time that is yet to come was just now.
fn seconds(since: &Time, now: &Time) -> i64 {
    now.0.as_second().saturating_sub(since.0.as_second()).max(0)
}

fn left(backlog: &Backlog, now: &Time) -> String {
    let whom = backlog.words(now).join("; ");
    match (backlog.uncounted.as_slice(), backlog.total()) {
        ([_, ..], _) => whom,
        ([], 0) => format!("{} bytes are on their way into its queues", backlog.undispatched),
        ([], total) => format!("{} would be lost: {whom}", messages(total)),
    }
}
