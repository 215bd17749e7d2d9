//! What ConfigMaps and Secrets of users hold that pods mount or take into their environment: a change of it is a change of
//! the pods.
//!
//! What pods are made with is noted on their StatefulSet, outside its pod template: a hash for each object. Only where a
//! noted hash and that of now differ is the pod template marked, and so its pods are restarted. What is seen for the first
//! time, cannot be read, or is not there is only noted, or left as it was noted, and restarts nothing: so does an operator
//! that is new, and an object that is deleted, without which pods could not start again.
//!
//! ConfigMaps are watched as metadata and read when they change. Secrets are not watched, because who may watch them may
//! read them all: those that a spec names are read one by one, each time, where `deploy/secret_reader.yaml` grants it. Where
//! it does not, a change of a Secret restarts nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{KeyToPath, Secret};
use kube::Api;

use super::fields::PodFields;
use super::texts;
use crate::context::Context;
use crate::error::Error;
use crate::k8s::Target;
use crate::k8s::apply::hash;
use crate::k8s::labels::{CONTENT, CONTENT_HASH, Labels};

/// What a hash of an object that may be missing says when it is.
const ABSENT: &str = "absent";

/// The hash of what each object holds that pods use, by `ConfigMap/NAME` or `Secret/NAME`; none if it is not known.
pub type Contents = BTreeMap<String, Option<String>>;

/// What is noted on a StatefulSet of what its pods use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The annotation [`CONTENT`]: each object's hash.
    pub contents: Option<String>,
    /// The annotation [`CONTENT_HASH`], of the set and of its pod template: absent until something changed.
    pub mark: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ConfigMap,
    Secret,
}

/// What pods use of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Used {
    /// All of its keys.
    whole: bool,
    /// Some of its keys.
    keys: BTreeSet<String>,
    /// Pods do not start without it.
    needed: bool,
}

type Uses = BTreeMap<(Kind, String), Used>;

/// What pods with these fields use: of volumes only those that they mount.
fn all_used(fields: &PodFields<'_>) -> Uses {
    let mut all = Uses::new();
    let mounted = fields.volumes.iter().filter(|volume| {
        let mut mounts = fields.volume_mounts.iter();
        mounts.any(|mount| mount.name == volume.name)
    });
    for volume in mounted {
        if let Some(source) = &volume.config_map {
            let items = source.items.as_deref();
            add(&mut all, Kind::ConfigMap, &source.name, items, source.optional);
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            add(
                &mut all,
                Kind::Secret,
                name,
                source.items.as_deref(),
                source.optional,
            );
        }
        let projected = volume
            .projected
            .iter()
            .flat_map(|volume| volume.sources.iter().flatten());
        for source in projected {
            if let Some(source) = &source.config_map {
                let items = source.items.as_deref();
                add(&mut all, Kind::ConfigMap, &source.name, items, source.optional);
            }
            if let Some(source) = &source.secret {
                let items = source.items.as_deref();
                add(&mut all, Kind::Secret, &source.name, items, source.optional);
            }
        }
    }
    for from in fields.env.iter().filter_map(|env| env.value_from.as_ref()) {
        if let Some(key) = &from.config_map_key_ref {
            add_key(&mut all, Kind::ConfigMap, &key.name, &key.key, key.optional);
        }
        if let Some(key) = &from.secret_key_ref {
            add_key(&mut all, Kind::Secret, &key.name, &key.key, key.optional);
        }
    }
    all
}

fn add(all: &mut Uses, kind: Kind, name: &str, items: Option<&[KeyToPath]>, optional: Option<bool>) {
    let used = all.entry((kind, name.to_owned())).or_default();
    used.needed |= optional != Some(true);
    match items {
        Some(items) if !items.is_empty() => used.keys.extend(items.iter().map(|item| item.key.clone())),
        _ => used.whole = true,
    }
}

fn add_key(all: &mut Uses, kind: Kind, name: &str, key: &str, optional: Option<bool>) {
    let used = all.entry((kind, name.to_owned())).or_default();
    used.needed |= optional != Some(true);
    used.keys.insert(key.to_owned());
}

impl Used {
    /// The hash of what is used of an object with these hashes of its values.
    fn hash(&self, mut held: BTreeMap<String, String>) -> String {
        held.retain(|key, _| self.whole || self.keys.contains(key));
        hash(&held)
    }

    fn absent(&self) -> Option<String> {
        (!self.needed).then(|| ABSENT.to_owned())
    }
}

/// Reads what pods with these fields use. `but` is a ConfigMap and a key of it that reach pods in another way.
pub async fn read(
    target: &Target,
    fields: &PodFields<'_>,
    but: Option<(&str, &str)>,
    ctx: &Context,
) -> Result<Contents, Error> {
    let mut contents = Contents::new();
    for ((kind, name), used) in all_used(fields) {
        let (label, found) = match kind {
            Kind::ConfigMap => {
                let held = texts::read(&target.namespace, &name, ctx).await?;
                let found = held.map(|held| {
                    let mut hashes = held.hashes.clone();
                    if let Some((_, key)) = but.filter(|(map, _)| *map == name) {
                        hashes.remove(key);
                    }
                    used.hash(hashes)
                });
                ("ConfigMap", found.or_else(|| used.absent()))
            }
            Kind::Secret => ("Secret", secret(target, &name, &used, ctx).await?),
        };
        contents.insert(format!("{label}/{name}"), found);
    }
    Ok(contents)
}

/// The hash of what is used of a Secret. The owner is part of it, so that equal Secrets do not look alike.
async fn secret(target: &Target, name: &str, used: &Used, ctx: &Context) -> Result<Option<String>, Error> {
    let namespace = target.namespace.as_str();
    let found = match Api::<Secret>::namespaced(ctx.client.clone(), namespace)
        .get_opt(name)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(None),
        read => read.map_err(Error::kube(format!("read Secret {namespace}/{name}")))?,
    };
    let Some(secret) = found else {
        return Ok(used.absent());
    };
    let values = secret.data.unwrap_or_default();
    let salted = values
        .iter()
        .map(|(key, value)| (key.clone(), hash(&(&target.owner.uid, value))));
    Ok(Some(used.hash(salted.collect())))
}

/// What is to be noted on a set, given its annotations as they are and what its pods use now.
#[must_use]
pub fn noted(before: Option<&Labels>, now: &Contents) -> Noted {
    let annotation = |key: &str| before.and_then(|before| before.get(key));
    let before: BTreeMap<String, String> = annotation(CONTENT)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let next: BTreeMap<&String, &String> = now
        .iter()
        .filter_map(|(object, hash)| Some((object, hash.as_ref().or_else(|| before.get(object))?)))
        .collect();
    let changed = next
        .iter()
        .any(|(object, hash)| before.get(*object).is_some_and(|before| before != *hash));
    Noted {
        mark: if changed {
            Some(hash(&next))
        } else {
            annotation(CONTENT_HASH).cloned()
        },
        contents: serde_json::to_string(&next).ok().filter(|_| !next.is_empty()),
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
