//! The pod fields that both kinds have, under one roof, so that one template serves both.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, ResourceRequirements, SecurityContext,
    Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};

use crate::api::{BrokerSpec, ImagePullPolicy, NameServiceSpec};

/// What a user says about pods, the same for a `Broker` and a `NameService`.
#[derive(Clone, Debug)]
pub struct PodFields<'a> {
    /// `brokerImage` or `nameServiceImage`.
    pub image: &'a str,
    /// `imagePullPolicy`.
    pub image_pull_policy: Option<&'a ImagePullPolicy>,
    /// `imagePullSecrets`.
    pub image_pull_secrets: &'a [LocalObjectReference],
    /// `hostNetwork`.
    pub host_network: bool,
    /// `resources`.
    pub resources: Option<&'a ResourceRequirements>,
    /// `env`.
    pub env: &'a [EnvVar],
    /// `volumes`.
    pub volumes: &'a [Volume],
    /// `volumeMounts`.
    pub volume_mounts: &'a [VolumeMount],
    /// `jvmOptions`.
    pub jvm_options: Option<&'a str>,
    /// `securityContext`, the pod's.
    pub security_context: Option<&'a PodSecurityContext>,
    /// `containerSecurityContext`.
    pub container_security_context: Option<&'a SecurityContext>,
    /// `podAnnotations`.
    pub annotations: Option<&'a BTreeMap<String, String>>,
    /// `podLabels`.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// `affinity`.
    pub affinity: Option<&'a Affinity>,
    /// `tolerations`.
    pub tolerations: &'a [Toleration],
    /// `nodeSelector`.
    pub node_selector: Option<&'a BTreeMap<String, String>>,
    /// `priorityClassName`.
    pub priority_class_name: Option<&'a str>,
    /// `serviceAccountName`.
    pub service_account_name: Option<&'a str>,
    /// `topologySpreadConstraints`.
    pub topology_spread_constraints: Option<&'a [TopologySpreadConstraint]>,
}

macro_rules! pod_fields {
    ($spec:expr, $image:ident) => {
        Self {
            image: &$spec.$image,
            image_pull_policy: $spec.image_pull_policy.as_ref(),
            image_pull_secrets: $spec.image_pull_secrets.as_deref().unwrap_or_default(),
            host_network: $spec.host_network.unwrap_or_default(),
            resources: $spec.resources.as_ref(),
            env: $spec.env.as_deref().unwrap_or_default(),
            volumes: $spec.volumes.as_deref().unwrap_or_default(),
            volume_mounts: $spec.volume_mounts.as_deref().unwrap_or_default(),
            jvm_options: $spec.jvm_options.as_deref(),
            security_context: $spec.security_context.as_ref(),
            container_security_context: $spec.container_security_context.as_ref(),
            annotations: $spec.pod_annotations.as_ref(),
            labels: $spec.pod_labels.as_ref(),
            affinity: $spec.affinity.as_ref(),
            tolerations: $spec.tolerations.as_deref().unwrap_or_default(),
            node_selector: $spec.node_selector.as_ref(),
            priority_class_name: $spec
                .priority_class_name
                .as_deref()
                .filter(|name| !name.is_empty()),
            service_account_name: $spec
                .service_account_name
                .as_deref()
                .filter(|name| !name.is_empty()),
            topology_spread_constraints: $spec.topology_spread_constraints.as_deref(),
        }
    };
}

impl<'a> From<&'a BrokerSpec> for PodFields<'a> {
    fn from(spec: &'a BrokerSpec) -> Self {
        pod_fields!(spec, broker_image)
    }
}

impl<'a> From<&'a NameServiceSpec> for PodFields<'a> {
    fn from(spec: &'a NameServiceSpec) -> Self {
        pod_fields!(spec, name_service_image)
    }
}
