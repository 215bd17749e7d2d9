//! When a StatefulSet may be written, and when a pod of it may be replaced: pure decisions.
//!
//! A pod that runs is never touched here. A set whose pods do not run serves nobody, so a change reaches it at once:
//! that is how the correction of a bad spec always heals.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use super::storage::Storage;
use crate::api::{ClaimRetention, Retention};
use crate::k8s::apply::hash;
use crate::k8s::labels::{CLAIMS, INTENT, Labels, MANAGED_BY, MANAGER};
use crate::k8s::{Target, pod};

/// What is to be done with one StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not there: make it.
    Create,
    /// It is what we want: keep it so, should somebody have edited it.
    Keep,
    /// It is not what we want and none of its pods runs: write it.
    Replace,
    /// As [`Verdict::Replace`], but a field differs that cannot be changed: delete it first.
    Recreate,
    /// It is not what we want, and its pods serve: report the change, touch nothing.
    Pending,
}

/// What differs between the StatefulSets of both kinds.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its own labels.
    pub labels: Labels,
    /// The selector of its pods.
    pub selector: Labels,
    /// The headless Service that names its pods.
    pub service: String,
    /// How many pods.
    pub replicas: i32,
    /// What happens to its claims.
    pub retention: Option<&'a ClaimRetention>,
}

/// The whole StatefulSet, with the hash of itself as its intent. How many pods there are and what happens to claims is no
/// part of the intent: both can be changed at any time and touch no pod that stays.
#[must_use]
pub fn stateful_set(
    target: &Target,
    shape: Shape<'_>,
    storage: &Storage,
    template: PodTemplateSpec,
) -> StatefulSet {
    let mut set = StatefulSet {
        metadata: target.meta(shape.name, shape.labels),
        spec: Some(StatefulSetSpec {
            selector: LabelSelector {
                match_labels: Some(shape.selector),
                match_expressions: None,
            },
            service_name: Some(shape.service),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            template,
            volume_claim_templates: storage.claim_templates(),
            ..StatefulSetSpec::default()
        }),
        status: None,
    };
    let intent = hash(&set);
    let spec = set.spec.get_or_insert_default();
    spec.replicas = Some(shape.replicas);
    spec.persistent_volume_claim_retention_policy = Some(retention(shape.retention));
    let claims = hash(&spec.volume_claim_templates);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(INTENT.to_owned(), intent);
    annotations.insert(CLAIMS.to_owned(), claims);
    set
}

fn retention(asked: Option<&ClaimRetention>) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let policy = |asked: Option<Retention>| Some(asked.unwrap_or_default().as_str().to_owned());
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: policy(asked.and_then(|asked| asked.when_deleted)),
        when_scaled: policy(asked.and_then(|asked| asked.when_scaled)),
    }
}

/// The hash of what was last wanted of a set, or `None` where another operator made it.
#[must_use]
pub fn intent(set: &StatefulSet) -> Option<&str> {
    set.annotations().get(INTENT).map(String::as_str)
}

/// What to do to make `desired` true, given the set as it is and its pods.
#[must_use]
pub fn verdict(desired: &StatefulSet, live: Option<&StatefulSet>, pods: &[Arc<Pod>]) -> Verdict {
    let Some(live) = live else { return Verdict::Create };
    match intent(live) {
        // Ours, but somebody took the annotation away: it is put back with the rest.
        None if live
            .labels()
            .get(MANAGED_BY)
            .is_some_and(|manager| manager == MANAGER) =>
        {
            Verdict::Keep
        }
        None => Verdict::Pending,
        same if same == intent(desired) => Verdict::Keep,
        Some(_) if pods.iter().all(|pod| pod::broken(pod)) => {
            if same_claims(desired, live) {
                Verdict::Replace
            } else {
                Verdict::Recreate
            }
        }
        Some(_) => Verdict::Pending,
    }
}

/// Whether the claim templates are the same, so that the set can be changed in place. Sets from before the operator noted
/// what it made them with are compared by what users mostly say in them.
#[must_use]
pub fn same_claims(desired: &StatefulSet, live: &StatefulSet) -> bool {
    let noted = |set: &StatefulSet| set.annotations().get(CLAIMS).cloned();
    if let (Some(desired), Some(live)) = (noted(desired), noted(live)) {
        return desired == live;
    }
    let of = |set: &StatefulSet| {
        let claims = set
            .spec
            .iter()
            .filter_map(|spec| spec.volume_claim_templates.clone())
            .flatten();
        claims.map(|claim| said(&claim)).collect::<Vec<_>>()
    };
    of(desired) == of(live)
}

/// Name, class, access modes and size of a claim, as text.
fn said(claim: &PersistentVolumeClaim) -> Vec<String> {
    let spec = claim.spec.clone().unwrap_or_default();
    let requests = spec
        .resources
        .and_then(|resources| resources.requests)
        .unwrap_or_default();
    let mut said = vec![
        claim.metadata.name.clone().unwrap_or_default(),
        spec.storage_class_name.unwrap_or_default(),
    ];
    said.extend(spec.access_modes.unwrap_or_default());
    said.extend(requests.get("storage").map(|size| size.0.clone()));
    said
}

/// The revision of the set's template, if Kubernetes has taken note of the set as it is.
#[must_use]
pub fn newest_revision(live: &StatefulSet) -> Option<&str> {
    let status = live.status.as_ref()?;
    (status.observed_generation >= live.metadata.generation)
        .then_some(status.update_revision.as_deref())
        .flatten()
}

/// Whether the pod was made from another template than the one of that revision.
#[must_use]
pub fn outdated(pod: &Pod, newest: &str) -> bool {
    pod::revision(pod).is_some_and(|revision| revision != newest)
}

/// A pod that was made from an older template than the set's and does not run: it is replaced without waiting for
/// anything, as a StatefulSet with `OnDelete` never does.
#[must_use]
pub fn outdated_broken<'a>(live: &StatefulSet, pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
    let newest = newest_revision(live)?;
    pods.iter().find(|pod| pod::broken(pod) && outdated(pod, newest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(intent: Option<&str>, class: &str) -> StatefulSet {
        let annotations = intent.map_or_else(|| json!({}), |intent| json!({ INTENT: intent }));
        serde_json::from_value(json!({
            "metadata": {"name": "b", "generation": 2, "annotations": annotations},
            "spec": {"selector": {}, "template": {}, "volumeClaimTemplates": [
                {"metadata": {"name": "data"}, "spec": {"storageClassName": class}}]},
            "status": {"replicas": 1, "observedGeneration": 2, "updateRevision": "new"}}))
        .unwrap()
    }

    fn pod(state: &serde_json::Value, revision: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": "b-0", "labels": {"controller-revision-hash": revision}},
                "status": {"containerStatuses": [{"name": "broker", "image": "x", "imageID": "", "ready": false,
                    "restartCount": 0, "state": state}]}}))
            .unwrap(),
        )
    }

    fn running() -> Arc<Pod> {
        pod(&json!({"running": {}}), "old")
    }

    fn failing() -> Arc<Pod> {
        pod(&json!({"waiting": {"reason": "ImagePullBackOff"}}), "old")
    }

    #[test]
    fn a_change_waits_while_a_pod_runs_and_reaches_a_broken_one_at_once() {
        let (desired, live) = (set(Some("2"), "a"), set(Some("1"), "a"));
        assert_eq!(
            Verdict::Pending,
            verdict(&desired, Some(&live), &[running(), failing()])
        );
        assert_eq!(Verdict::Replace, verdict(&desired, Some(&live), &[failing()]));
        assert_eq!(Verdict::Replace, verdict(&desired, Some(&live), &[]));
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_made_anew_only_when_nothing_runs() {
        let (desired, live) = (set(Some("2"), "b"), set(Some("1"), "a"));
        assert_eq!(Verdict::Recreate, verdict(&desired, Some(&live), &[failing()]));
        assert_eq!(Verdict::Pending, verdict(&desired, Some(&live), &[running()]));
    }

    #[test]
    fn an_equal_set_is_kept_and_one_of_another_operator_left_alone() {
        assert_eq!(
            Verdict::Keep,
            verdict(&set(Some("1"), "a"), Some(&set(Some("1"), "a")), &[running()])
        );
        assert_eq!(
            Verdict::Pending,
            verdict(&set(Some("1"), "a"), Some(&set(None, "a")), &[failing()])
        );
        assert_eq!(Verdict::Create, verdict(&set(Some("1"), "a"), None, &[]));
    }

    #[test]
    fn a_set_of_ours_that_lost_its_annotation_is_mended_not_taken_for_somebody_elses() {
        let mut stripped = set(None, "a");
        stripped.metadata.labels = Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into());
        assert_eq!(
            Verdict::Keep,
            verdict(&set(Some("1"), "a"), Some(&stripped), &[running()])
        );
    }

    #[test]
    fn only_a_pod_of_an_older_template_that_does_not_run_is_replaced() {
        let live = set(Some("1"), "a");
        assert!(outdated_broken(&live, &[failing()]).is_some());
        assert!(outdated_broken(&live, &[running()]).is_none());
        assert!(outdated_broken(&live, &[pod(&json!({"waiting": {}}), "new")]).is_none());
        let mut unseen = live;
        unseen.metadata.generation = Some(3);
        assert!(outdated_broken(&unseen, &[failing()]).is_none());
    }
}
