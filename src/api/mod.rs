//! The custom resources.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Desired state of a broker.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rocketmq.apache.org",
    version = "v1alpha1",
    kind = "Broker",
    namespaced
)]
pub struct BrokerSpec {}

/// Desired state of a name service.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rocketmq.apache.org",
    version = "v1alpha1",
    kind = "NameService",
    namespaced
)]
pub struct NameServiceSpec {}
