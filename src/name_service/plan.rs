//! What to do next, decided from what was observed: pure, so that every case can be tested without a cluster.
//!
//! Published are the name servers that brokers are told of, those with the lowest ordinals. New ones run and answer
//! before they are published; those that go are no longer published, and run until no broker uses them.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::observe::Observed;
use super::roll::{self, Next};
use super::routing::{self, Changes, Routing};
use super::standing::{Replay, Standing, serving, standings};
use super::valid::Valid;
use super::{PORT, children, stable_names};
use crate::k8s::labels::RESTARTED_AT;
use crate::workload::claims::{self, Claims};
use crate::workload::content;
use crate::workload::set::{self, Verdict};

/// What one reconcile does beside keeping Services, the start script and the disruption budget.
#[derive(Debug)]
pub struct Plan {
    /// How many name servers brokers are told of.
    pub published: i32,
    /// Pod addresses of the name servers that serve.
    pub serving: Vec<String>,
    /// Each name server that the spec asks for, and why it does not serve if it does not.
    pub standings: Vec<(String, Option<String>)>,
    /// The StatefulSet as it is to be.
    pub set: Box<StatefulSet>,
    /// What is done with it.
    pub step: SetStep,
    /// Where clients are sent.
    pub routing: Routing,
    /// Order topics for name servers that lost or never had them.
    pub replays: Vec<Replay>,
    /// A pod that is deleted, so that it is made from the newest template.
    pub restart: Option<Restart>,
    /// What is being done and waited for, most important first.
    pub waits: Vec<Wait>,
}

/// What is done with the StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetStep {
    /// It is kept as it is to be, written if it is not.
    Keep,
    /// It is deleted, to be made anew.
    Recreate,
    /// It is deleted around its pods, to be made anew.
    Remake,
    /// It is noted as ours, and otherwise left as the Go operator made it.
    TakeOver,
    /// It is left as the Go operator made it, but for how many pods it has.
    AsFound,
    /// It is left alone.
    Leave,
}

/// A pod that is deleted, and why it can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Restart {
    /// It does not run.
    Broken(Arc<Pod>),
    /// The others serve without it.
    Spared(Arc<Pod>),
}

/// Something that goes on, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// One word for the condition's reason.
    pub reason: &'static str,
    /// What it is, with numbers.
    pub message: String,
}

impl Wait {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// Whether name servers are restarted one after another.
    fn rolls(&self) -> bool {
        self.reason == "Rolling"
    }
}

impl Plan {
    /// Whether something goes on that nobody tells us of, so that it has to be looked at soon.
    #[must_use]
    pub fn polls(&self) -> bool {
        self.restart.is_some() || self.waits.iter().any(Wait::rolls) || self.routing.informed_only
    }
}

/// Plans the next step towards what the spec asks for.
#[must_use]
pub fn plan(valid: &Valid, observed: &Observed) -> Plan {
    let standings = standings(valid, observed);
    let live = observed.set.as_deref();
    let found = live.filter(|live| set::is_unnoted(live) || set::is_as_found(live));
    let found = found.and_then(|_| observed.replicas());
    let (published, scaling_out) = published(valid, found, &standings);
    let (replicas, scaling_in) = replicas(valid, observed);
    // A set that is being made anew around its pods remembers nothing, the pods do.
    let pod = observed.members.first().and_then(|seen| seen.pod.as_deref());
    let noted = live
        .map(ResourceExt::annotations)
        .or(pod.map(ResourceExt::annotations));
    let kept = noted.and_then(|noted| noted.get(RESTARTED_AT));
    let restarted_at = valid.restarted_at.as_ref().or(kept);
    let mut set = children::stateful_set(
        valid,
        replicas,
        restarted_at.map(String::as_str),
        &content::noted(noted, &observed.contents),
    );
    if let Some(live) = live {
        claims::keep_words(&mut set, live);
    }
    let verdict = set::verdict(&set, live, &observed.pods());
    let (step, changing) = step(verdict, &set, live, scaling_in.is_some());
    let settled = step == SetStep::Keep && verdict == Verdict::Keep && observed.replicas() == Some(replicas);
    let (restart, rolling) = restart(observed, &standings, settled);
    let changes = Changes {
        leaving: observed.members.get(standings.len()..).unwrap_or_default(),
        restarting: restart.is_some() || [&changing, &rolling].into_iter().flatten().any(Wait::rolls),
        informed_only: observed.informed_only,
    };
    let mut routing = routing::routing(&standings, changes);
    Plan {
        published,
        serving: serving(valid, &standings),
        step,
        set: Box::new(set),
        replays: standings
            .iter()
            .filter_map(|standing| standing.replay.clone())
            .collect(),
        restart,
        waits: [changing, scaling_in, scaling_out, rolling, routing.wait.take()]
            .into_iter()
            .flatten()
            .collect(),
        routing,
        standings: standings
            .iter()
            .map(|standing| {
                (
                    standing.seen.name.clone(),
                    standing.serves.as_ref().err().cloned(),
                )
            })
            .collect(),
    }
}

/// How many name servers are published from now on. Fewer at once; more when all the new ones serve. Where the Go operator
/// made them, those that it made are published first.
fn published(valid: &Valid, found: Option<i32>, standings: &[Standing<'_>]) -> (i32, Option<Wait>) {
    let before = valid
        .published
        .unwrap_or_else(|| found.map_or(valid.asked, |found| found.clamp(1, valid.asked)));
    if valid.switches.paused {
        return (before, None);
    }
    let new = standings.iter().skip(usize::try_from(before).unwrap_or_default());
    let waiting: Vec<String> = new
        .filter_map(|standing| {
            Some(format!(
                "{}: {}",
                standing.seen.name,
                standing.serves.as_ref().err()?
            ))
        })
        .collect();
    if waiting.is_empty() {
        return (valid.asked, None);
    }
    let message = format!(
        "{before} of {} name servers are published to brokers, the new ones will be when all of them answer; {}",
        valid.asked,
        waiting.join("; ")
    );
    (before, Some(Wait::new("ScalingOut", message)))
}

/// How many name servers run from now on. More at once; fewer when it was published that there are fewer, and no Broker
/// runs with those that go.
fn replicas(valid: &Valid, observed: &Observed) -> (i32, Option<Wait>) {
    let Some(live) = observed.replicas().filter(|live| *live > valid.asked) else {
        return (valid.asked, None);
    };
    let asked = usize::try_from(valid.asked).unwrap_or_default();
    let mut leaving = stable_names(&valid.name, &valid.target.namespace, live).split_off(asked);
    let pods = observed.members.iter().skip(asked);
    leaving.extend(pods.filter_map(|seen| Some(format!("{}:{PORT}", seen.ip()?))));
    let names: Vec<String> = (valid.asked..live)
        .map(|ordinal| valid.pod_name(ordinal))
        .collect();
    let holding: Vec<String> = observed
        .users
        .iter()
        .filter_map(|user| Some(format!("Broker {} {}", user.name, user.holds_up(&leaving)?)))
        .collect();
    let told = valid.published.is_some_and(|published| published <= valid.asked);
    if told && holding.is_empty() {
        return (valid.asked, None);
    }
    let mut message = format!(
        "{live} name servers run and {} stay: {} go when brokers have left them",
        valid.asked,
        names.join(", ")
    );
    if !holding.is_empty() {
        message = format!("{message}; waiting: {}", holding.join("; "));
    }
    (live, Some(Wait::new("ScalingIn", message)))
}

fn step(
    verdict: Verdict,
    desired: &StatefulSet,
    live: Option<&StatefulSet>,
    scaling_in: bool,
) -> (SetStep, Option<Wait>) {
    let pending = |message: &str| (SetStep::Leave, Some(Wait::new("ChangePending", message)));
    match (verdict, live) {
        (Verdict::TakeOver, _) => (SetStep::TakeOver, None),
        (Verdict::AsFound, _) => (SetStep::AsFound, None),
        (Verdict::Pending, Some(live)) if set::intent(live).is_none() => pending(
            "the StatefulSet is another operator's and selects its pods by other labels; it is left as it is: delete it, or use \
             another name for this NameService",
        ),
        (Verdict::Recreate, Some(_)) => {
            let message = "spec.volumeClaimTemplates, or spec.storageMode, asks for other volumes than those of the name servers, none \
                 of which runs; they are made anew unless one may have written to its volumes: then put the spec back";
            (SetStep::Recreate, Some(Wait::new("ChangePending", message)))
        }
        (Verdict::PendingRemake, Some(live)) if claims::compare(desired, live) == Claims::Shrunk => pending(
            "spec.volumeClaimTemplates asks for less than the volumes of the name servers have, and a volume is never made \
             smaller; put the size back, or ask for more",
        ),
        (Verdict::PendingRemake, Some(live)) if claims::compare(desired, live) == Claims::Other => pending(
            "spec.volumeClaimTemplates, or spec.storageMode, asks for other volume claims than those of the name servers that run; \
             they cannot be changed under them, so nothing of the spec is carried out until they are as they were or no name \
             server runs",
        ),
        // Until the highest have left, the next set would not know of them should the operator restart in between.
        (Verdict::Remake | Verdict::PendingRemake, _) if scaling_in => (SetStep::Leave, None),
        (Verdict::Remake, _) => (SetStep::Remake, None),
        (Verdict::PendingRemake, _) => {
            let message =
                "making the StatefulSet anew around its pods, which are restarted after that, one at a time";
            (SetStep::Remake, Some(Wait::new("Rolling", message)))
        }
        (Verdict::Pending, _) => {
            let message = "writing a change that restarts name servers, one at a time";
            (SetStep::Keep, Some(Wait::new("Rolling", message)))
        }
        (Verdict::Create | Verdict::Keep | Verdict::Replace | Verdict::Recreate, _) => (SetStep::Keep, None),
    }
}

/// The pod that is deleted now. One that does not run at once; one that runs only if the set is as it is to be, so that
/// what replaces it is known.
fn restart(
    observed: &Observed,
    standings: &[Standing<'_>],
    settled: bool,
) -> (Option<Restart>, Option<Wait>) {
    let Some(live) = observed.set.as_deref() else {
        return (None, None);
    };
    if let Some(pod) = set::outdated_broken(live, &observed.pods()) {
        return (Some(Restart::Broken(pod.clone())), None);
    }
    if !settled {
        return (None, None);
    }
    match roll::next(live, standings) {
        Next::Nothing => (None, None),
        Next::Restart(pod, _) if let Some(why) = loses_topics(&pod, standings) => {
            (None, Some(Wait::new("TopicsWouldBeLost", why)))
        }
        Next::Restart(pod, message) => (Some(Restart::Spared(pod)), Some(Wait::new("Rolling", message))),
        Next::Wait(message) => (None, Some(Wait::new("Rolling", message))),
    }
}

/// Why the only name server cannot be restarted yet: its order topics are on no volume that outlives it, and no other one has
/// them.
fn loses_topics(pod: &Pod, standings: &[Standing<'_>]) -> Option<String> {
    // The Go operator mounted no volume where they are kept.
    let has_volume = pod.spec.as_ref().is_some_and(|spec| {
        let volumes = spec.volumes.iter().flatten();
        let mut lasting =
            volumes.filter(|volume| volume.persistent_volume_claim.is_some() || volume.host_path.is_some());
        spec.subdomain.is_some() && lasting.next().is_some()
    });
    let [only] = standings else { return None };
    let topics = only.serves.as_ref().map_or(0, |view| view.order_topics.len());
    (!has_volume && topics > 0).then(|| {
        format!(
            "{} keeps {topics} order topics that a restart would lose; set spec.size to 2, which copies them, and back to 1 when \
             both have restarted",
            only.seen.name
        )
    })
}
