//! What the status says: pure, from what was validated, observed, planned and done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::config::{self, UserConfig};
use super::live;
use super::observe::Observed;
use super::plan::{Opening, Plan};
use super::retire::Retire;
use super::roll::Roll;
use super::valid::{Member, Rejected, Shape, Valid};
use crate::api::{AcceptedLoss, Broker, BrokerStatus};
use crate::k8s::conditions::{self, CONFIG_ACCEPTED, DEGRADED, NOT_GROWN, PROGRESSING, READY, Says};
use crate::k8s::{apply::Foreign, labels, pod};

/// How many of a long list a message names.
const NAMED: usize = 5;

/// What came of carrying out a plan.
#[derive(Debug, Default)]
pub struct Done {
    /// Objects under our names that are somebody else's.
    pub foreign: Vec<Foreign>,
    /// What brokers refused, or did not answer to, in their words.
    pub refused: Vec<String>,
    /// Why a volume does not grow that is to, and what the user can do.
    pub growth: Option<String>,
}

/// The status of a `Broker` that was reconciled.
#[must_use]
pub fn status(
    broker: &Broker,
    valid: &Valid,
    seen: &Reconciled<'_>,
    done: &Done,
    now: &Time,
) -> BrokerStatus {
    let mut nodes: Vec<String> = seen
        .observed
        .members
        .iter()
        .filter_map(|member| member.pod.as_ref()?.metadata.name.clone())
        .collect();
    nodes.sort();
    let masters = seen
        .observed
        .members
        .iter()
        .filter(|member| member.member.is_master() && member.set.is_some());
    let shape = accepted(valid, seen);
    let list = seen.plan.name_server_list.as_deref();
    let told = list.and_then(|list| live::told(seen.observed, list, valid.switches.paused));
    BrokerStatus {
        observed_generation: broker.metadata.generation,
        conditions: conditions::next(
            before(broker),
            broker.metadata.generation,
            now,
            says(valid, seen, done),
        ),
        selector: Some(labels::selector_text(&labels::broker_selector(&valid.name))),
        replicas: i32::try_from(masters.count()).unwrap_or(i32::MAX),
        nodes,
        size: shape.map_or(0, |shape| shape.groups),
        replica_per_group: shape.map(|shape| shape.replicas),
        opening: seen.plan.openings.iter().map(|opening| opening.group).collect(),
        rollout: remembered(valid, valid.rollout.as_ref(), seen.plan.rollout.clone()),
        scale_in: remembered(
            valid,
            valid.scale_in.as_ref(),
            seen.plan
                .scale_in
                .as_ref()
                .and_then(|step| step.memory.clone().map(Box::new)),
        ),
        accepted_loss: remembered(valid, valid.accepted_loss.as_ref(), accepted_loss(valid, seen)),
        name_servers: told.map(ToOwned::to_owned).or_else(|| valid.told.clone()),
    }
}

/// The pod whose messages the user gives up: the one that ran under that name when it was to be restarted.
fn accepted_loss(valid: &Valid, seen: &Reconciled<'_>) -> Option<AcceptedLoss> {
    let pod = valid.accepts_loss.as_deref()?;
    if let Some(before) = valid.accepted_loss.as_ref().filter(|before| before.pod == pod) {
        return Some(before.clone());
    }
    let Roll::Drains { member, .. } = &seen.plan.roll else {
        return None;
    };
    let master = seen.observed.broker(*member)?;
    let uid = master.pod.as_deref().and_then(ResourceExt::uid)?;
    (member.pod_name(&valid.name) == pod).then(|| AcceptedLoss {
        pod: pod.to_owned(),
        uid,
    })
}

/// While a `Broker` is paused nothing goes on, so nothing else is to be remembered.
fn remembered<T: Clone>(valid: &Valid, before: Option<&T>, next: Option<T>) -> Option<T> {
    if valid.switches.paused {
        before.cloned()
    } else {
        next
    }
}

/// What runs: all that was asked for from the start, then each new group once its StatefulSets are there, for they
/// remember that it is new.
fn accepted(valid: &Valid, seen: &Reconciled<'_>) -> Option<Shape> {
    let Some(before) = valid.accepted else {
        return seen.plan.creates().then_some(valid.asked);
    };
    let there = |group: i32| {
        let members = seen.observed.members.iter();
        members
            .filter(|seen| seen.member.group == group)
            .all(|seen| seen.set.is_some())
    };
    if let (Some(step), Some(drain)) = (&seen.plan.scale_in, &seen.observed.drain)
        && (step.gone || step.anew)
    {
        return Some(Shape {
            groups: drain.group,
            ..before
        });
    }
    let mut groups = before.groups;
    while groups < valid.shape.groups && there(groups) {
        groups += 1;
    }
    let left = seen.plan.leaving.iter().filter(|(_, step)| *step != Retire::Gone);
    let replicas = left.map(|(member, _)| member.replica).max();
    Some(Shape {
        groups,
        replicas: replicas.unwrap_or_default().max(valid.asked.replicas),
    })
}

/// The status of a `Broker` that cannot be acted on: what ran before is left alone.
#[must_use]
pub fn rejected(broker: &Broker, why: &Rejected, config: bool, now: &Time) -> BrokerStatus {
    let accepted = if config {
        Says::no(why.reason, &why.message)
    } else {
        Says::yes("NotRead", "the configuration is read once the spec is valid")
    };
    let says = vec![
        (READY, Says::no(why.reason, &why.message)),
        (
            PROGRESSING,
            Says::no(
                why.reason,
                "waiting for the spec, or what it names, to be mended; nothing is written until then",
            ),
        ),
        (DEGRADED, Says::yes(why.reason, &why.message)),
        (CONFIG_ACCEPTED, accepted),
    ];
    BrokerStatus {
        observed_generation: broker.metadata.generation,
        conditions: conditions::next(before(broker), broker.metadata.generation, now, says),
        ..broker.status.clone().unwrap_or_default()
    }
}

/// What a reconcile found and means to do.
#[derive(Clone, Copy, Debug)]
pub struct Reconciled<'a> {
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// Why there are no name servers, if there are none.
    pub no_name_servers: Option<&'a Rejected>,
    /// What was there.
    pub observed: &'a Observed,
    /// What was to be done.
    pub plan: &'a Plan,
}

fn before(broker: &Broker) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition] {
    broker
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default()
}

fn says(valid: &Valid, seen: &Reconciled<'_>, done: &Done) -> Vec<(&'static str, Says)> {
    let mut waiting = seen.observed.not_serving(valid, seen.user);
    for (member, _) in &seen.plan.leaving {
        waiting.remove(&member.pod_name(&valid.name));
    }
    let waiting: Vec<String> = waiting
        .into_iter()
        .map(|(pod, why)| format!("{pod}: {why}"))
        .collect();
    vec![
        (READY, ready(valid, seen, &waiting)),
        (PROGRESSING, progressing(valid, seen, &waiting)),
        (DEGRADED, degraded(valid, seen, done)),
        (CONFIG_ACCEPTED, config_accepted(valid, seen.user)),
    ]
}

fn some_of(list: &[String]) -> String {
    let named = list.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match list.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

fn ready(valid: &Valid, seen: &Reconciled<'_>, waiting: &[String]) -> Says {
    let all = valid.shape.brokers();
    if let Some(why) = seen.no_name_servers {
        return Says::no(why.reason, &why.message);
    }
    if !waiting.is_empty() {
        let serve = usize::try_from(all)
            .unwrap_or_default()
            .saturating_sub(waiting.len());
        return Says::no(
            "NotServing",
            format!("{serve} of {all} brokers serve; {}", some_of(waiting)),
        );
    }
    if !matches!(seen.plan.roll, Roll::Done | Roll::Held { .. }) {
        return Says::no(
            "RollingRestart",
            format!(
                "all {all} brokers serve; {} are to be restarted for a change",
                seen.plan.restarts
            ),
        );
    }
    if let Some(opening) = seen.plan.openings.first() {
        return Says::no(
            "OpeningGroup",
            format!(
                "all {all} brokers run; group {} takes no traffic yet",
                opening.group
            ),
        );
    }
    if let Some(push) = seen.plan.pushes.first() {
        return Says::no(
            "Telling",
            format!(
                "all {all} brokers serve; {} was just told what changed",
                push.member.pod_name(&valid.name)
            ),
        );
    }
    if valid.shape != valid.asked || !seen.plan.leaving.is_empty() {
        let asked = valid.asked.brokers();
        return Says::no(
            "ScalePending",
            format!("all {all} brokers of now serve; the spec asks for {asked}"),
        );
    }
    let servers = seen.observed.views.len();
    Says::yes(
        "Serving",
        format!("{all} of {all} brokers serve and are listed by {servers} of {servers} name servers"),
    )
}

fn progressing(valid: &Valid, seen: &Reconciled<'_>, waiting: &[String]) -> Says {
    if valid.switches.paused {
        return Says::no(
            "Paused",
            "annotation rocketmq.apache.org/paused is true: nothing is written but this status",
        );
    }
    if let Some(why) = seen.no_name_servers {
        return Says::no(why.reason, "waiting for name servers");
    }
    if let Some(first) = seen.plan.untouched.first() {
        return Says::yes(
            "NotTakenOver",
            format!(
                "{} StatefulSets, {} among them, were made by another operator and are left as they are",
                seen.plan.untouched.len(),
                first.name(&valid.name)
            ),
        );
    }
    let drops = seen.plan.scale_in.as_ref().filter(|step| step.drops);
    if let Some(step) = drops {
        return Says::yes("DroppingMessages", &step.progress);
    }
    if let Some(says) = rolling(valid, seen.plan) {
        return says;
    }
    if let Some(step) = seen
        .plan
        .scale_in
        .as_ref()
        .filter(|step| !step.progress.is_empty())
    {
        return Says::yes("ScalingIn", &step.progress);
    }
    if let Some((member, step)) = seen.plan.leaving.first() {
        let words = match step {
            Retire::Stop => "is being stopped",
            Retire::Wait => "is stopping, or name servers still list it",
            Retire::Remove | Retire::Gone => "has stopped, its Service and configuration go",
        };
        let pod = member.pod_name(&valid.name);
        return Says::yes(
            "Leaving",
            format!("{} replicas leave: {pod} {words}", seen.plan.leaving.len()),
        );
    }
    if let Some(opening) = seen.plan.openings.first() {
        return opening_says(opening, seen.plan.openings.len());
    }
    if let Some(push) = seen.plan.pushes.first() {
        let keys: Vec<_> = push.changes.keys().map(String::as_str).collect();
        let pod = push.member.pod_name(&valid.name);
        if seen.plan.drifted {
            let words = format!("{pod} was changed by hand: {} are put back", keys.join(", "));
            return Says::yes("Drift", words);
        }
        return Says::yes(
            "Telling",
            format!("telling {} of running brokers, {pod} among them", keys.join(", ")),
        );
    }
    if let (true, Some(first)) = (waiting.is_empty(), seen.plan.as_found.first()) {
        return Says::no("TakenOver", taken_over(valid, seen.plan, *first));
    }
    if waiting.is_empty() {
        return Says::no("Steady", "everything the spec asks for is there");
    }
    Says::yes(
        "Starting",
        format!(
            "waiting for {} of {} brokers",
            waiting.len(),
            valid.shape.brokers()
        ),
    )
}

fn taken_over(valid: &Valid, plan: &Plan, first: Member) -> String {
    format!(
        "{} StatefulSets, {} among them, are as the Go operator made them; nothing restarts until spec changes or annotation \
         rocketmq.apache.org/restartedAt is set, then each pod once, one at a time",
        plan.as_found.len(),
        first.name(&valid.name)
    )
}

/// What runs that neither the spec nor the status knows of.
fn leftovers(valid: &Valid) -> Option<Says> {
    let first = valid.leftovers.first()?;
    let groups = valid.leftovers.iter().map(|member| member.group + 1).max();
    let replicas = valid.leftovers.iter().map(|member| member.replica).max();
    Some(Says::yes(
        "Leftovers",
        format!(
            "{} StatefulSets, {} among them, run beyond what was asked for when the cluster was taken over, and are left alone; to \
             have them looked after, ask for them (spec.size {}, spec.replicaPerGroup {}), to be rid of them ask for less after that",
            valid.leftovers.len(),
            first.name(&valid.name),
            groups.unwrap_or_default().max(valid.asked.groups),
            replicas.unwrap_or_default().max(valid.asked.replicas),
        ),
    ))
}

/// What is done, or waited for, to carry out a change that needs restarts.
fn rolling(valid: &Valid, plan: &Plan) -> Option<Says> {
    let (member, what) = match &plan.roll {
        Roll::Done => return None,
        Roll::Held { reason, message } => return Some(Says::no(reason, message)),
        Roll::Wait { member, gate } | Roll::Drains { member, gate, .. } => (member, format!("waits: {gate}")),
        Roll::Note(member) => (member, "is restarted once its topics are noted".to_owned()),
        Roll::Restart(member) => (member, "is restarted".to_owned()),
        Roll::Refilled(member) => (member, "has its topics again and takes messages".to_owned()),
    };
    let pod = member.pod_name(&valid.name);
    Some(Says::yes(
        "RollingRestart",
        format!(
            "{} brokers are still to be restarted for a change; {pod} {what}",
            plan.restarts
        ),
    ))
}

/// What is done with a new group.
fn opening_says(opening: &Opening, groups: usize) -> Says {
    let group = opening.group;
    let what = match &opening.missing {
        Ok(missing) => missing.words(),
        Err(why) => why.clone(),
    };
    Says::yes(
        "OpeningGroup",
        format!("group {group} (of {groups} new ones) takes no traffic yet: {what}"),
    )
}

/// What keeps a new group from being opened that does not pass by itself.
fn stuck_opening(seen: &Reconciled<'_>) -> Option<Says> {
    let opening = seen
        .plan
        .openings
        .iter()
        .find(|opening| matches!(&opening.missing, Err(why) if !why.starts_with("waiting")))?;
    let why = opening.missing.as_ref().err()?;
    Some(Says::yes(
        "SourceUnreadable",
        format!(
            "group {} takes no traffic until it has the topics of the others: {why}",
            opening.group
        ),
    ))
}

fn degraded(valid: &Valid, seen: &Reconciled<'_>, done: &Done) -> Says {
    if let Some(why) = seen.no_name_servers {
        return Says::yes(why.reason, &why.message);
    }
    if let Some(foreign) = done.foreign.first() {
        return foreign.says("Broker");
    }
    let fields = pod::Fields {
        image: "spec.brokerImage",
        storage_class: valid.storage.class(),
    };
    let pods = seen
        .observed
        .members
        .iter()
        .filter_map(|member| member.pod.as_deref());
    let trouble = pods.into_iter().find_map(|pod| pod::trouble(pod, fields));
    if let Roll::Drains { gate, would_lose, .. } = &seen.plan.roll {
        let trouble = trouble.map(|trouble| format!("{}; ", trouble.message));
        let message = format!("{}{gate}; {would_lose}", trouble.unwrap_or_default());
        return Says::yes("StoreWouldBeLost", message);
    }
    if let Some(trouble) = trouble {
        return Says::yes(trouble.reason, trouble.message);
    }
    if let Roll::Held { reason, message } = &seen.plan.roll {
        return Says::yes(reason, message);
    }
    if let Some((reason, message)) = seen
        .plan
        .scale_in
        .as_ref()
        .and_then(|step| step.degraded.as_ref())
    {
        return Says::yes(reason, message);
    }
    if let Some(stuck) = stuck_opening(seen) {
        return stuck;
    }
    if let Some(refused) = done.refused.first() {
        return Says::yes("Refused", format!("{refused}; tried again"));
    }
    if let Some(why) = &done.growth {
        return Says::yes(NOT_GROWN, why);
    }
    if let Some(left) = leftovers(valid) {
        return left;
    }
    if valid.switches.image_command {
        return Says::yes(
            "ImageCommandKept",
            "annotation rocketmq.apache.org/image-command keeps the image's command: a clean stop is not guaranteed",
        );
    }
    Says::no("AsExpected", "nothing is wrong")
}

fn config_accepted(valid: &Valid, user: &UserConfig) -> Says {
    let overridden = config::overridden(valid, user);
    if overridden.is_empty() {
        return Says::yes("Accepted", "the configuration is used as written");
    }
    Says::yes(
        "Overridden",
        format!(
            "set by the operator, so your values are not used: {}",
            overridden.join(", ")
        ),
    )
}
