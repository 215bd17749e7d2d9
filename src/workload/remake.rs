//! StatefulSets that cannot be changed in place while their pods run: one that the Go operator made is noted as ours, and one
//! whose immutable fields must change is deleted around its pods, which live on and belong to the next one of that name.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::claims::{self, Claims};
use super::set;
use crate::api::Retention;
use crate::context::Context;
use crate::error::Error;
use crate::k8s::FIELD_MANAGER;
use crate::k8s::labels::{AS_FOUND, CLAIMS, TAKEN_OVER};

/// The set as it is now, if it is still the one that was seen and is to stay.
async fn fresh(api: &Api<StatefulSet>, seen: &StatefulSet, what: &str) -> Result<Option<StatefulSet>, Error> {
    let fresh = api
        .get_opt(&seen.name_any())
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    Ok(fresh.filter(|fresh| fresh.uid() == seen.uid() && fresh.metadata.deletion_timestamp.is_none()))
}

fn place(ctx: &Context, seen: &StatefulSet) -> (Api<StatefulSet>, String) {
    let namespace = seen.namespace().unwrap_or_default();
    let what = format!("StatefulSet {namespace}/{}", seen.name_any());
    (Api::namespaced(ctx.client.clone(), &namespace), what)
}

/// A merge patch of the set as it was read: should it have changed since, nothing is done, and it is looked at again.
async fn patch(
    api: &Api<StatefulSet>,
    fresh: &StatefulSet,
    mut change: Value,
    what: &str,
) -> Result<(), Error> {
    if let Some(change) = change.as_object_mut() {
        let metadata = change.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("uid".to_owned(), json!(fresh.uid()));
            metadata.insert("resourceVersion".to_owned(), json!(fresh.resource_version()));
        }
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&fresh.name_any(), &params, &Patch::Merge(&change))
        .await
    {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(drop).map_err(Error::kube(format!("patch {what}"))),
    }
}

/// Notes on a set of the Go operator that it is ours, and what was wanted of it at that moment: labels and annotations. Its
/// template is untouched until something else is wanted.
pub async fn take_over(ctx: &Context, seen: &StatefulSet, desired: &StatefulSet) -> Result<(), Error> {
    let (api, what) = place(ctx, seen);
    let unnoted = |fresh: &StatefulSet| set::intent(fresh).is_none();
    let Some(fresh) = fresh(&api, seen, &what).await?.filter(unnoted) else {
        return Ok(());
    };
    let mut annotations = desired.annotations().clone();
    annotations.insert(TAKEN_OVER.to_owned(), AS_FOUND.to_owned());
    if claims::compare(desired, &fresh) != Claims::Same {
        // The spec asked for other claims before: then they are compared one by one later.
        annotations.remove(CLAIMS);
    }
    tracing::info!(
        set = seen.name_any(),
        namespace = seen.namespace(),
        "taking over a StatefulSet of the Go operator, as it is"
    );
    let change = json!({"metadata": {"labels": desired.labels(), "annotations": annotations}});
    patch(&api, &fresh, change, &what).await
}

/// Changes how many pods a set has, and nothing else.
pub async fn scale(ctx: &Context, seen: &StatefulSet, replicas: i32) -> Result<(), Error> {
    let (api, what) = place(ctx, seen);
    match fresh(&api, seen, &what).await? {
        Some(fresh) => patch(&api, &fresh, json!({"spec": {"replicas": replicas}}), &what).await,
        None => Ok(()),
    }
}

/// Changes what becomes of a set's claims when it is deleted, and nothing else.
pub async fn when_deleted(ctx: &Context, seen: &StatefulSet, then: Retention) -> Result<(), Error> {
    let (api, what) = place(ctx, seen);
    let now = |set: &StatefulSet| {
        let policy = set
            .spec
            .as_ref()?
            .persistent_volume_claim_retention_policy
            .as_ref()?;
        policy.when_deleted.clone()
    };
    match fresh(&api, seen, &what).await? {
        Some(fresh) if now(&fresh).as_deref().unwrap_or(Retention::Retain.as_str()) != then.as_str() => {
            let policy = json!({"whenDeleted": then.as_str()});
            let change = json!({"spec": {"persistentVolumeClaimRetentionPolicy": policy}});
            patch(&api, &fresh, change, &what).await
        }
        _ => Ok(()),
    }
}

/// Deletes a set around its pods and claims: they stay, and belong to the next set of that name, which the next reconcile
/// makes. Nothing is done if it is no longer what was seen.
pub async fn around_pods(ctx: &Context, seen: &StatefulSet) -> Result<(), Error> {
    let (api, what) = place(ctx, seen);
    let Some(fresh) = fresh(&api, seen, &what).await? else {
        return Ok(());
    };
    tracing::info!(
        set = seen.name_any(),
        namespace = seen.namespace(),
        "making a StatefulSet anew around its pods"
    );
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let exactly = params.preconditions(Preconditions {
        uid: fresh.uid(),
        resource_version: fresh.resource_version(),
    });
    match api.delete(&fresh.name_any(), &exactly).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(drop).map_err(Error::kube(format!("delete {what}"))),
    }
}
