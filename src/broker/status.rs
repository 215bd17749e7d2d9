//! What the status says: pure, from what was validated, observed, planned and done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::config::{self, UserConfig};
use super::observe::Observed;
use super::plan::Plan;
use super::valid::{Rejected, Valid};
use crate::api::{Broker, BrokerStatus};
use crate::k8s::conditions::{self, CONFIG_ACCEPTED, DEGRADED, PROGRESSING, READY, Says};
use crate::k8s::{apply::Foreign, labels, pod};

/// How many of a long list a message names.
const NAMED: usize = 5;

/// What came of carrying out a plan.
#[derive(Debug, Default)]
pub struct Done {
    /// Objects under our names that are somebody else's.
    pub foreign: Vec<Foreign>,
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
    let accepted = broker.status.as_ref().is_some_and(|status| status.size > 0) || seen.plan.creates();
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
        size: if accepted { valid.shape.groups } else { 0 },
        replica_per_group: accepted.then_some(valid.shape.replicas),
        scale_in: broker.status.as_ref().and_then(|status| status.scale_in.clone()),
    }
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
    let waiting = seen.observed.not_serving(valid, seen.user);
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
    if valid.shape != valid.asked {
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
    if !seen.plan.pending.is_empty() {
        return Says::yes(
            "ChangePending",
            format!(
                "not carried out while pods run: {}; this version applies a change to a pod that is not running, \
                 changing running ones is not supported yet",
                some_of(&seen.plan.pending)
            ),
        );
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
    if let Some(trouble) = pods.into_iter().find_map(|pod| pod::trouble(pod, fields)) {
        return Says::yes(trouble.reason, trouble.message);
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
