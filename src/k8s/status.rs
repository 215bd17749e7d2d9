//! Status writes: only what changed, with one event per cause.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{FIELD_MANAGER, conditions};
use crate::context::Context;
use crate::error::Error;

/// Now, in whole seconds, as conditions hold it.
#[must_use]
pub fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Writes `next` as the status of `object` if it differs from `before`.
pub async fn write<K, S>(ctx: &Context, object: &K, before: Option<&S>, next: &S) -> Result<bool, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize + PartialEq,
{
    if before == Some(next) {
        return Ok(false);
    }
    apply(ctx, object, None, next).await?;
    Ok(true)
}

/// Writes `next` as the status of `object` if nobody changed it since this version of it, and gives it as it is then.
/// Else it fails as a conflict: for what is decided from the status itself.
pub async fn write_over<K, S>(ctx: &Context, object: &K, next: &S) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    apply(ctx, object, object.resource_version(), next).await
}

/// Applies a status to this very object, and if a version is given to that version only.
async fn apply<K, S>(ctx: &Context, object: &K, version: Option<String>, next: &S) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    S: Serialize,
{
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        uid: object.uid(),
        resource_version: version,
        ..ObjectMeta::default()
    };
    let patch = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "status": next,
    });
    Api::<K>::namespaced(ctx.client.clone(), &namespace)
        .patch_status(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(&patch),
        )
        .await
        .map_err(Error::kube(format!(
            "write the status of {} {namespace}/{name}",
            K::kind(&())
        )))
}

/// Publishes an event for every condition whose status or reason changed. Best effort: an event that cannot be
/// published is logged and fails nothing.
pub async fn announce<K>(ctx: &Context, object: &K, before: &[Condition], after: &[Condition])
where
    K: Resource<DynamicType = ()>,
{
    for condition in after {
        if let Some(event) = event(conditions::find(before, &condition.type_), condition)
            && let Err(err) = ctx.recorder.publish(&event, &object.object_ref(&())).await
        {
            tracing::debug!(%err, "could not publish an event");
        }
    }
}

/// The event that a change of condition is worth.
fn event(before: Option<&Condition>, after: &Condition) -> Option<Event> {
    let same = before.is_some_and(|before| before.status == after.status && before.reason == after.reason);
    let holds = after.status == "True";
    let type_ = match after.type_.as_str() {
        _ if same => return None,
        conditions::READY | conditions::PROGRESSING | conditions::COMPLETE if holds => EventType::Normal,
        conditions::READY if before.is_some_and(|before| before.status == "True") => EventType::Warning,
        conditions::DEGRADED if holds => EventType::Warning,
        conditions::DEGRADED if before.is_some_and(|before| before.status == "True") => EventType::Normal,
        conditions::CONFIG_ACCEPTED if !holds => EventType::Warning,
        // It had begun, and it will not come to its end.
        conditions::COMPLETE if before.is_some() => EventType::Warning,
        _ => return None,
    };
    Some(Event {
        type_,
        reason: after.reason.clone(),
        note: Some(after.message.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::conditions::{DEGRADED, READY, Says};

    fn one(kind: &'static str, says: Says) -> Condition {
        conditions::next(&[], Some(1), &now(), vec![(kind, says)]).remove(0)
    }

    #[test]
    fn one_cause_makes_one_event() {
        let wrong = one(DEGRADED, Says::yes("ImagePullFailed", "pod a"));
        assert_eq!(event(None, &wrong).unwrap().reason, "ImagePullFailed");
        let still = one(DEGRADED, Says::yes("ImagePullFailed", "pods a and b"));
        assert!(event(Some(&wrong), &still).is_none());
    }

    #[test]
    fn becoming_ready_and_ceasing_to_be_are_both_told_but_starting_up_is_not_a_warning() {
        let starting = one(READY, Says::no("Starting", ""));
        let ready = one(READY, Says::yes("Serving", ""));
        assert!(event(None, &starting).is_none());
        assert!(matches!(
            event(Some(&starting), &ready).unwrap().type_,
            EventType::Normal
        ));
        assert!(matches!(
            event(Some(&ready), &starting).unwrap().type_,
            EventType::Warning
        ));
    }
}
