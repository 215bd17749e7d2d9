//! What to do next, decided from what was observed: pure, so that every case can be tested without a cluster.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::children::{self, BrokerSet};
use super::config::UserConfig;
use super::observe::{Observed, Seen};
use super::valid::{Member, Valid};
use crate::k8s::pod;
use crate::workload::set::{self, Verdict};

/// What one reconcile does beside keeping Services, ConfigMaps and disruption budgets.
#[derive(Debug, Default)]
pub struct Plan {
    /// The name servers that brokers start with from now on; `None` as long as none are known.
    pub name_server_list: Option<String>,
    /// The StatefulSets, in the order in which they are written.
    pub sets: Vec<SetPlan>,
    /// Brokers that wait for the address of their Service.
    pub without_address: Vec<Member>,
    /// Pods that do not run and were made from an older template.
    pub replace: Vec<Arc<Pod>>,
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

impl Plan {
    /// Whether this makes a StatefulSet that was not there.
    #[must_use]
    pub fn creates(&self) -> bool {
        self.sets.iter().any(|set| set.verdict == Verdict::Create)
    }
}

/// Plans the next step towards what the spec asks for. `known` is the list of name servers as it should be, if known.
#[must_use]
pub fn plan(valid: &Valid, user: &UserConfig, known: Option<&str>, observed: &Observed) -> Plan {
    let mut plan = Plan {
        name_server_list: list(known, observed),
        ..Plan::default()
    };
    if plan.name_server_list.is_none() {
        return plan;
    }
    for seen in &observed.members {
        match address(valid, seen) {
            Some(ip) => plan.sets.push(set_plan(valid, user, seen, ip)),
            None => plan.without_address.push(seen.member),
        }
        if let Some(live) = seen.set.as_deref() {
            let pods: Vec<_> = seen.pod.iter().cloned().collect();
            plan.replace.extend(set::outdated_broken(live, &pods).cloned());
        }
    }
    plan.pending = pending(valid, known, &plan);
    plan
}

/// The list is changed under running brokers only by what also tells them; until then they keep the one they have.
fn list(known: Option<&str>, observed: &Observed) -> Option<String> {
    let serves = observed
        .members
        .iter()
        .filter_map(|seen| seen.pod.as_deref())
        .any(|pod| !pod::broken(pod));
    match &observed.name_server_list {
        Some(current) if serves || known.is_none() => Some(current.clone()),
        _ => known.map(ToOwned::to_owned),
    }
}

fn address<'a>(valid: &Valid, seen: &'a Seen) -> Option<&'a str> {
    if valid.advertises_pod_ip() {
        Some("")
    } else {
        seen.service_ip.as_deref()
    }
}

fn set_plan(valid: &Valid, user: &UserConfig, seen: &Seen, ip: &str) -> SetPlan {
    let desired = children::broker_set(valid, user, seen.member, ip);
    let pods: Vec<_> = seen.pod.iter().cloned().collect();
    let verdict = set::verdict(&desired.set, seen.set.as_deref(), &pods);
    SetPlan {
        member: seen.member,
        verdict,
        desired,
    }
}

fn pending(valid: &Valid, known: Option<&str>, plan: &Plan) -> Vec<String> {
    let mut pending = Vec::new();
    if valid.asked.groups != valid.shape.groups {
        pending.push(format!(
            "spec.size {} (now {})",
            valid.asked.groups, valid.shape.groups
        ));
    }
    if valid.asked.replicas != valid.shape.replicas {
        pending.push(format!(
            "spec.replicaPerGroup {} (now {})",
            valid.asked.replicas, valid.shape.replicas
        ));
    }
    if let Some((known, current)) = known
        .zip(plan.name_server_list.as_deref())
        .filter(|(known, current)| known != current)
    {
        pending.push(format!("name servers {known} (now {current})"));
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
