//! The objects of the fake API server, and what each verb does to them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::merge;
use super::request::kind;
use super::validate::{self, Refusal};

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub group: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

/// One change of one object, as watches tell it.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Clone)]
struct Stored {
    object: Value,
    /// What each field manager applied last.
    applied: BTreeMap<String, Value>,
}

/// Every object there is.
#[derive(Clone, Default)]
pub struct Objects {
    version: u64,
    made: u64,
    services: u8,
    stored: BTreeMap<Key, Stored>,
    pub changes: Vec<Change>,
}

/// Preconditions of a delete.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub version: Option<String>,
}

impl Objects {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Result<&Value, Refusal> {
        self.stored
            .get(key)
            .map(|stored| &stored.object)
            .ok_or(Refusal::NotFound)
    }

    /// The objects of one resource in one namespace, or in all if it is empty.
    pub fn list(&self, group: &str, resource: &str, namespace: &str) -> impl Iterator<Item = &Value> {
        let wanted = move |key: &&Key| {
            key.group == group
                && key.resource == resource
                && (namespace.is_empty() || key.namespace == namespace)
        };
        self.stored
            .keys()
            .filter(wanted)
            .map(|key| &self.stored[key].object)
    }

    /// Every object of every kind.
    pub fn everything(&self) -> impl Iterator<Item = &Value> {
        self.stored.values().map(|stored| &stored.object)
    }

    pub fn create(&mut self, key: &Key, object: Value) -> Result<Value, Refusal> {
        if self.stored.contains_key(key) {
            return Err(Refusal::AlreadyExists);
        }
        let mut object = object;
        if let Some(fields) = object.as_object_mut().filter(|_| has_status_subresource(key)) {
            fields.remove("status");
        }
        self.store(key, object, BTreeMap::new())
    }

    /// Replaces an object, or its status alone. A version in it must be the stored one.
    pub fn update(&mut self, key: &Key, object: Value, status: bool) -> Result<Value, Refusal> {
        let live = self.get(key)?.clone();
        check_version(&object, &live)?;
        let mut next = if status { live.clone() } else { object.clone() };
        next["status"] = if status {
            object["status"].clone()
        } else {
            live["status"].clone()
        };
        if next["status"].is_null() {
            next.as_object_mut().unwrap().remove("status");
        }
        if has_status_subresource(key) || status {
            self.store_over(key, next)
        } else {
            self.store_over(key, object)
        }
    }

    /// Server-side apply by `manager`.
    pub fn apply(&mut self, key: &Key, manager: &str, intent: Value, status: bool) -> Result<Value, Refusal> {
        if let Some(at) = merge::duplicate("", &intent) {
            return Err(Refusal::Invalid(format!("failed to apply {at}")));
        }
        let manager = if status {
            format!("{manager} (status)")
        } else {
            manager.to_owned()
        };
        let uid = intent["metadata"]["uid"].clone();
        let mut intent = intent;
        if !status && has_status_subresource(key) {
            intent.as_object_mut().unwrap().remove("status");
        }
        let Some(stored) = self.stored.get(key) else {
            if status {
                return Err(Refusal::NotFound);
            }
            if !uid.is_null() {
                return Err(Refusal::Conflict("uid of an object that is not there".to_owned()));
            }
            return self.store(key, intent.clone(), [(manager, intent)].into());
        };
        if !uid.is_null() && uid != stored.object["metadata"]["uid"] {
            return Err(Refusal::Conflict("the object has another uid".to_owned()));
        }
        check_version(&intent, &stored.object)?;
        if status {
            intent = json!({"status": intent["status"]});
        }
        let mut next = stored.object.clone();
        let mut applied = stored.applied.clone();
        merge::apply(&mut next, applied.get(&manager).unwrap_or(&Value::Null), &intent);
        // As the API server does: a Service that says no address keeps the one it has.
        if key.resource == "services" && next["spec"]["clusterIP"].is_null() {
            next["spec"]["clusterIP"] = stored.object["spec"]["clusterIP"].clone();
        }
        applied.insert(manager, intent);
        let next = self.store_over(key, next)?;
        if let Some(stored) = self.stored.get_mut(key) {
            stored.applied = applied;
        }
        Ok(next)
    }

    /// A JSON merge patch.
    pub fn patch(&mut self, key: &Key, patch: &Value, status: bool) -> Result<Value, Refusal> {
        let live = self.get(key)?;
        check_version(patch, live)?;
        if patch["metadata"]["uid"].is_string() && patch["metadata"]["uid"] != live["metadata"]["uid"] {
            return Err(Refusal::Conflict("precondition failed: UID".to_owned()));
        }
        let mut next = live.clone();
        if status {
            merge::merge_patch(&mut next["status"], &patch["status"]);
        } else {
            merge::merge_patch(&mut next, patch);
            if has_status_subresource(key) {
                next["status"] = live["status"].clone();
            }
        }
        self.store_over(key, next)
    }

    /// Deletes an object and, unless told to orphan them, what it owns. With finalizers it is only marked.
    pub fn delete(
        &mut self,
        key: &Key,
        preconditions: &Preconditions,
        orphan: bool,
    ) -> Result<Value, Refusal> {
        let live = self.get(key)?.clone();
        let (meta, wanted) = (&live["metadata"], preconditions);
        if wanted.uid.as_ref().is_some_and(|uid| meta["uid"] != **uid) {
            return Err(Refusal::Conflict("precondition failed: UID".to_owned()));
        }
        if wanted
            .version
            .as_ref()
            .is_some_and(|version| meta["resourceVersion"] != **version)
        {
            return Err(Refusal::Conflict(
                "precondition failed: resourceVersion".to_owned(),
            ));
        }
        if meta["finalizers"]
            .as_array()
            .is_some_and(|finalizers| !finalizers.is_empty())
        {
            let mut next = live;
            next["metadata"]["deletionTimestamp"] = json!(self.now());
            return self.store_over(key, next);
        }
        self.remove(key);
        let uid = &live["metadata"]["uid"];
        let owned = |stored: &Stored| owners(&stored.object).any(|owner| owner["uid"] == *uid);
        let children: Vec<Key> = self
            .stored
            .iter()
            .filter(|(_, stored)| owned(stored))
            .map(|(key, _)| key.clone())
            .collect();
        for child in children {
            if orphan {
                let mut next = self.get(&child)?.clone();
                next["metadata"]["ownerReferences"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|owner| owner["uid"] != *uid);
                self.store_over(&child, next)?;
            } else {
                self.delete(&child, &Preconditions::default(), false)?;
            }
        }
        Ok(live)
    }

    fn remove(&mut self, key: &Key) {
        if let Some(mut gone) = self.stored.remove(key) {
            self.version += 1;
            let before = gone.object.clone();
            gone.object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.told(key, Some(before), None);
        }
    }

    fn store(
        &mut self,
        key: &Key,
        object: Value,
        applied: BTreeMap<String, Value>,
    ) -> Result<Value, Refusal> {
        self.made += 1;
        let mut object = object;
        let version = if key.group.is_empty() {
            "v1".to_owned()
        } else {
            object["apiVersion"].as_str().unwrap_or("v1").to_owned()
        };
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind(&key.resource));
        let made = self.made;
        let meta = &mut object["metadata"];
        meta["name"] = json!(key.name);
        meta["namespace"] = json!(key.namespace);
        meta["uid"] = json!(format!("{:08x}-0000-4000-8000-000000000000", made));
        meta["creationTimestamp"] = json!(self.now());
        if has_generation(key) {
            meta["generation"] = json!(1);
        }
        if key.resource == "services" && object["spec"]["clusterIP"].is_null() {
            self.services += 1;
            object["spec"]["clusterIP"] = json!(Ipv4Addr::new(198, 19, 0, self.services).to_string());
        }
        validate::new(key, &object)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.stored.insert(
            key.clone(),
            Stored {
                object: object.clone(),
                applied,
            },
        );
        self.told(key, None, Some(object.clone()));
        Ok(object)
    }

    /// Stores a new state of an object that exists, if it differs; removes it if it was only held by finalizers.
    fn store_over(&mut self, key: &Key, next: Value) -> Result<Value, Refusal> {
        let before = self.get(key)?.clone();
        let mut next = next;
        for field in [
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "generation",
            "deletionTimestamp",
        ] {
            let kept = before["metadata"][field].clone();
            if !kept.is_null() {
                next["metadata"][field] = kept;
            }
        }
        if let Some(meta) = next["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        if next == before {
            return Ok(before);
        }
        validate::change(key, &before, &next)?;
        if has_generation(key) && next["spec"] != before["spec"] {
            next["metadata"]["generation"] =
                json!(before["metadata"]["generation"].as_u64().unwrap_or(0) + 1);
        }
        let finalizers = next["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        if !next["metadata"]["deletionTimestamp"].is_null() && finalizers == 0 {
            self.remove(key);
            return Ok(next);
        }
        self.version += 1;
        next["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if let Some(stored) = self.stored.get_mut(key) {
            stored.object = next.clone();
        }
        self.told(key, Some(before), Some(next.clone()));
        Ok(next)
    }

    fn told(&mut self, key: &Key, before: Option<Value>, after: Option<Value>) {
        self.changes.push(Change {
            version: self.version,
            key: key.clone(),
            before,
            after,
        });
    }

    /// A clock that ticks with every object made.
    fn now(&self) -> String {
        format!(
            "2026-01-01T{:02}:{:02}:{:02}Z",
            self.made / 3600 % 24,
            self.made / 60 % 60,
            self.made % 60
        )
    }
}

fn check_version(sent: &Value, live: &Value) -> Result<(), Refusal> {
    let (sent, live) = (
        &sent["metadata"]["resourceVersion"],
        &live["metadata"]["resourceVersion"],
    );
    match sent.as_str() {
        Some(sent) if !sent.is_empty() && live != sent => {
            Err(Refusal::Conflict(format!("version {sent} is not the stored one")))
        }
        _ => Ok(()),
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
}

fn has_generation(key: &Key) -> bool {
    matches!(
        key.resource.as_str(),
        "statefulsets" | "poddisruptionbudgets" | "brokers" | "nameservices" | "topictransfers"
    )
}

fn has_status_subresource(key: &Key) -> bool {
    has_generation(key)
        || matches!(
            key.resource.as_str(),
            "pods" | "services" | "persistentvolumeclaims"
        )
}

impl Objects {
    /// Puts an object in as it was kept elsewhere, uid and all, as if the same managers had applied it.
    pub fn restore(&mut self, key: &Key, object: Value) {
        // New objects get other UIDs.
        self.made += 1000;
        self.version += 1;
        let mut object = object;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.stored.insert(
            key.clone(),
            Stored {
                object: object.clone(),
                applied: BTreeMap::new(),
            },
        );
        self.told(key, None, Some(object));
    }
}
