//! What the status remembers of a rolling restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The master that is being restarted, its group read-only meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Its pod.
    #[serde(default)]
    pub pod: String,
    /// Since when every name server shows it read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced_since: Option<Time>,
}
