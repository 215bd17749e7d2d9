//! What to do next, decided from what was observed: pure, so that every case can be tested without a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use kube::ResourceExt;

use super::children::{self, BrokerSet, Kept};
use super::config::UserConfig;
use super::leave::{self, Stop};
use super::live::{self, Gate, Live, Push};
use super::missing::Missing;
use super::observe::{Observed, Seen};
use super::open;
use super::retire::{self, Retire};
use super::roll::{self, Candidate, Outdated, Roll, Topics};
use super::tables;
use super::valid::{Member, Valid};
use super::volatile::{self, Refill, Store};
use crate::api::RolloutStatus;
use crate::k8s::labels::{OPENING, RESTARTED_AT};
use crate::k8s::pod;
use crate::workload::claims::{self, Claims};
use crate::workload::set::{self, Verdict};

/// `spec.scaleIn.timeoutSeconds` where it is not given.
const DRAIN_SECONDS: i64 = 3600;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The spec, checked.
    pub valid: &'a Valid,
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// The list of name servers as it should be; `None` as long as none is known.
    pub list: Option<&'a str>,
}

/// What is known beforehand of the broker that is restarted next.
#[derive(Clone, Debug)]
pub struct Next {
    /// What is known of the topics of a master; an error if they cannot be read.
    pub topics: Result<Topics, String>,
    /// What the API server says to the StatefulSet that is to be written, if it does not take it.
    pub refused: Option<String>,
}

/// What one reconcile does beside keeping Services, ConfigMaps and disruption budgets.
#[derive(Debug, Default)]
pub struct Plan {
    /// The name servers that brokers start with from now on; `None` as long as none are known.
    pub name_server_list: Option<String>,
    /// What each broker is to run with and takes live.
    pub live: Live,
    /// The StatefulSets, in the order in which they are written.
    pub sets: Vec<SetPlan>,
    /// Brokers that wait for the address of their Service.
    pub without_address: Vec<Member>,
    /// Pods that do not run and were made from an older template.
    pub replace: Vec<Arc<Pod>>,
    /// What running brokers are told.
    pub pushes: Vec<Push>,
    /// Whether what they are told is what they were told before, so that somebody else changed it.
    pub drifted: bool,
    /// New groups that are not written to yet.
    pub openings: Vec<Opening>,
    /// What is done with the group that leaves.
    pub scale_in: Option<leave::Step>,
    /// Brokers that leave, with the next step of each.
    pub leaving: Vec<(Member, Retire)>,
    /// Brokers whose StatefulSets another operator made with other labels: they are left as they are.
    pub untouched: Vec<Member>,
    /// Brokers that run as the Go operator made them.
    pub as_found: Vec<Member>,
    /// The next step of the rolling restart.
    pub roll: Roll,
    /// How many brokers are to be restarted.
    pub restarts: usize,
    /// What is noted of a master before its store goes.
    pub note: Option<ConfigMap>,
    /// The groups of whose masters nothing has to be noted any more.
    pub forget: Vec<i32>,
    /// What a master with a new store is given back.
    pub refill: Option<Refill>,
    /// What has to be remembered of the rolling restart.
    pub rollout: Option<RolloutStatus>,
}

/// What is done with one broker's StatefulSet.
#[derive(Debug)]
pub struct SetPlan {
    /// Which broker.
    pub member: Member,
    /// What to do.
    pub verdict: Verdict,
    /// What it is to be.
    pub desired: BrokerSet,
}

impl SetPlan {
    /// Whether another operator made the StatefulSet that is there.
    fn is_somebody_elses(&self, observed: &Observed) -> bool {
        let seen = observed.broker(self.member);
        seen.and_then(|seen| seen.set.as_deref())
            .is_some_and(|live| set::intent(live).is_none())
    }
}

/// A new group that is not written to yet.
#[derive(Debug, PartialEq)]
pub struct Opening {
    /// Which one.
    pub group: i32,
    /// Where its master answers, `host:port`, if it can be filled.
    pub address: Option<String>,
    /// What is copied to it now, or what is waited for.
    pub missing: Result<Missing, String>,
}

impl Plan {
    /// Whether this makes a StatefulSet that was not there.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.sets.iter().any(|set| set.verdict == Verdict::Create)
    }

    /// Whether that group is the one that leaves.
    fn drains(&self, observed: &Observed, group: i32) -> bool {
        let memory = self.scale_in.as_ref().and_then(|step| step.memory.as_ref());
        memory.is_some() && observed.drain.as_ref().is_some_and(|drain| drain.group == group)
    }

    /// Whether that broker is on its way out.
    #[must_use]
    pub fn leaves(&self, member: Member) -> bool {
        self.leaving.iter().any(|(leaving, _)| *leaving == member)
    }

    /// Whether the master of a group may still wait for replicas before it acknowledges: it could not be asked, or has
    /// just been told otherwise.
    fn counts_on_replicas(&self, observed: &Observed, group: i32) -> bool {
        let master = Member { group, replica: 0 };
        let seen = observed.broker(master);
        let known = seen.is_some_and(|seen| seen.facts.is_some());
        !known || self.pushes.iter().any(|push| push.member == master)
    }
}

/// Plans the next step towards what the spec asks for.
#[must_use]
pub fn plan(asked: &Asked<'_>, observed: &Observed, next: &Next, now: &Time) -> Plan {
    let Asked { valid, user, .. } = *asked;
    let Some(list) = asked.list else {
        return Plan::default();
    };
    let mut plan = Plan {
        name_server_list: Some(list.to_owned()),
        ..Plan::default()
    };
    let stages = stages(valid, observed);
    plan.scale_in = scale_in(valid, observed, now);
    let surplus = |seen: &Seen| seen.member.replica > valid.asked.replicas || stopped(valid, seen.member);
    for seen in observed.members.iter().filter(|seen| !surplus(seen)) {
        match address(valid, seen) {
            Some(ip) => {
                let stage = stages.get(&seen.member).copied();
                let mut set = set_plan(asked, seen, ip, stage);
                let remakes = matches!(set.verdict, Verdict::Remake | Verdict::PendingRemake);
                if remakes && plan.drains(observed, seen.member.group) {
                    // In a group that leaves, a set that is not there means something else.
                    set.verdict = Verdict::Pending;
                }
                plan.sets.push(set);
            }
            None => plan.without_address.push(seen.member),
        }
        if let Some(live) = seen.set.as_deref() {
            let pods: Vec<_> = seen.pod.iter().cloned().collect();
            let holds = volatile::holds(valid, observed, seen);
            plan.replace
                .extend(set::outdated_broken(live, &pods).filter(|_| !holds).cloned());
        }
    }
    let pending = plan.sets.iter().filter(|set| set.verdict == Verdict::Pending);
    let untouched = pending.filter(|set| set.is_somebody_elses(observed));
    plan.untouched = untouched.map(|set| set.member).collect();
    let as_found = plan
        .sets
        .iter()
        .filter(|set| matches!(set.verdict, Verdict::TakeOver | Verdict::AsFound));
    plan.as_found = as_found.map(|set| set.member).collect();
    let mut candidates = candidates(observed, &plan.sets, list);
    candidates.retain(|candidate| !plan.drains(observed, candidate.seen.member.group));
    let known = roll::Known {
        valid,
        observed,
        candidates: &candidates,
        not_serving: &observed.in_trouble(valid, user, list),
        topics: &next.topics,
        refused: next.refused.as_deref(),
        now,
    };
    (plan.roll, plan.rollout) = roll::step(&known);
    plan.restarts = candidates.len();
    notes(valid, observed, next.topics.as_ref().ok(), &mut plan);
    let fenced = |group: i32| {
        let master = Member { group, replica: 0 };
        let rolled = plan.rollout.as_ref().filter(|rollout| !rollout.writable);
        let rolled = rolled.map(|rollout| rollout.pod.as_str());
        let drained = plan.scale_in.as_ref().is_some_and(|step| step.fence) && plan.drains(observed, group);
        stages.contains_key(&master) || rolled == Some(&master.pod_name(&valid.name)) || drained
    };
    let live = observed.members.iter().map(|seen| {
        let gate = if fenced(seen.member.group) {
            Gate::Fenced
        } else {
            Gate::Open
        };
        let removed = live::removed(user, seen);
        (seen.member, live::wanted(valid, user, gate, &removed))
    });
    plan.live = live.collect();
    plan.pushes = live::pushes(observed, &plan.live, list);
    plan.drifted =
        valid.was_ready && observed.live_hash.as_deref() == Some(&children::live_hash(valid, &plan.live));
    plan.openings = openings(observed, &stages);
    plan.leaving = retire::replicas(valid, observed, |group| plan.counts_on_replicas(observed, group));
    plan.leaving
        .extend(leavers(valid, observed, plan.scale_in.as_ref()));
    if matches!(plan.roll, Roll::Restart(_))
        || observed
            .members
            .iter()
            .any(|seen| !surplus(seen) && retire::comes(seen))
    {
        retire::wait_for_others(observed, &mut plan.leaving);
    }
    plan
}

/// What is noted of masters whose store goes with their pods, and given back to them.
fn notes(valid: &Valid, observed: &Observed, topics: Option<&Topics>, plan: &mut Plan) {
    let store = topics.and_then(|topics| topics.store.as_ref());
    plan.refill = volatile::refill(observed, store);
    if let (
        Roll::Note(member),
        Some(Store::Full {
            tables: Ok(tables), ..
        }),
    ) = (&plan.roll, store)
    {
        let pod = observed.broker(*member).and_then(|seen| seen.pod.as_deref());
        let uid = pod.and_then(ResourceExt::uid).unwrap_or_default();
        plan.note = Some(tables::config_map(valid, member.group, &uid, tables));
    }
    let in_hand = |group: i32| {
        let master = Member { group, replica: 0 }.pod_name(&valid.name);
        plan.rollout.as_ref().is_some_and(|rollout| rollout.pod == master)
    };
    plan.forget = observed
        .tables
        .keys()
        .copied()
        .filter(|group| !in_hand(*group))
        .collect();
}

/// The next step of the group that leaves.
fn scale_in(valid: &Valid, observed: &Observed, now: &Time) -> Option<leave::Step> {
    let drain = observed.drain.as_ref()?;
    let options = valid.scale_in_options();
    Some(leave::step(&leave::Leaving {
        broker_name: &valid.broker_name(drain.group),
        group: drain.group,
        asked: valid.asked.groups,
        memory: valid.scale_in.as_deref(),
        policy: options.policy.unwrap_or_default(),
        timeout_seconds: options.timeout_seconds.unwrap_or(DRAIN_SECONDS),
        now,
        seen: &drain.seen,
    }))
}

/// Whether the group of this broker is remembered to be stopped: it is not made again.
fn stopped(valid: &Valid, member: Member) -> bool {
    let memory = valid.scale_in.as_ref();
    memory.is_some_and(|memory| memory.group == member.group && !leave::keeps_sets(memory.phase))
}

/// The brokers of the group that leaves, once they may stop.
fn leavers(valid: &Valid, observed: &Observed, step: Option<&leave::Step>) -> Vec<(Member, Retire)> {
    let members = observed.members.iter().filter(|seen| stopped(valid, seen.member));
    members
        .filter(|seen| seen.member.replica <= valid.asked.replicas)
        .map(|seen| {
            let stops = match step.and_then(|step| step.stop) {
                Some(Stop::Replicas) => !seen.member.is_master(),
                Some(Stop::Master) => seen.member.is_master(),
                None => false,
            };
            let removes = step.is_some_and(|step| step.remove);
            let next = match retire::step(valid, observed, seen) {
                Retire::Stop if !stops => Retire::Wait,
                Retire::Remove if !removes => Retire::Wait,
                next => next,
            };
            (seen.member, next)
        })
        .collect()
}

/// The broker that is restarted next, before anything is known of its topics.
#[derive(Debug, Default)]
pub struct Upcoming {
    /// Which one, if it is a master of whose topics something has to be known.
    pub master: Option<Member>,
    /// Its StatefulSet, if that is to be written first.
    pub set: Option<SetPlan>,
}

/// Which broker is restarted next, if one is.
#[must_use]
pub fn upcoming(asked: &Asked<'_>, observed: &Observed) -> Upcoming {
    let valid = asked.valid;
    let (next, set) = next_restart(asked, observed).unzip();
    let is_volatile = |seen: &Seen| volatile::is_volatile(valid, seen);
    let decides = valid.shape.groups > 1 || observed.members.iter().any(is_volatile);
    let next = next.filter(|member| member.is_master() && decides);
    let writes = |set: &SetPlan| set.verdict == Verdict::Pending && !set.is_somebody_elses(observed);
    Upcoming {
        master: volatile::emptied(observed).map(|seen| seen.member).or(next),
        set: set.flatten().filter(writes),
    }
}

/// The broker that is restarted next, with its StatefulSet if that is to be written first.
fn next_restart(asked: &Asked<'_>, observed: &Observed) -> Option<(Member, Option<SetPlan>)> {
    let Asked { valid, user, .. } = *asked;
    let stages = stages(valid, observed);
    let sets = observed.members.iter().filter_map(|seen| {
        let stage = stages.get(&seen.member).copied();
        Some(set_plan(asked, seen, address(valid, seen)?, stage))
    });
    let mut sets: Vec<_> = sets.collect();
    let not_serving = observed.in_trouble(valid, user, asked.list?);
    let candidates = candidates(observed, &sets, asked.list?);
    let next = roll::next(valid, &candidates, |seen| {
        !not_serving.contains_key(&seen.member.pod_name(&valid.name))
    })?;
    let (member, writes) = (next.seen.member, next.why == Outdated::Set);
    let place = sets.iter().position(|set| set.member == member)?;
    Some((member, writes.then(|| sets.swap_remove(place))))
}

fn candidates<'a>(observed: &'a Observed, sets: &[SetPlan], list: &str) -> Vec<Candidate<'a>> {
    let candidate = |set: &SetPlan| {
        let seen = observed.broker(set.member)?;
        let why = roll::outdated(set.verdict, seen, list)?;
        let live = seen.set.as_deref()?;
        Some(Candidate {
            seen,
            why,
            claims: if why == Outdated::Set {
                claims::compare(&set.desired.set, live)
            } else {
                Claims::Same
            },
        })
    };
    sets.iter().filter_map(candidate).collect()
}

/// The masters of groups that are being opened.
fn stages(valid: &Valid, observed: &Observed) -> BTreeMap<Member, &'static str> {
    let masters = observed
        .members
        .iter()
        .filter(|seen| opens(valid, observed, seen));
    masters.map(|seen| (seen.member, OPENING)).collect()
}

/// Whether this is the master of a group that is not written to yet: a group that was added to a cluster, until it has the
/// topics and subscription groups of the others.
fn opens(valid: &Valid, observed: &Observed, seen: &Seen) -> bool {
    if !seen.member.is_master() {
        return false;
    }
    if seen.set.is_none() {
        let group = seen.member.group;
        return valid.accepted.is_some_and(|accepted| group >= accepted.groups)
            || valid.opening.contains(&group);
    }
    let lacks = observed.openings.get(&seen.member.group);
    open::is_opening(valid, seen) && !matches!(lacks, Some(Ok(missing)) if missing.is_empty())
}

fn openings(observed: &Observed, stages: &BTreeMap<Member, &'static str>) -> Vec<Opening> {
    let waiting = || Err("waiting for its pods".to_owned());
    let masters = observed
        .members
        .iter()
        .filter(|seen| stages.contains_key(&seen.member));
    masters
        .map(|seen| Opening {
            group: seen.member.group,
            address: seen.facts.as_ref().map(|facts| facts.address.clone()),
            missing: observed
                .openings
                .get(&seen.member.group)
                .cloned()
                .unwrap_or_else(waiting),
        })
        .collect()
}

fn address<'a>(valid: &Valid, seen: &'a Seen) -> Option<&'a str> {
    if valid.advertises_pod_ip() {
        Some("")
    } else {
        seen.service_ip.as_deref()
    }
}

fn set_plan(asked: &Asked<'_>, seen: &Seen, ip: &str, stage: Option<&str>) -> SetPlan {
    let Asked { valid, user, list } = *asked;
    let noted = seen.noted();
    let before = noted.and_then(|noted| noted.get(RESTARTED_AT));
    let live_keys = live::remembered(user, &live::removed(user, seen));
    let kept = Kept {
        stage,
        restarted_at: valid.restarted_at.as_ref().or(before).map(String::as_str),
        volume: data_volume(seen),
        live_keys: live_keys.as_deref(),
        before: noted,
    };
    let mut desired = children::broker_set(valid, user, seen.member, ip, kept);
    if let Some(live) = seen.set.as_deref() {
        claims::keep_words(&mut desired.set, live);
    }
    let pods: Vec<_> = seen.pod.iter().cloned().collect();
    let mut verdict = set::verdict(&desired.set, seen.set.as_deref(), &pods);
    if verdict == Verdict::AsFound && list.is_some_and(|list| is_deaf(seen, list)) {
        // Its name servers are part of the Go operator's template: it would come back with the same ones.
        verdict = Verdict::PendingRemake;
    }
    let going = seen.pod.as_deref().is_some_and(pod::deleting);
    if verdict == Verdict::Pending && going && valid.spec.allow_restart == Some(false) {
        // It restarts anyway, and is to come back with the change.
        verdict = Verdict::Replace;
    }
    SetPlan {
        member: seen.member,
        verdict,
        desired,
    }
}

/// The name of the data volume as it was made.
fn data_volume(seen: &Seen) -> Option<&str> {
    if let Some(set) = seen.set.as_deref() {
        let claims = set.spec.as_ref()?.volume_claim_templates.as_ref()?;
        return claims.first()?.metadata.name.as_deref();
    }
    let pod = seen.pod.as_deref()?;
    let suffix = format!("-{}", pod.name_any());
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let mut claims = volumes.iter().filter_map(|volume| {
        let source = volume.persistent_volume_claim.as_ref()?;
        source.claim_name.strip_suffix(suffix.as_str())
    });
    claims.next()
}

/// Whether it runs with other name servers and does not take a list without a restart.
fn is_deaf(seen: &Seen, list: &str) -> bool {
    let facts = seen.facts.as_ref();
    facts.is_some_and(|facts| facts.misses(list) && !facts.takes_name_servers_live())
}
