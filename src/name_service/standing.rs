//! Whether each name server serves, and what it lacks to do so: pure.

use super::PORT;
use super::observe::{Observed, Seen, View};
use super::order_topics;
use super::valid::Valid;
use crate::k8s::pod;

/// One name server that is to stay or to come.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// What was seen of it.
    pub seen: &'a Seen,
    /// What it knows, if it serves; else why it does not.
    pub serves: Result<&'a View, String>,
    /// The order topics that it has to be given first.
    pub replay: Option<Replay>,
}

/// Order topics for one name server, in the order in which they are put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The name server's pod.
    pub name: String,
    /// Where it is asked.
    pub address: String,
    /// Topics and their queues.
    pub entries: Vec<(String, String)>,
}

/// How each of the name servers that the spec asks for stands, in ordinal order.
#[must_use]
pub fn standings<'a>(valid: &Valid, observed: &'a Observed) -> Vec<Standing<'a>> {
    let asked = usize::try_from(valid.asked).unwrap_or_default();
    let members: Vec<&Seen> = observed.members.iter().take(asked).collect();
    members
        .iter()
        .map(|seen| standing(valid, seen, &members))
        .collect()
}

/// The pod addresses of those that serve, and of those that did and whose pod lives on.
#[must_use]
pub fn serving(valid: &Valid, standings: &[Standing<'_>]) -> Vec<String> {
    let serving = standings
        .iter()
        .filter(|standing| standing.serves.is_ok() || has_served(valid, standing.seen));
    serving
        .filter_map(|standing| standing.seen.ip().map(ToOwned::to_owned))
        .collect()
}

fn has_served(valid: &Valid, seen: &Seen) -> bool {
    let lives = seen
        .pod
        .as_deref()
        .is_some_and(|pod| !pod::deleting(pod) && !pod::broken(pod));
    lives
        && seen
            .ip()
            .is_some_and(|ip| valid.served.iter().any(|served| served == ip))
}

fn standing<'a>(valid: &Valid, seen: &'a Seen, members: &[&'a Seen]) -> Standing<'a> {
    let as_is = |serves| Standing {
        seen,
        serves,
        replay: None,
    };
    let view = match &seen.answer {
        Ok(view) if has_served(valid, seen) => return as_is(Ok(view)),
        Ok(view) => view,
        Err(why) => return as_is(Err(why.clone())),
    };
    let others = || members.iter().filter(|other| other.name != seen.name);
    let served: Vec<&&Seen> = others().filter(|other| has_served(valid, other)).collect();
    let silent = served.iter().find(|other| other.answer.is_err());
    let known: Vec<&View> = served
        .iter()
        .filter_map(|other| other.answer.as_ref().ok())
        .collect();
    // Nobody served before: then those that came with a store of their own are the ones to ask.
    let known = if served.is_empty() {
        others().filter_map(|other| other.answer.as_ref().ok()).collect()
    } else {
        known
    };
    if let Some(silent) = silent.filter(|_| known.is_empty() && view.order_topics.is_empty()) {
        let why = format!(
            "{} does not tell its order topics, which it may lack",
            silent.name
        );
        return as_is(Err(why));
    }
    let entries = order_topics::missing(&view.order_topics, known.iter().map(|view| &view.order_topics));
    if entries.is_empty() {
        return as_is(Ok(view));
    }
    Standing {
        seen,
        serves: Err(format!(
            "has to be given {} order topics of the others first",
            entries.len()
        )),
        replay: seen.ip().map(|ip| Replay {
            name: seen.name.clone(),
            address: format!("{ip}:{PORT}"),
            entries,
        }),
    }
}
