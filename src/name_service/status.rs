//! What the status says: pure, from what was validated, observed and planned.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::observe::Observed;
use super::valid::Valid;
use crate::api::{NameService, NameServiceStatus};
use crate::broker::valid::Rejected;
use crate::k8s::apply::Foreign;
use crate::k8s::conditions::{self, CONFIG_ACCEPTED, DEGRADED, PROGRESSING, READY, Says};
use crate::k8s::{labels, pod};
use crate::workload::set::Verdict;

/// The status of a `NameService` that was reconciled.
#[must_use]
pub fn status(
    service: &NameService,
    valid: &Valid,
    observed: &Observed,
    (verdict, foreign): (Verdict, &[Foreign]),
    now: &Time,
) -> NameServiceStatus {
    let ips = observed
        .members
        .iter()
        .filter_map(|seen| seen.pod.as_deref().and_then(pod::ip));
    let replicas = observed
        .set
        .as_ref()
        .and_then(|set| set.status.as_ref())
        .map_or(0, |status| status.replicas);
    let says = vec![
        (READY, ready(valid, observed)),
        (PROGRESSING, progressing(valid, observed, verdict)),
        (DEGRADED, degraded(valid, observed, foreign)),
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
        name_servers: ips.map(ToOwned::to_owned).collect(),
        size: valid.size,
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

fn waiting(observed: &Observed) -> Vec<String> {
    let waits = observed
        .members
        .iter()
        .filter_map(|seen| Some(format!("{}: {}", seen.name, seen.why_not.as_ref()?)));
    waits.collect()
}

fn ready(valid: &Valid, observed: &Observed) -> Says {
    let waiting = waiting(observed);
    let answer = usize::try_from(valid.size)
        .unwrap_or_default()
        .saturating_sub(waiting.len());
    if !waiting.is_empty() {
        return Says::no(
            "NotServing",
            format!(
                "{answer} of {} name servers answer; {}",
                valid.size,
                waiting.join("; ")
            ),
        );
    }
    if valid.size != valid.asked {
        let message = format!(
            "all {} name servers of now answer; the spec asks for {}",
            valid.size, valid.asked
        );
        return Says::no("ScalePending", message);
    }
    Says::yes("Serving", format!("{answer} of {answer} name servers answer"))
}

fn progressing(valid: &Valid, observed: &Observed, verdict: Verdict) -> Says {
    if valid.switches.paused {
        return Says::no(
            "Paused",
            "annotation rocketmq.apache.org/paused is true: nothing is written but this status",
        );
    }
    if verdict == Verdict::Pending || valid.size != valid.asked {
        return Says::yes(
            "ChangePending",
            "a change of the spec is not carried out while pods run; this version applies it once none does, changing \
             running ones is not supported yet",
        );
    }
    let waiting = waiting(observed);
    if waiting.is_empty() {
        return Says::no("Steady", "everything the spec asks for is there");
    }
    Says::yes(
        "Starting",
        format!("waiting for {} of {} name servers", waiting.len(), valid.size),
    )
}

fn degraded(valid: &Valid, observed: &Observed, foreign: &[Foreign]) -> Says {
    if let Some(foreign) = foreign.first() {
        return foreign.says("NameService");
    }
    let fields = pod::Fields {
        image: "spec.nameServiceImage",
        storage_class: valid.storage.class(),
    };
    if let Some(trouble) = observed.pods().iter().find_map(|pod| pod::trouble(pod, fields)) {
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
