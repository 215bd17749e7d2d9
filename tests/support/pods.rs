//! Pods as the StatefulSet controller makes them, and as the kubelet reports them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

pub fn replicas(set: &StatefulSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The revision of a set's template.
pub fn revision(set: &StatefulSet) -> String {
    let mut hasher = DefaultHasher::new();
    json!(set.spec.as_ref().map(|spec| &spec.template))
        .to_string()
        .hash(&mut hasher);
    format!("{}-{:08x}", set.name_any(), hasher.finish() & 0xffff_ffff)
}

pub fn owned_by(set: &StatefulSet) -> Value {
    json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name_any(), "uid": set.uid(), "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// A pod of a set, as its controller makes it.
pub fn pod(set: &StatefulSet, name: &str, ordinal: i32) -> Value {
    let spec = set.spec.as_ref().unwrap();
    let mut pod = json!(spec.template);
    let meta = &mut pod["metadata"];
    meta["name"] = json!(name);
    meta["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
    meta["labels"]["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    meta["labels"]["controller-revision-hash"] = json!(revision(set));
    meta["ownerReferences"] = owned_by(set);
    pod["spec"]["nodeName"] = json!("node-1");
    pod["spec"]["hostname"] = json!(name);
    if let Some(service) = spec.service_name.as_deref().filter(|service| !service.is_empty()) {
        pod["spec"]["subdomain"] = json!(service);
    }
    for template in spec.volume_claim_templates.iter().flatten() {
        let volume = template.name_any();
        if !pod["spec"]["volumes"].is_array() {
            pod["spec"]["volumes"] = json!([]);
        }
        let claim =
            json!({"name": volume, "persistentVolumeClaim": {"claimName": format!("{volume}-{name}")}});
        pod["spec"]["volumes"].as_array_mut().unwrap().push(claim);
    }
    pod
}

pub fn waiting(container: &Container, reason: &str, message: &str) -> Value {
    json!({
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        "containerStatuses": [{
            "name": container.name, "image": container.image, "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
        }],
    })
}

/// The status of a pod whose container keeps ending, and was ready before if it `served`.
pub fn crashed(pod: &Pod, served: bool) -> Value {
    let before = pod.status.clone().unwrap_or_default();
    let ready = before
        .conditions
        .into_iter()
        .flatten()
        .find(|one| one.type_ == "Ready");
    let changed = match ready.and_then(|one| one.last_transition_time) {
        _ if served => json!("2026-01-01T00:00:20Z"),
        Some(before) => json!(before),
        None => json!("2026-01-01T00:00:00Z"),
    };
    let mut status = waiting(
        &pod.spec.as_ref().unwrap().containers[0],
        "CrashLoopBackOff",
        "back-off",
    );
    status["podIP"] = json!(before.pod_ip);
    status["startTime"] = json!("2026-01-01T00:00:00Z");
    status["conditions"] = json!([{"type": "Ready", "status": "False", "lastTransitionTime": changed}]);
    status
}

/// A name server as the brokers of `namespace` see it: names without a dot are of that namespace.
pub fn in_namespace(server: &str, namespace: &str) -> String {
    match server.split_once(':') {
        Some((host, port)) if !host.contains('.') => format!("{host}.{namespace}.svc:{port}"),
        _ => server.to_owned(),
    }
}

/// What a pod's data is on: its claim, its node's folder, or nothing that outlives it.
pub fn disk(pod: &Pod) -> String {
    let volumes = pod.spec.iter().filter_map(|spec| spec.volumes.as_ref()).flatten();
    let lasting = volumes.into_iter().find_map(|volume| {
        let claim = volume
            .persistent_volume_claim
            .as_ref()
            .map(|claim| claim.claim_name.clone());
        let path = volume.host_path.as_ref();
        claim.or_else(|| path.map(|path| format!("{}/{}", path.path, pod.name_any())))
    });
    match lasting {
        Some(name) => format!("{}/{name}", pod.namespace().unwrap()),
        None => pod.uid().unwrap(),
    }
}
