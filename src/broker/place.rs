//! Where the messages of a broker are, and whether they are still there when its pod is made anew.

use k8s_openapi::api::core::v1::{Pod, Volume};
use kube::ResourceExt;

use super::observe::Seen;
use super::valid::Valid;
use crate::k8s::pod;
use crate::workload::pin;
use crate::workload::storage::Medium;

/// Why a broker's store does not outlive its pod, as words that go on "its messages are ..."; none if it does. What the pod runs
/// on counts, and what the next one is to run on.
#[must_use]
pub fn lost_with_pod(valid: &Valid, seen: &Seen) -> Option<String> {
    let pod = seen.pod.as_deref();
    let volume = pod.and_then(|pod| data_volume(valid, pod));
    let path = volume.and_then(|volume| Some(volume.host_path.as_ref()?.path.as_str()));
    let claim = volume.is_some_and(|volume| volume.persistent_volume_claim.is_some());
    if volume.is_some_and(|volume| volume.empty_dir.is_some()) {
        return Some("in an emptyDir, which goes with its pod".to_owned());
    }
    match &valid.storage.medium {
        Medium::Claims(_) if path.is_none() => None,
        Medium::HostPath(wanted) if path.is_none_or(|path| path == wanted) && !claim => moves(valid, pod),
        Medium::EmptyDir if volume.is_none() => Some("in an emptyDir, which goes with its pod".to_owned()),
        _ => Some(
            "where the spec does not look for them any more (spec.storageMode, spec.hostPath)".to_owned(),
        ),
    }
}

/// Why a pod with a folder on the disk of its node may come back on another one.
fn moves(valid: &Valid, pod: Option<&Pod>) -> Option<String> {
    let Some(wanted) = valid.pinned_to() else {
        let why = "on the disk of a node that the spec does not pin it to (spec.nodeSelector)";
        return Some(why.to_owned());
    };
    let spec = pod?.spec.as_ref()?;
    let node = spec.node_name.as_deref()?;
    let was = pin::node(spec.node_selector.as_ref(), spec.affinity.as_ref());
    let stays = was == Some(wanted) || node == wanted;
    (!stays).then(|| format!("on the disk of node {node}, and the spec moves it to {wanted}"))
}

fn data_volume<'a>(valid: &Valid, pod: &'a Pod) -> Option<&'a Volume> {
    let mut volumes = pod.spec.as_ref()?.volumes.as_ref()?.iter();
    volumes.find(|volume| volume.name == valid.storage.volume)
}

/// Whether there may be messages in a store that goes with its pod: there are none in one whose broker never served.
#[must_use]
pub fn may_hold_messages(seen: &Seen) -> bool {
    seen.pod.as_deref().is_some_and(pod::was_ready)
}

/// Whether the user gives up what a master holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// No, or not what this pod holds.
    No,
    /// An earlier pod of that name was meant, which is gone.
    Spent,
    /// This pod is meant, which is still to be remembered.
    Now,
    /// This pod was meant.
    Yes,
}

/// What the annotation says of a master's pod as it is.
#[must_use]
pub fn accepted(valid: &Valid, seen: &Seen) -> Accepted {
    let pod = seen.member.pod_name(&valid.name);
    if valid.accepts_loss.as_deref() != Some(pod.as_str()) {
        return Accepted::No;
    }
    let uid = seen.pod.as_deref().and_then(ResourceExt::uid).unwrap_or_default();
    match &valid.accepted_loss {
        Some(before) if before.pod == pod && before.uid == uid => Accepted::Yes,
        Some(before) if before.pod == pod => Accepted::Spent,
        _ => Accepted::Now,
    }
}
