//! The deletes: of a pod that does not run or is to be restarted, of a StatefulSet that must be made anew, and of one that
//! leaves for good. Each reads again first and carries preconditions, so that it never hits what has changed meanwhile.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Resource, ResourceExt};

use crate::api::Retention;
use crate::context::Context;
use crate::error::Error;
use crate::k8s::pod;
use crate::workload::set;

fn exactly<K: Resource>(object: &K) -> DeleteParams {
    let meta = object.meta();
    DeleteParams::default().preconditions(Preconditions {
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
    })
}

/// Whether a delete did its work: an object that is gone, or changed since it was read, is looked at again later.
fn done<T>(result: kube::Result<T>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        Err(err) => Err(err),
    }
}

/// Deletes a pod that still does not run, so that its StatefulSet makes it from the newest template.
pub async fn broken_pod(ctx: &Context, seen: &Pod) -> Result<bool, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let what = format!("pod {namespace}/{name}");
    let api = Api::<Pod>::namespaced(ctx.client.clone(), &namespace);
    let fresh = api
        .get_opt(&name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    let Some(fresh) = fresh.filter(|fresh| fresh.uid() == seen.uid() && pod::broken(fresh)) else {
        return Ok(false);
    };
    tracing::info!(
        pod = name,
        namespace,
        "replacing a pod that does not run and was made from an older template"
    );
    done(api.delete(&name, &exactly(&fresh)).await).map_err(Error::kube(format!("delete {what}")))
}

/// Deletes a pod that runs, to be made anew from the newest template; if it is still that very pod.
pub async fn running_pod(ctx: &Context, seen: &Pod) -> Result<bool, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let what = format!("pod {namespace}/{name}");
    let api = Api::<Pod>::namespaced(ctx.client.clone(), &namespace);
    let exactly = DeleteParams::default().preconditions(Preconditions {
        uid: seen.uid(),
        resource_version: None,
    });
    tracing::info!(pod = name, namespace, "restarting a pod to carry out a change");
    done(api.delete(&name, &exactly).await).map_err(Error::kube(format!("delete {what}")))
}

/// Deletes a pod that may run, so that its StatefulSet makes it from the newest template: the caller has made sure that it
/// can be spared. Nothing is done if the set or the pod is no longer what the caller decided upon.
pub async fn outdated_pod(ctx: &Context, set: &StatefulSet, seen: &Pod) -> Result<bool, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let set_name = set.name_any();
    let sets = Api::<StatefulSet>::namespaced(ctx.client.clone(), &namespace);
    let fresh = sets
        .get_opt(&set_name)
        .await
        .map_err(Error::kube(format!("read StatefulSet {namespace}/{set_name}")))?;
    let newest = fresh.as_ref().filter(|fresh| fresh.uid() == set.uid());
    let Some(newest) = newest.and_then(set::newest_revision) else {
        return Ok(false);
    };
    let what = format!("pod {namespace}/{name}");
    let api = Api::<Pod>::namespaced(ctx.client.clone(), &namespace);
    let fresh = api
        .get_opt(&name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    let same =
        |fresh: &Pod| fresh.uid() == seen.uid() && !pod::deleting(fresh) && set::outdated(fresh, newest);
    let Some(fresh) = fresh.filter(same) else {
        return Ok(false);
    };
    tracing::info!(
        pod = name,
        namespace,
        "restarting a pod that was made from an older template"
    );
    done(api.delete(&name, &exactly(&fresh)).await).map_err(Error::kube(format!("delete {what}")))
}

/// Deletes a StatefulSet whose pods do not run and whose claim templates must change, with the claims of its pods that
/// were never bound and so hold nothing. The next reconcile makes it anew. Nothing is done where a pod may have written
/// something: it needed all of its claims to run, so one that is not bound tells that it never did; without claims only
/// `ran` tells whether any did.
pub async fn set(ctx: &Context, seen: &StatefulSet, ran: bool) -> Result<bool, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let what = format!("StatefulSet {namespace}/{name}");
    let api = Api::<StatefulSet>::namespaced(ctx.client.clone(), &namespace);
    let fresh = api
        .get_opt(&name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    let Some(fresh) = fresh.filter(|fresh| fresh.uid() == seen.uid()) else {
        return Ok(false);
    };
    let mut unbound = Vec::new();
    for names in claim_names_by_pod(&fresh) {
        let mut claims = Vec::new();
        for name in &names {
            claims.extend(claim(ctx, &namespace, name).await?);
        }
        let may_have_run = match names.as_slice() {
            [] => ran,
            _ => !claims.is_empty() && !claims.iter().any(is_unbound),
        };
        if may_have_run {
            return Ok(false);
        }
        unbound.extend(claims.into_iter().filter(is_unbound));
    }
    for claim in &unbound {
        unbound_claim(ctx, &namespace, claim).await?;
    }
    tracing::info!(
        set = name,
        namespace,
        "making a StatefulSet anew whose claim templates changed before any pod ran"
    );
    done(api.delete(&name, &exactly(&fresh)).await).map_err(Error::kube(format!("delete {what}")))
}

/// Deletes a StatefulSet for good, once its claims are owned as `then` says: the garbage collector takes those that it
/// owns. Its `whenDeleted` has to say so already; the StatefulSet controller makes the owner references follow. Whether
/// the set is on its way out.
pub async fn retired_set(ctx: &Context, seen: &StatefulSet, then: Retention) -> Result<bool, Error> {
    let (namespace, name) = (seen.namespace().unwrap_or_default(), seen.name_any());
    let what = format!("StatefulSet {namespace}/{name}");
    let api = Api::<StatefulSet>::namespaced(ctx.client.clone(), &namespace);
    let fresh = api
        .get_opt(&name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    let Some(fresh) = fresh.filter(|fresh| fresh.uid() == seen.uid()) else {
        return Ok(false);
    };
    let policy = fresh
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref())
        .and_then(|policy| policy.when_deleted.as_deref());
    let claims = claim_names(&fresh);
    if !claims.is_empty() && policy.unwrap_or(Retention::Retain.as_str()) != then.as_str() {
        return Ok(false);
    }
    for claim in claims {
        if !follows(ctx, &fresh, &claim, then).await? {
            return Ok(false);
        }
    }
    tracing::info!(set = name, namespace, "a broker leaves: deleting its StatefulSet");
    done(api.delete(&name, &exactly(&fresh)).await).map_err(Error::kube(format!("delete {what}")))
}

/// Whether a claim is owned by the set exactly if it is to go with it; one that is gone follows too.
async fn follows(ctx: &Context, set: &StatefulSet, claim: &str, then: Retention) -> Result<bool, Error> {
    let namespace = set.namespace().unwrap_or_default();
    let found = self::claim(ctx, &namespace, claim).await?;
    Ok(found.is_none_or(|claim| {
        let owned = claim
            .owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref());
        owned == (then == Retention::Delete)
    }))
}

fn claim_names(set: &StatefulSet) -> Vec<String> {
    claim_names_by_pod(set).concat()
}

fn claim_names_by_pod(set: &StatefulSet) -> Vec<Vec<String>> {
    let Some(spec) = &set.spec else { return Vec::new() };
    let of_pod = |ordinal: i32| {
        let templates = spec.volume_claim_templates.iter().flatten();
        let names = templates.map(|claim| format!("{}-{}-{ordinal}", claim.name_any(), set.name_any()));
        names.collect()
    };
    (0..spec.replicas.unwrap_or(1)).map(of_pod).collect()
}

async fn claim(ctx: &Context, namespace: &str, name: &str) -> Result<Option<PersistentVolumeClaim>, Error> {
    let api = Api::<PersistentVolumeClaim>::namespaced(ctx.client.clone(), namespace);
    let found = api.get_opt(name).await;
    found.map_err(Error::kube(format!(
        "read PersistentVolumeClaim {namespace}/{name}"
    )))
}

fn is_unbound(claim: &PersistentVolumeClaim) -> bool {
    let bound = claim
        .spec
        .as_ref()
        .is_some_and(|spec| spec.volume_name.as_ref().is_some_and(|name| !name.is_empty()));
    !bound && claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending")
}

async fn unbound_claim(ctx: &Context, namespace: &str, claim: &PersistentVolumeClaim) -> Result<(), Error> {
    let name = claim.name_any();
    let api = Api::<PersistentVolumeClaim>::namespaced(ctx.client.clone(), namespace);
    let what = format!("delete PersistentVolumeClaim {namespace}/{name}");
    done(api.delete(&name, &exactly(claim)).await).map_err(Error::kube(what))?;
    Ok(())
}
