//! What the status remembers of a rolling restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The master that is being restarted, its group read-only meanwhile unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Its pod.
    #[serde(default)]
    pub pod: String,
    /// Since when every name server shows it read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced_since: Option<Time>,
    /// Whether producers still write to it: nobody else takes its topics, and it is not yet empty.
    #[serde(default, skip_serializing_if = "is_false")]
    pub writable: bool,
    /// How many messages were ever written to its topics, when that was counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<i64>,
    /// Since when no write arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_since: Option<Time>,
    /// Since when it has its topics again and no consumer an offset of its old store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_since: Option<Time>,
}

/// A pod whose messages are given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedLoss {
    /// Its name.
    #[serde(default)]
    pub pod: String,
    /// Its UID.
    #[serde(default)]
    pub uid: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
