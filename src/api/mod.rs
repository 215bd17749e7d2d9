//! The custom resources: what users write, what the operator answers in `status`.
//!
//! Every field of the Go operator 0.2.1, 0.3.0 and its master branch is here under its JSON name. Nothing that
//! was optional there is required here; `null`, `""` and `[]` mean "not given" everywhere.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "KubeSchema derives a schema from a private copy of the struct"
)]
mod broker;
mod fields;
mod lenient;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "KubeSchema derives a schema from a private copy of the struct"
)]
mod name_service;
mod rollout;
mod rules;
mod scale_in;
mod schema;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "KubeSchema derives a schema from a private copy of the struct"
)]
mod topic_transfer;
mod transfer_memory;
mod transfer_rules;

pub use broker::{Broker, BrokerSpec, BrokerStatus};
pub use fields::{
    AdvertisedAddress, ClaimRetention, ClusterMode, DnsPolicy, ImagePullPolicy, ReplicationMode, Retention,
    ScaleIn, ScaleInPolicy, StorageMode,
};
pub use name_service::{NameService, NameServiceSpec, NameServiceStatus};
pub use rollout::{AcceptedLoss, RolloutStatus};
pub use scale_in::{ScaleInPhase, ScaleInStatus};
pub use topic_transfer::{TRANSFER_TIMEOUT_SECONDS, TopicTransfer, TopicTransferSpec, TopicTransferStatus};
pub use transfer_memory::{FirstSettings, GroupLag, TransferCause, TransferPhase, UnderWay};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of all kinds.
pub const GROUP: &str = "rocketmq.apache.org";

/// The only served and stored version.
pub const VERSION: &str = "v1alpha1";

/// The definitions of every kind, in the order in which they are installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![Broker::crd(), NameService::crd(), TopicTransfer::crd()]
}

/// The definitions of every kind as one stream of YAML documents, for `kubectl apply -f -`.
pub fn crds_yaml() -> Result<String, serde_yaml_ng::Error> {
    let documents = crds()
        .iter()
        .map(serde_yaml_ng::to_string)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(documents
        .iter()
        .flat_map(|document| ["---\n", document])
        .collect())
}
