//! Which name servers clients are sent to while some of them come, go or restart: pure.
//!
//! A name server is ready as soon as it runs, but brokers register with it later, up to their period (10 s), or when they are
//! told of it: to a client that asks it in between it says that no topic exists. So while one is away, and until every one
//! knows what the others know, the Service of clients selects those only that do, by a mark that the operator puts on their
//! pods. At all other times it selects every pod, and needs no operator.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::observe::{Seen, View};
use super::plan::Wait;
use super::roll::brokers;
use super::standing::Standing;
use crate::k8s::labels::{INFORMED, YES};
use crate::k8s::pod;

/// Where the Service of clients leads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// Whether it selects marked pods only.
    pub informed_only: bool,
    /// Pods that get or lose the mark, before the Service is written.
    pub marks: Vec<Mark>,
    /// Who is still to learn of brokers, if nothing else is told to go on.
    pub wait: Option<Wait>,
}

/// A change of a pod's mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Whether it carries the mark from now on.
    pub informed: bool,
}

/// What is known of the name servers beside how they stand.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Those that are to go.
    pub leaving: &'a [Seen],
    /// Whether one is restarted now, or will be.
    pub restarting: bool,
    /// Whether the Service selects marked pods only.
    pub informed_only: bool,
}

/// Whom clients are sent to.
#[must_use]
pub fn routing(standings: &[Standing<'_>], now: Changes<'_>) -> Routing {
    let views: Vec<&View> = standings
        .iter()
        .filter_map(|standing| standing.serves.as_ref().ok().copied())
        .collect();
    let (informed, others): (Vec<_>, Vec<_>) = standings.iter().partition(|standing| {
        standing
            .serves
            .as_ref()
            .is_ok_and(|view| is_informed(view, &views))
    });
    if informed.is_empty() {
        // Nobody answers us, which says nothing of clients: it stays as it is, as long as that leads anywhere.
        let leads = standings.iter().any(|standing| {
            let pod = standing.seen.pod.as_deref();
            pod.is_some_and(|pod| is_marked(pod) && pod::ready(pod))
        });
        return Routing {
            informed_only: now.informed_only && leads,
            ..Routing::default()
        };
    }
    let away = others.iter().any(|standing| standing.serves.is_err());
    let needed =
        now.restarting || away || !now.leaving.is_empty() || (now.informed_only && !others.is_empty());
    let single = standings.len() + now.leaving.len() < 2;
    // No broker is there yet: whoever comes learns nothing anywhere.
    let empty = views.iter().all(|view| view.cluster.brokers.is_empty());
    if !needed || single || empty {
        return Routing::default();
    }
    let marks = informed.iter().filter_map(|standing| mark(standing.seen, true));
    // One that runs and does not answer us may well answer clients.
    let lacking = others.iter().filter(|standing| {
        let ready = standing.seen.pod.as_deref().is_some_and(pod::ready);
        standing.serves.is_ok() || !ready
    });
    let lacking = lacking
        .map(|standing| standing.seen)
        .chain(now.leaving)
        .filter_map(|seen| mark(seen, false));
    Routing {
        informed_only: true,
        marks: marks.chain(lacking).collect(),
        wait: (!now.restarting && !others.is_empty()).then(|| wait(&informed, &others)),
    }
}

/// Whether nobody knows all that it knows and more.
fn is_informed(view: &View, views: &[&View]) -> bool {
    let known = brokers(&view.cluster);
    let more = |other: &&&View| {
        let others = brokers(&other.cluster);
        known.is_subset(&others) && known != others
    };
    !views.iter().any(|other| more(&other))
}

fn is_marked(pod: &Pod) -> bool {
    pod.labels().get(INFORMED).is_some_and(|mark| mark == YES)
}

/// What is to be done with the mark of a name server's pod.
fn mark(seen: &Seen, informed: bool) -> Option<Mark> {
    let pod = seen.pod.as_ref().filter(|pod| !pod::deleting(pod))?;
    (is_marked(pod) != informed).then(|| Mark {
        pod: pod.clone(),
        informed,
    })
}

fn wait(informed: &[&Standing<'_>], others: &[&Standing<'_>]) -> Wait {
    let each = others.iter().map(|standing| match &standing.serves {
        Ok(_) => format!("{} does not", standing.seen.name),
        Err(why) => format!("{}: {why}", standing.seen.name),
    });
    let message = format!(
        "clients are sent to {} of {} name servers until all list the same brokers; {}",
        informed.len(),
        informed.len() + others.len(),
        each.collect::<Vec<_>>().join("; ")
    );
    Wait::new("Informing", message)
}
