//! Server-side apply of whole objects: only what changed is written, and nobody else's object is adopted.
//!
//! An object is written when what we want of it changed, or when the object did. While a process runs it remembers what it
//! made; a new one reads each object once and compares it with what it wants, so an operator that restarts writes nothing.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::conditions::Says;
use super::{FIELD_MANAGER, labels};
use crate::context::Context;
use crate::error::Error;

/// Where children go and whose they are.
#[derive(Clone, Debug)]
pub struct Target {
    /// The namespace of the custom resource and all that it owns.
    pub namespace: String,
    /// The custom resource, as a controlling owner.
    pub owner: OwnerReference,
}

impl Target {
    /// The target for the children of `parent`; fails only on an object that was never stored.
    pub fn of<K: Resource<DynamicType = ()>>(parent: &K) -> Result<Self, Error> {
        let missing = |field| Error::Incomplete {
            object: format!("{} {}", K::kind(&()), parent.name_any()),
            field,
        };
        Ok(Self {
            namespace: parent.namespace().ok_or_else(|| missing("namespace"))?,
            owner: parent.controller_owner_ref(&()).ok_or_else(|| missing("uid"))?,
        })
    }

    /// The metadata of a child of that name.
    #[must_use]
    pub fn meta(&self, name: &str, labels: labels::Labels) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Whether an object with this metadata is ours.
    #[must_use]
    pub fn owns(&self, meta: &ObjectMeta) -> bool {
        controller(meta).is_some_and(|owner| owner.uid == self.owner.uid)
    }
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// An object under one of our names that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Who controls it, or that nobody does.
    pub owner: String,
}

impl Foreign {
    /// The condition of the custom resource of kind `parent` whose name is taken.
    #[must_use]
    pub fn says(&self, parent: &str) -> Says {
        Says::yes(
            "ForeignObject",
            format!(
                "{} {} has {} and is not this {parent}'s; it is left alone: delete or rename it, or use another name for \
                 this {parent}",
                self.kind, self.name, self.owner
            ),
        )
    }

    fn new<K: Resource<DynamicType = ()>>(meta: &ObjectMeta) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            name: meta.name.clone().unwrap_or_default(),
            owner: controller(meta).map_or_else(
                || "no owner".to_owned(),
                |owner| format!("owner {} {}", owner.kind, owner.name),
            ),
        }
    }
}

/// What [`ensure`] found or did.
#[derive(Debug)]
pub enum Ensured<K> {
    /// The object is as we want it; nothing was written.
    Unchanged,
    /// The object was written; this is what the API server made of it.
    Written(Box<K>),
    /// The object, or its namespace, is being deleted; it is written again once it is gone.
    Deleting,
    /// An object of this name belongs to somebody else and was left alone.
    Foreign(Foreign),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug)]
struct Entry {
    intent: String,
    uid: Option<String>,
    mark: Option<String>,
}

impl Entry {
    /// Whether an object with this metadata is still what we last made of it.
    fn holds(&self, intent: &str, live: &ObjectMeta, desired: &ObjectMeta) -> bool {
        self.intent == intent
            && self.uid == live.uid
            && self.mark == mark(live)
            && desired
                .labels
                .as_ref()
                .is_none_or(|wanted| labels::contain(live.labels.as_ref(), wanted))
            && desired
                .annotations
                .as_ref()
                .is_none_or(|wanted| labels::contain(live.annotations.as_ref(), wanted))
    }
}

/// What changes when somebody edits an object: its generation, or for kinds without one its version.
fn mark(meta: &ObjectMeta) -> Option<String> {
    meta.generation
        .map(|generation| format!("g{generation}"))
        .or_else(|| meta.resource_version.clone())
}

/// What was last applied, by owner, so that nothing is written twice.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<String, HashMap<Key, Entry>>>);

impl Applied {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<Key, Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, owner: &str, key: &Key, intent: &str, live: &ObjectMeta, desired: &ObjectMeta) -> bool {
        self.lock()
            .get(owner)
            .and_then(|entries| entries.get(key))
            .is_some_and(|entry| entry.holds(intent, live, desired))
    }

    fn remember(&self, owner: &str, key: Key, entry: Entry, alive: impl Fn(&str) -> bool) {
        let mut owners = self.lock();
        if !owners.contains_key(owner) {
            owners.retain(|uid, _| alive(uid));
        }
        owners.entry(owner.to_owned()).or_default().insert(key, entry);
    }
}

/// The hash by which two intents are compared.
#[must_use]
pub fn hash(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(json)
        .iter()
        .take(8)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The object with the hash of what we want of it as an annotation: by it a new process tells that nothing has to be
/// taken away from the object.
fn marked<K: Resource + Clone>(desired: &K, intent: &str) -> K {
    let mut desired = desired.clone();
    let annotations = desired.meta_mut().annotations.get_or_insert_default();
    annotations.insert(labels::APPLIED.to_owned(), intent.to_owned());
    desired
}

/// Whether an object is what we want already: it carries the same hash, and all that we want is in it.
fn is_already(live: &impl Serialize, desired: &impl Serialize) -> bool {
    match (serde_json::to_value(live), serde_json::to_value(desired)) {
        (Ok(live), Ok(desired)) => holds_all(&live, &desired),
        _ => false,
    }
}

/// Whether `live` has everything that `wanted` has; lists must match item by item, beside them the API server adds its
/// defaults. What is empty may be absent, as the API server stores it.
fn holds_all(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            live.get(key)
                .map_or_else(|| is_empty(wanted), |live| holds_all(live, wanted))
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live
                    .iter()
                    .zip(wanted)
                    .all(|(live, wanted)| holds_all(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether an object cannot be made because its namespace is being deleted, with all that is in it.
fn namespace_ends(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// Makes `desired` true. `cached` is the metadata that our caches hold of it, if any; where they leave a doubt the
/// object is read before it is written.
pub async fn ensure<K>(
    ctx: &Context,
    target: &Target,
    desired: &K,
    cached: Option<&ObjectMeta>,
) -> Result<Ensured<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let key = Key {
        kind: K::kind(&()).into_owned(),
        namespace: target.namespace.clone(),
        name: desired.name_any(),
    };
    let owner = target.owner.uid.as_str();
    let intent = hash(desired);
    let desired = &marked(desired, &intent);
    if let Some(live) = cached
        && target.owns(live)
        && live.deletion_timestamp.is_none()
        && ctx.applied.holds(owner, &key, &intent, live, desired.meta())
    {
        return Ok(Ensured::Unchanged);
    }
    let api = Api::<K>::namespaced(ctx.client.clone(), &target.namespace);
    let what = format!("{} {}/{}", key.kind, key.namespace, key.name);
    let remember = |of: &ObjectMeta| {
        let entry = Entry {
            intent: intent.clone(),
            uid: of.uid.clone(),
            mark: mark(of),
        };
        ctx.applied
            .remember(owner, key.clone(), entry, |uid| ctx.stores.has_owner(uid));
    };
    let fresh = api
        .get_opt(&key.name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    if let Some(fresh) = &fresh {
        if !target.owns(fresh.meta()) {
            return Ok(Ensured::Foreign(Foreign::new::<K>(fresh.meta())));
        }
        if fresh.meta().deletion_timestamp.is_some() {
            return Ok(Ensured::Deleting);
        }
        if is_already(fresh, desired) {
            remember(fresh.meta());
            return Ok(Ensured::Unchanged);
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
    let written = match api.patch(&key.name, &params, &Patch::Apply(desired)).await {
        Err(kube::Error::Api(status)) if namespace_ends(&status) => return Ok(Ensured::Deleting),
        written => written.map_err(Error::kube(format!("apply {what}")))?,
    };
    remember(written.meta());
    Ok(Ensured::Written(Box::new(written)))
}

/// What the API server would say to `desired`, where it would not take it. Nothing is written.
pub async fn refusal<K>(ctx: &Context, desired: &K) -> Result<Option<String>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let api = Api::<K>::namespaced(ctx.client.clone(), &namespace);
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::apply(FIELD_MANAGER).force().validation_strict()
    };
    match api.patch(&name, &params, &Patch::Apply(desired)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            Ok(Some(status.message.clone()))
        }
        Err(err) => Err(Error::kube(format!("try {} {namespace}/{name}", K::kind(&())))(
            err,
        )),
    }
}

/// Deletes an object of ours that is no longer wanted, with its UID as a precondition; one that is gone, or somebody else's,
/// is left alone.
pub async fn remove<K>(ctx: &Context, target: &Target, name: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(ctx.client.clone(), &target.namespace);
    let what = format!("{} {}/{name}", K::kind(&()), target.namespace);
    let fresh = api
        .get_metadata_opt(name)
        .await
        .map_err(Error::kube(format!("read {what}")))?;
    let Some(fresh) = fresh.filter(|fresh| target.owns(&fresh.metadata)) else {
        return Ok(());
    };
    let exactly = DeleteParams::default().preconditions(Preconditions {
        uid: fresh.metadata.uid,
        resource_version: None,
    });
    match api.delete(name, &exactly).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(drop).map_err(Error::kube(format!("delete {what}"))),
    }
}

/// Writes the children of one custom resource, one after the other, and remembers what belongs to somebody else.
pub struct Hand<'a> {
    ctx: &'a Context,
    target: &'a Target,
    /// Objects under our names that are somebody else's.
    pub foreign: Vec<Foreign>,
}

impl<'a> Hand<'a> {
    /// A hand that writes for the owner of `target`.
    #[must_use]
    pub fn new(ctx: &'a Context, target: &'a Target) -> Self {
        Self {
            ctx,
            target,
            foreign: Vec::new(),
        }
    }

    /// Makes `desired` true, given the metadata that our caches hold under its name; whether it can be relied on.
    pub async fn ensure<K>(
        &mut self,
        desired: &K,
        cached: impl FnOnce(&str) -> Option<ObjectMeta>,
    ) -> Result<bool, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        match ensure(
            self.ctx,
            self.target,
            desired,
            cached(&desired.name_any()).as_ref(),
        )
        .await?
        {
            Ensured::Unchanged | Ensured::Written(_) => Ok(true),
            Ensured::Deleting => Ok(false),
            Ensured::Foreign(foreign) => {
                self.foreign.push(foreign);
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_beside_what_we_want_are_no_difference_and_a_changed_or_missing_value_is() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "empty": {}, "none": ""}});
        assert!(holds_all(
            &json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "type": "ClusterIP"}, "status": {}}),
            &wanted
        ));
        for other in [
            json!({"spec": {"ports": [{"port": 2}]}}),
            json!({"spec": {"ports": [{"port": 1}, {"port": 2}]}}),
            json!({"spec": {}}),
            json!({}),
        ] {
            assert!(!holds_all(&other, &wanted), "{other}");
        }
    }
}
