//! When a StatefulSet may be written, and when a pod of it may be replaced: pure decisions.
//!
//! A pod that runs is never touched here. A set whose pods do not run serves nobody, so a change reaches it at once:
//! that is how the correction of a bad spec always heals.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use super::claims::{self, Claims};
use super::storage::Storage;
use crate::api::{ClaimRetention, Retention};
use crate::k8s::apply::hash;
use crate::k8s::labels::{AS_FOUND, CLAIMS, INTENT, Labels, MANAGED_BY, MANAGER, TAKEN_OVER};
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
    /// As [`Verdict::Replace`], but its claims differ in more than size: it is deleted first, if its volumes hold nothing.
    Recreate,
    /// It is not what we want, and its pods serve: report the change, touch nothing.
    Pending,
    /// The Go operator made it: note that it is ours now, and leave all that its pods are made from.
    TakeOver,
    /// It is as the Go operator made it, and nothing else was asked for since: leave it.
    AsFound,
    /// A field differs that cannot be changed, and none that its pods are made from, or they do not run: make it anew around
    /// its pods, which stay.
    Remake,
    /// As [`Verdict::Pending`], but a field differs that cannot be changed: when it may be written it is made anew around its
    /// pods.
    PendingRemake,
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
    let intent = bare_hash(&set);
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

/// The hash of a set without what is no part of the intent.
fn bare_hash(set: &StatefulSet) -> String {
    let mut bare = set.clone();
    bare.metadata.annotations = None;
    if let Some(spec) = &mut bare.spec {
        spec.replicas = None;
        spec.persistent_volume_claim_retention_policy = None;
    }
    hash(&bare)
}

/// Whether its pods are still made from the template of the Go operator.
#[must_use]
pub fn is_as_found(set: &StatefulSet) -> bool {
    set.annotations()
        .get(TAKEN_OVER)
        .is_some_and(|state| state == AS_FOUND)
}

/// Whether another operator made it, and nobody noted yet that it is ours.
#[must_use]
pub fn is_unnoted(set: &StatefulSet) -> bool {
    intent(set).is_none()
        && set
            .labels()
            .get(MANAGED_BY)
            .is_none_or(|manager| manager != MANAGER)
}

/// What to do to make `desired` true, given the set as it is and its pods.
#[must_use]
pub fn verdict(desired: &StatefulSet, live: Option<&StatefulSet>, pods: &[Arc<Pod>]) -> Verdict {
    let Some(live) = live else { return Verdict::Create };
    let broken = || pods.iter().all(|pod| pod::broken(pod));
    match intent(live) {
        None if is_unnoted(live) => {
            if selector(desired) == selector(live) {
                Verdict::TakeOver
            } else {
                Verdict::Pending
            }
        }
        // As below, and its template is not ours.
        None if is_as_found(live) => Verdict::TakeOver,
        // Ours, but somebody took the annotation away: it is put back with the rest.
        None => Verdict::Keep,
        same if same == intent(desired) => {
            if is_as_found(live) {
                Verdict::AsFound
            } else {
                Verdict::Keep
            }
        }
        Some(_) => changed(desired, live, broken()),
    }
}

fn changed(desired: &StatefulSet, live: &StatefulSet, broken: bool) -> Verdict {
    match claims::compare(desired, live) {
        Claims::Same if is_as_found(live) && broken => Verdict::Remake,
        Claims::Same if broken => Verdict::Replace,
        Claims::Grown if broken => Verdict::Remake,
        Claims::Shrunk | Claims::Other if broken => Verdict::Recreate,
        Claims::Same if !is_as_found(live) => Verdict::Pending,
        Claims::Grown if !is_as_found(live) && only_sizes_differ(desired, live) => Verdict::Remake,
        _ => Verdict::PendingRemake,
    }
}

/// Whether the set would be what we want if volumes had the size that is asked for now.
fn only_sizes_differ(desired: &StatefulSet, live: &StatefulSet) -> bool {
    let mut before = desired.clone();
    if let Some(spec) = &mut before.spec {
        spec.volume_claim_templates = claims::with_sizes_of(desired, live);
    }
    intent(live) == Some(bare_hash(&before).as_str())
}

fn selector(set: &StatefulSet) -> Option<&Labels> {
    set.spec.as_ref()?.selector.match_labels.as_ref()
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
        assert_eq!(
            Verdict::PendingRemake,
            verdict(&desired, Some(&live), &[running()])
        );
    }

    #[test]
    fn a_set_of_the_go_operator_is_noted_left_as_it_is_and_made_anew_when_something_is_asked_for() {
        let desired = set(Some("1"), "a");
        assert_eq!(
            Verdict::TakeOver,
            verdict(&desired, Some(&set(None, "a")), &[running()])
        );
        let mut noted = set(Some("1"), "a");
        let annotations = noted.metadata.annotations.as_mut().unwrap();
        annotations.insert(TAKEN_OVER.to_owned(), AS_FOUND.to_owned());
        assert_eq!(Verdict::AsFound, verdict(&desired, Some(&noted), &[failing()]));
        let mut stripped = noted.clone();
        stripped.metadata.annotations.as_mut().unwrap().remove(INTENT);
        stripped.metadata.labels = Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into());
        assert_eq!(
            Verdict::TakeOver,
            verdict(&desired, Some(&stripped), &[running()])
        );
        let desired = set(Some("2"), "a");
        assert_eq!(
            Verdict::PendingRemake,
            verdict(&desired, Some(&noted), &[running()])
        );
        assert_eq!(Verdict::Remake, verdict(&desired, Some(&noted), &[failing()]));
    }

    #[test]
    fn an_equal_set_is_kept_and_one_of_another_operator_left_alone() {
        assert_eq!(
            Verdict::Keep,
            verdict(&set(Some("1"), "a"), Some(&set(Some("1"), "a")), &[running()])
        );
        let mut of_others = set(None, "a");
        of_others.spec.as_mut().unwrap().selector.match_labels =
            Some([("app".into(), "theirs".into())].into());
        assert_eq!(
            Verdict::Pending,
            verdict(&set(Some("1"), "a"), Some(&of_others), &[failing()])
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
