//! What to do next, decided from what was observed: pure, so that every case can be tested without a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::children::{self, BrokerSet};
use super::config::UserConfig;
use super::live::{self, Gate, Live, Push};
use super::observe::{Observed, Seen};
use super::open::{self, Missing};
use super::retire::{self, Retire};
use super::valid::{Member, Valid};
use crate::k8s::labels::OPENING;
use crate::workload::set::{self, Verdict};

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
    /// New groups that are not written to yet.
    pub openings: Vec<Opening>,
    /// Brokers that leave, with the next step of each.
    pub leaving: Vec<(Member, Retire)>,
    /// Changes of the spec that running pods keep from being carried out, for people.
    pub pending: Vec<String>,
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

    /// Whether that broker is on its way out.
    #[must_use]
    pub fn leaves(&self, member: Member) -> bool {
        self.leaving.iter().any(|(leaving, _)| *leaving == member)
    }

    /// Whether the master of a group may still wait for replicas before it acknowledges: it could not be asked, or has
    /// just been told otherwise.
    fn counts_on_replicas(&self, observed: &Observed, group: i32) -> bool {
        let master = Member { group, replica: 0 };
        let seen = observed.members.iter().find(|seen| seen.member == master);
        let known = seen
            .and_then(|seen| seen.facts.as_ref())
            .is_some_and(|facts| facts.config.is_some());
        !known || self.pushes.iter().any(|push| push.member == master)
    }
}

/// Plans the next step towards what the spec asks for. `known` is the list of name servers as it should be, if known.
#[must_use]
pub fn plan(valid: &Valid, user: &UserConfig, known: Option<&str>, observed: &Observed) -> Plan {
    let list = known.or(observed.name_server_list.as_deref());
    let Some(list) = list else { return Plan::default() };
    let stages: BTreeMap<Member, &'static str> = observed
        .members
        .iter()
        .filter(|seen| opens(valid, observed, seen))
        .map(|seen| (seen.member, OPENING))
        .collect();
    let fenced = |group: i32| stages.contains_key(&Member { group, replica: 0 });
    let live: Live = observed
        .members
        .iter()
        .map(|seen| {
            let gate = if fenced(seen.member.group) {
                Gate::Fenced
            } else {
                Gate::Open
            };
            (seen.member, live::wanted(valid, user, gate))
        })
        .collect();
    let mut plan = Plan {
        name_server_list: Some(list.to_owned()),
        pushes: live::pushes(observed, &live, list),
        openings: openings(observed, &stages),
        live,
        ..Plan::default()
    };
    plan.leaving = retire::replicas(valid, observed, |group| plan.counts_on_replicas(observed, group));
    for seen in &observed.members {
        if plan.leaves(seen.member) {
            continue;
        }
        match address(valid, seen) {
            Some(ip) => {
                let stage = stages.get(&seen.member).copied();
                plan.sets.push(set_plan(valid, user, seen, ip, stage));
            }
            None => plan.without_address.push(seen.member),
        }
        if let Some(live) = seen.set.as_deref() {
            let pods: Vec<_> = seen.pod.iter().cloned().collect();
            plan.replace.extend(set::outdated_broken(live, &pods).cloned());
        }
    }
    plan.pending = pending(valid, list, observed, &plan);
    plan
}

/// Whether this is the master of a group that is not written to yet: a group that was added to a cluster, until it has the
/// topics and subscription groups of the others.
fn opens(valid: &Valid, observed: &Observed, seen: &Seen) -> bool {
    if !seen.member.is_master() {
        return false;
    }
    if seen.set.is_none() {
        return valid
            .accepted
            .is_some_and(|accepted| seen.member.group >= accepted.groups);
    }
    let lacks = observed.openings.get(&seen.member.group);
    open::is_opening(seen) && !matches!(lacks, Some(Ok(missing)) if missing.is_empty())
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

fn set_plan(valid: &Valid, user: &UserConfig, seen: &Seen, ip: &str, stage: Option<&str>) -> SetPlan {
    let desired = children::broker_set(valid, user, seen.member, ip, stage);
    let pods: Vec<_> = seen.pod.iter().cloned().collect();
    let verdict = set::verdict(&desired.set, seen.set.as_deref(), &pods);
    SetPlan {
        member: seen.member,
        verdict,
        desired,
    }
}

fn pending(valid: &Valid, list: &str, observed: &Observed, plan: &Plan) -> Vec<String> {
    let mut pending = Vec::new();
    if valid.asked.groups < valid.shape.groups {
        pending.push(format!(
            "spec.size {} (now {})",
            valid.asked.groups, valid.shape.groups
        ));
    }
    let misses = |seen: &&Seen| {
        let facts = seen.facts.as_ref();
        facts.is_some_and(|facts| facts.misses(list) && !facts.takes_name_servers_live())
    };
    let old: Vec<_> = observed.members.iter().filter(misses).collect();
    if let Some(first) = old.first() {
        pending.push(format!(
            "name servers {list}: {} of RocketMQ {} take them only with a restart",
            old.len(),
            first
                .facts
                .as_ref()
                .and_then(|facts| facts.runtime.version())
                .unwrap_or("unknown")
        ));
    }
    let waiting: Vec<String> = plan
        .sets
        .iter()
        .filter(|set| set.verdict == Verdict::Pending)
        .map(|set| set.member.pod_name(&valid.name))
        .collect();
    if !waiting.is_empty() {
        pending.push(format!("changes of running pods ({})", waiting.join(", ")));
    }
    pending
}
