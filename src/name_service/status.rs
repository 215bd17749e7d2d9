//! What the status says: pure, from what was validated, observed and planned.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::apply::Done;
use super::observe::Observed;
use super::plan::{Plan, SetStep};
use super::valid::Valid;
use crate::api::{NameService, NameServiceStatus};
use crate::broker::valid::Rejected;
use crate::k8s::conditions::{self, CONFIG_ACCEPTED, DEGRADED, PROGRESSING, READY, Says};
use crate::k8s::{labels, pod};

/// The status of a `NameService` that was reconciled.
#[must_use]
pub fn status(
    service: &NameService,
    valid: &Valid,
    observed: &Observed,
    (plan, done): (&Plan, &Done),
    now: &Time,
) -> NameServiceStatus {
    let replicas = observed
        .set
        .as_ref()
        .and_then(|set| set.status.as_ref())
        .map_or(0, |status| status.replicas);
    let says = vec![
        (READY, ready(valid, plan)),
        (PROGRESSING, progressing(valid, plan)),
        (DEGRADED, degraded(valid, observed, done)),
        (
            CONFIG_ACCEPTED,
            Says::yes(
                "Accepted",
                "name servers have no configuration but their environment",
            ),
        ),
    ];
    NameServiceStatus {
        observed_generation: service.metadata.generation,
        conditions: conditions::next(before(service), service.metadata.generation, now, says),
        selector: Some(labels::selector_text(&labels::name_service_selector(&valid.name))),
        replicas,
        name_servers: plan.serving.clone(),
        size: plan.published,
    }
}

/// The status of a `NameService` that cannot be acted on: what ran before is left alone.
#[must_use]
pub fn rejected(service: &NameService, why: &Rejected, now: &Time) -> NameServiceStatus {
    let waiting = "waiting for the spec to be mended; nothing is written until then";
    let says = vec![
        (READY, Says::no(why.reason, &why.message)),
        (PROGRESSING, Says::no(why.reason, waiting)),
        (DEGRADED, Says::yes(why.reason, &why.message)),
        (CONFIG_ACCEPTED, Says::no(why.reason, &why.message)),
    ];
    NameServiceStatus {
        observed_generation: service.metadata.generation,
        conditions: conditions::next(before(service), service.metadata.generation, now, says),
        ..service.status.clone().unwrap_or_default()
    }
}

fn before(service: &NameService) -> &[Condition] {
    service
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default()
}

/// Why each of the first so many name servers does not serve that does not.
fn waiting(plan: &Plan, of: i32) -> Vec<String> {
    let waits = plan
        .standings
        .iter()
        .take(usize::try_from(of).unwrap_or_default());
    waits
        .filter_map(|(name, why)| Some(format!("{name}: {}", why.as_ref()?)))
        .collect()
}

fn ready(valid: &Valid, plan: &Plan) -> Says {
    let published = plan.published;
    let waiting = waiting(plan, published);
    let answer = usize::try_from(published)
        .unwrap_or_default()
        .saturating_sub(waiting.len());
    if !waiting.is_empty() {
        return Says::no(
            "NotServing",
            format!(
                "{answer} of {published} name servers answer; {}",
                waiting.join("; ")
            ),
        );
    }
    if published != valid.asked {
        let message = format!(
            "all {published} name servers that brokers are told of answer; the spec asks for {}",
            valid.asked
        );
        return Says::no("ScalePending", message);
    }
    Says::yes("Serving", format!("{answer} of {answer} name servers answer"))
}

fn progressing(valid: &Valid, plan: &Plan) -> Says {
    if valid.switches.paused {
        return Says::no(
            "Paused",
            "annotation rocketmq.apache.org/paused is true: nothing is written but this status",
        );
    }
    if let Some(first) = plan.waits.first() {
        let all: Vec<&str> = plan.waits.iter().map(|wait| wait.message.as_str()).collect();
        return Says::yes(first.reason, all.join("; "));
    }
    let waiting = waiting(plan, valid.asked);
    if waiting.is_empty() && matches!(plan.step, SetStep::TakeOver | SetStep::AsFound) {
        return Says::no(
            "TakenOver",
            "the StatefulSet is as the Go operator made it; nothing restarts until spec changes or annotation \
             rocketmq.apache.org/restartedAt is set, then each pod once, one at a time",
        );
    }
    if waiting.is_empty() {
        return Says::no("Steady", "everything the spec asks for is there");
    }
    Says::yes(
        "Starting",
        format!("waiting for {} of {} name servers", waiting.len(), valid.asked),
    )
}

fn degraded(valid: &Valid, observed: &Observed, done: &Done) -> Says {
    if let Some(foreign) = done.foreign.first() {
        return foreign.says("NameService");
    }
    let fields = pod::Fields {
        image: "spec.nameServiceImage",
        storage_class: valid.storage.class(),
    };
    if let Some(trouble) = observed.pods().iter().find_map(|pod| pod::trouble(pod, fields)) {
        return Says::yes(trouble.reason, trouble.message);
    }
    if let Some(why) = &done.template {
        return Says::yes(
            "TemplateRefused",
            format!(
                "the API server does not take what the spec makes of StatefulSet {}, nothing is restarted: {why}; correct the spec",
                valid.name
            ),
        );
    }
    if let Some(why) = &done.growth {
        return Says::yes(conditions::NOT_GROWN, why);
    }
    if let Some((name, why)) = done.refused.first() {
        return Says::yes(
            "OrderTopicsRefused",
            format!(
                "{name} does not take the order topics that the others have, and does not count as serving: {why}"
            ),
        );
    }
    if valid.switches.image_command {
        return Says::yes(
            "ImageCommandKept",
            "annotation rocketmq.apache.org/image-command keeps the image's command: a clean stop is not guaranteed",
        );
    }
    Says::no("AsExpected", "nothing is wrong")
}
