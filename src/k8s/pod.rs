//! What a pod tells about itself: where it is, whether it serves, and what keeps it from starting.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt;

use super::labels;

/// Why a pod does not start, in words for a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word for the condition's reason.
    pub reason: &'static str,
    /// What is wrong with which pod, and what the user can do. Stable as long as the cause is.
    pub message: String,
}

/// The names a kind gives to the fields that a pod's trouble may come from.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The field that holds the container image.
    pub image: &'static str,
    /// The StorageClass that the first claim template names, if there is one.
    pub storage_class: Option<&'a str>,
}

/// Whether the pod's Ready condition is true and it is not on its way out.
#[must_use]
pub fn ready(pod: &Pod) -> bool {
    !deleting(pod) && condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

/// Whether the pod is being deleted.
#[must_use]
pub fn deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// The pod's address, once it has one.
#[must_use]
pub fn ip(pod: &Pod) -> Option<&str> {
    pod.status
        .as_ref()
        .and_then(|status| status.pod_ip.as_deref())
        .filter(|ip| !ip.is_empty())
}

/// The port of that name that a container of the pod opens.
#[must_use]
pub fn port(pod: &Pod, name: &str) -> Option<i32> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let found = ports.find(|port| port.name.as_deref() == Some(name));
    found.map(|port| port.container_port)
}

/// The revision of the template that the pod was made from.
#[must_use]
pub fn revision(pod: &Pod) -> Option<&str> {
    pod.labels().get(labels::REVISION).map(String::as_str)
}

/// Whether the pod was ready at some time: the kubelet notes both moments at first, and the later one anew whenever that changes.
#[must_use]
pub fn was_ready(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let ready = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| {
        let changed = ready
            .last_transition_time
            .as_ref()
            .zip(status.start_time.as_ref());
        ready.status == "True"
            || changed.is_some_and(|(changed, start)| changed.0.as_second() - start.0.as_second() > 1)
    })
}

/// Whether none of the pod's containers runs: such a pod serves nobody, so replacing it costs nothing.
#[must_use]
pub fn broken(pod: &Pod) -> bool {
    !deleting(pod)
        && !containers(pod).any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status
        .iter()
        .filter_map(|status| status.container_statuses.as_ref())
        .flatten()
}

fn init_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status
        .iter()
        .filter_map(|status| status.init_container_statuses.as_ref())
        .flatten()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<(&'a str, Option<&'a str>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .map(|condition| (condition.status.as_str(), condition.message.as_deref()))
}

/// What keeps the pod from starting, if anything does that a user should know of.
#[must_use]
pub fn trouble(pod: &Pod, fields: Fields<'_>) -> Option<Trouble> {
    if deleting(pod) {
        return None;
    }
    unschedulable(pod, fields).or_else(|| {
        init_containers(pod)
            .chain(containers(pod))
            .find_map(|status| stuck(pod, status, fields))
    })
}

fn unschedulable(pod: &Pod, fields: Fields<'_>) -> Option<Trouble> {
    let (status, message) = condition(pod, "PodScheduled")?;
    if status != "False" {
        return None;
    }
    let said = message.unwrap_or("no reason given");
    let volumes = ["storageclass", "persistentvolumeclaim", "persistent volume"];
    let about_volumes = volumes.iter().any(|word| said.to_lowercase().contains(word));
    let remedy = match fields.storage_class {
        Some(class) if about_volumes => format!(
            "create StorageClass {class:?} or name another in spec.volumeClaimTemplates; kubectl describe pvc tells more"
        ),
        None if about_volumes => {
            "look at the volume claims (kubectl describe pvc) and at spec.volumeClaimTemplates".to_owned()
        }
        _ => "look at spec.resources, spec.affinity, spec.nodeSelector and spec.tolerations".to_owned(),
    };
    Some(Trouble {
        reason: "Unschedulable",
        message: format!("pod {} cannot be scheduled: {said}; {remedy}", pod.name_any()),
    })
}

fn stuck(pod: &Pod, status: &ContainerStatus, fields: Fields<'_>) -> Option<Trouble> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let name = pod.name_any();
    let said = waiting.message.as_deref().unwrap_or("no message");
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
        | "ImageInspectError" => Some(Trouble {
            reason: "ImagePullFailed",
            message: format!(
                "pod {name} cannot pull image {:?}; check {} (name and tag), spec.imagePullPolicy and spec.imagePullSecrets",
                status.image, fields.image
            ),
        }),
        "CreateContainerConfigError" => Some(Trouble {
            reason: "ContainerConfigError",
            message: format!(
                "pod {name} cannot start: {said}; create what is missing, or correct spec.env and spec.volumes"
            ),
        }),
        "CreateContainerError" | "RunContainerError" | "StartError" => Some(Trouble {
            reason: "ContainerStartError",
            message: format!("pod {name} cannot start: {said}; check {}", fields.image),
        }),
        "CrashLoopBackOff" => Some(Trouble {
            reason: "CrashLoop",
            message: format!(
                "container {} of pod {name} keeps ending{}; see kubectl logs {name} -c {} --previous",
                status.name,
                last_words(status.last_state.as_ref()),
                status.name
            ),
        }),
        _ => None,
    }
}

fn last_words(last: Option<&ContainerState>) -> String {
    let Some(terminated) = last.and_then(|state| state.terminated.as_ref()) else {
        return String::new();
    };
    let reason = terminated.reason.as_deref().unwrap_or("Error");
    let line = terminated
        .message
        .as_deref()
        .and_then(|message| message.lines().rev().find(|line| !line.trim().is_empty()))
        .map(|line| format!(", last words: {}", line.trim()))
        .unwrap_or_default();
    format!(" ({reason}, exit code {}{line})", terminated.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: Fields<'_> = Fields {
        image: "spec.brokerImage",
        storage_class: Some("nope"),
    };

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "broker-0-master-0"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str) -> Pod {
        pod(&json!({"containerStatuses": [{
            "name": "broker", "image": "rocketmq:typo", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "changes each time"}}}]}))
    }

    #[test]
    fn a_failed_pull_reads_the_same_whether_it_just_failed_or_backs_off() {
        let failed = trouble(&waiting("ErrImagePull"), FIELDS).unwrap();
        assert_eq!(
            Some(&failed),
            trouble(&waiting("ImagePullBackOff"), FIELDS).as_ref()
        );
        assert!(
            failed.message.contains("spec.brokerImage") && failed.message.contains("rocketmq:typo"),
            "{failed:?}"
        );
    }

    #[test]
    fn a_missing_storage_class_is_named_with_its_remedy() {
        let pending = pod(&json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"}]}));
        let trouble = trouble(&pending, FIELDS).unwrap();
        assert!(
            trouble.message.contains("create StorageClass \"nope\""),
            "{trouble:?}"
        );
    }

    #[test]
    fn a_pod_is_broken_only_when_no_container_runs() {
        assert!(broken(&waiting("ContainerCreating")));
        let running = pod(&json!({"containerStatuses": [{
            "name": "broker", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"running": {}}}]}));
        assert!(!broken(&running));
    }

    #[test]
    fn a_pod_was_ready_if_it_is_or_stopped_being_so() {
        let of = |ready: &str, changed: &str| {
            pod(&json!({"startTime": "2026-01-01T00:00:10Z", "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": changed}]}))
        };
        assert!(was_ready(&of("True", "2026-01-01T00:00:20Z")));
        assert!(was_ready(&of("False", "2026-01-01T00:00:20Z")));
        assert!(!was_ready(&of("False", "2026-01-01T00:00:11Z")));
        assert!(!was_ready(&pod(&json!({}))));
    }

    #[test]
    fn a_pod_that_is_merely_starting_is_no_trouble() {
        assert_eq!(None, trouble(&waiting("ContainerCreating"), FIELDS));
        assert_eq!(None, trouble(&pod(&json!({})), FIELDS));
    }
}
