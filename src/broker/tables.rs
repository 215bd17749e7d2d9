//! The topics and subscription groups of a master whose store goes with its pod, noted before the pod is replaced.
//!
//! They are in a ConfigMap together with the UID of that pod. As long as it is there and the master's pod is another one, the
//! master lacks what is noted: that is how an operator which is killed in between knows.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::backlog::is_consumer;
use super::missing::Kept;
use super::valid::{Member, Valid};
use crate::admin::system::{is_dead_letter_topic, is_retry_topic, is_system_group, is_system_topic};
use crate::admin::{SubscriptionGroup, TopicConfig};
use crate::context::{self, Context};
use crate::error::Error;
use crate::k8s::apply::hash;
use crate::k8s::labels::{self, Component, GROUP, STORE_OF, TABLES_HASH};
use crate::workload::texts;

/// What fits into a ConfigMap, with room for its metadata.
const LIMIT: usize = 900_000;
const TOPICS: &str = "topics.json";
const GROUPS: &str = "groups.json";
const CONSUMERS: &str = "consumers.json";

/// What users made on a master.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// Topics; those for retries and dead letters make themselves.
    pub topics: Vec<TopicConfig>,
    /// Subscription groups.
    pub groups: Vec<SubscriptionGroup>,
    /// By topic: the groups that consume it.
    #[serde(default)]
    pub consumers: BTreeMap<String, BTreeSet<String>>,
}

/// What a noted table says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The UID of the pod that had these tables.
    pub uid: String,
    /// The hash of the tables.
    pub hash: String,
}

impl Tables {
    /// Those of what a master keeps, of that cluster and broker name.
    #[must_use]
    pub fn of(kept: &Kept, cluster: &str, broker: &str) -> Self {
        let is_users = |topic: &&TopicConfig| {
            !is_system_topic(&topic.name, cluster, broker)
                && !is_retry_topic(&topic.name)
                && !is_dead_letter_topic(&topic.name)
        };
        let topics: Vec<_> = kept.topics.topics.values().filter(is_users).cloned().collect();
        let groups = kept.groups.groups.values();
        let consumers = topics.iter().filter_map(|topic| {
            let groups = kept
                .offsets
                .groups_of(&topic.name)
                .filter(|group| is_consumer(group));
            let groups: BTreeSet<_> = groups.map(ToOwned::to_owned).collect();
            (!groups.is_empty()).then(|| (topic.name.clone(), groups))
        });
        Self {
            consumers: consumers.collect(),
            groups: groups
                .filter(|group| !is_system_group(&group.name))
                .cloned()
                .collect(),
            topics,
        }
    }

    /// Whether they can be noted.
    #[must_use]
    pub fn fit(&self) -> bool {
        serde_json::to_string(self).is_ok_and(|text| text.len() <= LIMIT)
    }

    /// Whether exactly they are noted, of the pod with that UID.
    #[must_use]
    pub fn are(&self, noted: Option<&Noted>, uid: &str) -> bool {
        noted.is_some_and(|noted| noted.uid == uid && noted.hash == hash(self))
    }
}

/// The name of the ConfigMap.
#[must_use]
pub fn name(valid: &Valid, group: i32) -> String {
    format!("{}-tables", Member { group, replica: 0 }.name(&valid.name))
}

/// The ConfigMap that notes them.
#[must_use]
pub fn config_map(valid: &Valid, group: i32, uid: &str, tables: &Tables) -> ConfigMap {
    let mut labels = labels::recommended(Component::Broker, &valid.name);
    labels.insert(GROUP.to_owned(), group.to_string());
    let mut metadata = valid.target.meta(&name(valid, group), labels);
    let annotations = [
        (STORE_OF.to_owned(), uid.to_owned()),
        (TABLES_HASH.to_owned(), hash(tables)),
    ];
    metadata.annotations = Some(annotations.into());
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    let data = [
        (TOPICS.to_owned(), text(serde_json::to_string(&tables.topics))),
        (GROUPS.to_owned(), text(serde_json::to_string(&tables.groups))),
        (
            CONSUMERS.to_owned(),
            text(serde_json::to_string(&tables.consumers)),
        ),
    ];
    ConfigMap {
        metadata,
        data: Some(data.into()),
        ..ConfigMap::default()
    }
}

/// What is noted of a group's master, by the caches.
#[must_use]
pub fn noted(valid: &Valid, group: i32, ctx: &Context) -> Option<Noted> {
    let map = context::get(
        &ctx.stores.config_maps,
        &valid.target.namespace,
        &name(valid, group),
    );
    let map = map.filter(|map| valid.target.owns(&map.metadata))?;
    Some(Noted {
        uid: map.annotations().get(STORE_OF)?.clone(),
        hash: map.annotations().get(TABLES_HASH)?.clone(),
    })
}

/// The tables that are noted of a group's master. The inner error says why they cannot be used.
pub async fn stored(valid: &Valid, group: i32, ctx: &Context) -> Result<Result<Tables, String>, Error> {
    let name = name(valid, group);
    let held = texts::read(&valid.target.namespace, &name, ctx).await?;
    let part = |key: &str| held.as_ref().and_then(|held| held.data.get(key));
    let topics = part(TOPICS).and_then(|text| serde_json::from_str(text).ok());
    let groups = part(GROUPS).and_then(|text| serde_json::from_str(text).ok());
    // Operators up to 0.3.0 noted none.
    let consumers = part(CONSUMERS).map_or(Some(BTreeMap::new()), |text| serde_json::from_str(text).ok());
    Ok(match (topics, groups, consumers) {
        (Some(topics), Some(groups), Some(consumers)) => Ok(Tables {
            topics,
            groups,
            consumers,
        }),
        _ => Err(format!(
            "ConfigMap {name} does not hold its topics and subscription groups any more; make them on it and delete the ConfigMap"
        )),
    })
}
