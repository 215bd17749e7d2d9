//! Making volumes larger: the claims of a StatefulSet are asked for more, which restarts nothing. Whether a class can do that
//! the API server says; nothing is ever made smaller.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::claims::{self, Claims, Growth};
use crate::context::Context;
use crate::error::Error;
use crate::k8s::FIELD_MANAGER;

/// What came of asking for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grown {
    /// Every claim asks for what is wanted.
    All,
    /// One cannot: why, and what the user can do.
    Not(String),
}

/// Asks for what `desired` wants of the claims of `live`, where that is more than they ask for now.
pub async fn claims(ctx: &Context, desired: &StatefulSet, live: &StatefulSet) -> Result<Grown, Error> {
    if claims::compare(desired, live) != Claims::Grown {
        return Ok(Grown::All);
    }
    let replicas = live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    for growth in claims::growths(desired, live) {
        for ordinal in 0..replicas {
            let name = format!("{}-{}-{ordinal}", growth.claim, live.name_any());
            if let Grown::Not(why) = claim(ctx, live, &name, &growth).await? {
                return Ok(Grown::Not(why));
            }
        }
    }
    Ok(Grown::All)
}

async fn claim(ctx: &Context, set: &StatefulSet, name: &str, growth: &Growth) -> Result<Grown, Error> {
    let namespace = set.namespace().unwrap_or_default();
    let what = format!("PersistentVolumeClaim {namespace}/{name}");
    let api = Api::<PersistentVolumeClaim>::namespaced(ctx.client.clone(), &namespace);
    let found = api
        .get_opt(name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    // One that is not there is made from the new template.
    let Some(found) = found.filter(|found| !claims::has(found, &growth.size)) else {
        return Ok(Grown::All);
    };
    if !is_bound(&found) {
        return Ok(Grown::Not(format!(
            "claim {name} cannot grow to {} before it is bound to a volume; kubectl describe pvc {name} tells what it waits for",
            growth.size.0
        )));
    }
    let patch = json!({
        "metadata": {"uid": found.uid(), "resourceVersion": found.resource_version()},
        "spec": {"resources": {"requests": {"storage": growth.size}}},
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch(name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => {
            tracing::info!(
                claim = name,
                namespace,
                size = growth.size.0,
                "a volume is to grow"
            );
            Ok(Grown::All)
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
            Ok(Grown::Not(refused(&found, name, growth, &status)))
        }
        Err(err) => Err(Error::kube(format!("grow {what}"))(err)),
    }
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Bound")
}

fn refused(claim: &PersistentVolumeClaim, name: &str, growth: &Growth, status: &Status) -> String {
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    format!(
        "claim {name} cannot grow to {}: {}; set allowVolumeExpansion: true on StorageClass {:?} if its provisioner can grow \
         volumes, or put the size in spec.volumeClaimTemplates back",
        growth.size.0,
        status.message,
        class.unwrap_or_default()
    )
}
