//! What a Broker remembers of the group that leaves.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient::null_is_default;
use super::schema::{brief, plain_enum};

/// How far a leaving group is. In this order, and back to an earlier one if what was done there is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum ScaleInPhase {
    /// Topics that producers can write to in this group only are made elsewhere.
    Moving,
    /// The group becomes read-only, until every name server says so.
    Fencing,
    /// Its messages are consumed.
    Draining,
    /// Its brokers are stopped, replicas first.
    Stopping,
    /// Name servers forget it, and what belongs to it is deleted.
    Removing,
}

/// What is remembered of the group that leaves, from one look to the next and through restarts of the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleInStatus {
    /// The number of the group that leaves: the highest.
    pub group: i32,

    /// `Moving`: its topics get a home elsewhere. `Fencing`: it becomes read-only. `Draining`: its messages are consumed.
    /// `Stopping`: its brokers are stopped, replicas first. `Removing`: name servers forget it.
    pub phase: ScaleInPhase,

    /// When it began to leave; `spec.scaleIn.timeoutSeconds` counts from here.
    #[schemars(transform = brief)]
    pub started_at: Time,

    /// Since when no order topic sends to it any more. Absent as long as one does, or none ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub unordered_since: Option<Time>,

    /// Since when its master does not answer; only with policy `Immediate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub silent_since: Option<Time>,

    /// Since when no write arrived. Absent as long as some may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub quiet_since: Option<Time>,

    /// Since when none of its pods is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = brief)]
    pub stopped_at: Option<Time>,

    /// How many messages were ever written to its topics, when that was counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<i64>,

    /// Messages that are still to be consumed by some group, delayed, or of open transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,

    /// Whom it waits for, in words; at most five.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub blockers: Vec<String>,

    /// The queues of order topics as name servers had them before the group was taken out of them; they are put back if it
    /// stays after all.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub order_topics: BTreeMap<String, String>,
}

impl ScaleInStatus {
    /// What is remembered of a group that begins to leave.
    #[must_use]
    pub fn begun(group: i32, now: Time) -> Self {
        Self {
            group,
            phase: ScaleInPhase::Moving,
            started_at: now,
            unordered_since: None,
            silent_since: None,
            quiet_since: None,
            stopped_at: None,
            written: None,
            backlog: None,
            blockers: Vec::new(),
            order_topics: BTreeMap::new(),
        }
    }
}
