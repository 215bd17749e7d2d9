//! Which name server is restarted next, for a new template: pure.
//!
//! Name servers do not talk to each other: each learns the brokers from the brokers. So the next one is restarted only
//! when all others know what it knows, and clients that turn to them miss nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::observe::View;
use super::standing::Standing;
use crate::admin::ClusterInfo;
use crate::k8s::pod;
use crate::workload::set;

/// What follows for running pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Every pod is of the newest template, as far as is known.
    Nothing,
    /// This one can be spared now.
    Restart(Arc<Pod>, String),
    /// One is to be restarted, but not yet: why, in words.
    Wait(String),
}

/// The next step of a rolling restart of the pods of `live`.
#[must_use]
pub fn next(live: &StatefulSet, standings: &[Standing<'_>]) -> Next {
    let Some(newest) = set::newest_revision(live) else {
        // Where some do not serve yet, that is what is told.
        let all_serve = standings.iter().all(|standing| standing.serves.is_ok());
        return match &live.metadata.name {
            Some(name) if all_serve => Next::Wait(format!(
                "waiting until Kubernetes has taken note of StatefulSet {name}"
            )),
            _ => Next::Nothing,
        };
    };
    let outdated = |standing: &&Standing<'_>| {
        let pod = standing.seen.pod.as_deref();
        pod.is_some_and(|pod| !pod::deleting(pod) && set::outdated(pod, newest))
    };
    let due: Vec<&Standing<'_>> = standings.iter().rev().filter(outdated).collect();
    // One that does not serve anyway costs nothing.
    let silent = due.iter().find(|standing| standing.serves.is_err());
    let Some((first, pod)) = silent
        .or(due.first())
        .and_then(|first| Some((*first, first.seen.pod.clone()?)))
    else {
        return Next::Nothing;
    };
    let name = &first.seen.name;
    let progress = format!(
        "{} of {} name servers run the newest template; {name} is next",
        standings.len() - due.len(),
        standings.len()
    );
    match gate(first, standings) {
        None => Next::Restart(pod, format!("{progress} and restarts now")),
        Some(why) => Next::Wait(format!("{progress} once this has passed: {why}")),
    }
}

/// Why the name server `next` cannot be spared: others do not serve, or what they know differs.
fn gate(next: &Standing<'_>, standings: &[Standing<'_>]) -> Option<String> {
    let mut known: Option<(&str, &View)> = None;
    for standing in standings {
        let name = standing.seen.name.as_str();
        match (&standing.serves, known) {
            (Err(_), _) if name == next.seen.name => {}
            (Err(why), _) => return Some(format!("{name}: {why}")),
            (Ok(view), None) => known = Some((name, view)),
            (Ok(view), Some(first)) => {
                if let Some(why) = difference(first, (name, view)) {
                    return Some(why);
                }
            }
        }
    }
    None
}

/// What one of two name servers knows and the other does not.
fn difference((first, one): (&str, &View), (second, other): (&str, &View)) -> Option<String> {
    let lists = |a: &str, lister: &ClusterInfo, b: &str, other: &ClusterInfo| {
        let all = brokers(other);
        brokers(lister)
            .into_iter()
            .find(|broker| !all.contains(broker))
            .map(|(name, id, address)| format!("{a} lists {name} id {id} at {address}, {b} does not"))
    };
    if let Some(why) = lists(first, &one.cluster, second, &other.cluster)
        .or_else(|| lists(second, &other.cluster, first, &one.cluster))
    {
        return Some(why);
    }
    let topics = one.order_topics.keys().chain(other.order_topics.keys());
    let differs = |topic: &&String| one.order_topics.get(*topic) != other.order_topics.get(*topic);
    topics
        .into_iter()
        .find(differs)
        .map(|topic| format!("{first} and {second} differ in order topic {topic}; set or delete it on both"))
}

/// Every broker that a name server lists: name, id and address.
pub(super) fn brokers(info: &ClusterInfo) -> BTreeSet<(&str, i64, &str)> {
    let groups = info.brokers.iter();
    groups
        .flat_map(|(name, group)| {
            let each = group.addresses.iter();
            each.map(move |(id, address)| (name.as_str(), *id, address.as_str()))
        })
        .collect()
}
