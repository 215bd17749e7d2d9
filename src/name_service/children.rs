//! Every object of a `NameService`: pure, infallible, from what was validated.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::valid::Valid;
use super::{PORT, headless_name};
use crate::api::DnsPolicy;
use crate::k8s::labels::{self, Component, Labels};
use crate::k8s::service;
use crate::workload::content::Noted;
use crate::workload::fields::PodFields;
use crate::workload::template::{Role, template};
use crate::workload::{GO_LOGS_PATH, LOGS_PATH, NAMESRV_PATH, START_SCRIPT, START_SCRIPT_KEY, env, set};

const PORTS: [(&str, i32); 1] = [("main", PORT)];

fn own_labels(valid: &Valid) -> Labels {
    labels::recommended(Component::NameServer, &valid.name)
}

fn selector(valid: &Valid) -> Labels {
    labels::name_service_selector(&valid.name)
}

/// The start script, for every pod.
#[must_use]
pub fn start_script(valid: &Valid) -> ConfigMap {
    ConfigMap {
        metadata: valid.target.meta(&start_script_name(valid), own_labels(valid)),
        data: Some([(START_SCRIPT_KEY.to_owned(), START_SCRIPT.to_owned())].into()),
        ..ConfigMap::default()
    }
}

fn start_script_name(valid: &Valid) -> String {
    format!("{}-start", valid.name)
}

/// The Service that clients use: whichever name server answers, or `informed_only` whichever knows every broker.
#[must_use]
pub fn client_service(valid: &Valid, informed_only: bool) -> Service {
    let mut selected = selector(valid);
    if informed_only {
        selected.insert(labels::INFORMED.to_owned(), labels::YES.to_owned());
    }
    service::cluster_ip(
        valid.target.meta(&valid.name, own_labels(valid)),
        selected,
        &PORTS,
    )
}

/// The headless Service that gives each name server a name that stays.
#[must_use]
pub fn headless_service(valid: &Valid) -> Service {
    let metadata = valid.target.meta(&headless_name(&valid.name), own_labels(valid));
    service::headless(metadata, selector(valid), &PORTS)
}

/// At most one name server is evicted at a time, and a broken one never holds up a node's drain.
#[must_use]
pub fn disruption_budget(valid: &Valid) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: valid
            .target
            .meta(&format!("{}-name-service", valid.name), own_labels(valid)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(valid)),
                match_expressions: None,
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// The StatefulSet of all name servers, of which `replicas` run. `restarted_at` goes into the pod template, so that a new
/// value is a new template; beside it onto the set, where it is found again when the user has taken it away: that alone
/// restarts nothing. So does the mark of what pods use.
#[must_use]
pub fn stateful_set(valid: &Valid, replicas: i32, restarted_at: Option<&str>, noted: &Noted) -> StatefulSet {
    let marks = [
        (labels::RESTARTED_AT, restarted_at),
        (labels::CONTENT_HASH, noted.mark.as_deref()),
    ];
    let marks: Labels = marks
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
        .collect();
    let fields = PodFields::from(&valid.spec);
    let mut pod_labels = own_labels(valid);
    pod_labels.extend(selector(valid));
    let logs = if valid.switches.image_command {
        GO_LOGS_PATH
    } else {
        LOGS_PATH
    };
    let role = Role {
        container: "name-service",
        command: "namesrv",
        start_config_map: start_script_name(valid),
        image_command: valid.switches.image_command,
        labels: pod_labels,
        annotations: marks.clone(),
        spread: selector(valid),
        ports: PORTS.to_vec(),
        env: vec![env::field("POD_IP", "status.podIP")],
        kept_env: &[],
        volumes: vec![],
        mounts: vec![
            valid.storage.mount(logs, "logs"),
            valid.storage.mount(NAMESRV_PATH, "data"),
        ],
        dns_policy: dns_policy(valid),
    };
    let template = template(&fields, &valid.storage, role);
    let shape = set::Shape {
        name: &valid.name,
        labels: own_labels(valid),
        selector: selector(valid),
        service: headless_name(&valid.name),
        replicas,
        retention: valid.spec.persistent_volume_claim_retention_policy.as_ref(),
    };
    let mut set = set::stateful_set(&valid.target, shape, &valid.storage, template);
    let contents = noted
        .contents
        .clone()
        .map(|text| (labels::CONTENT.to_owned(), text));
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.extend(marks.into_iter().chain(contents));
    set
}

fn dns_policy(valid: &Valid) -> String {
    let policy = valid.spec.dns_policy.unwrap_or_else(|| {
        if valid.spec.host_network == Some(true) {
            DnsPolicy::ClusterFirstWithHostNet
        } else {
            DnsPolicy::ClusterFirst
        }
    });
    policy.as_str().to_owned()
}
