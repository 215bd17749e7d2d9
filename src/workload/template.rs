//! The pod template of a name server or a broker: one builder, pure and infallible.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, KeyToPath,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext, TCPSocketAction,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;

use super::fields::PodFields;
use super::storage::{Medium, Storage};
use super::{RUN_PATH, START_PATH, START_SCRIPT_KEY, TERMINATION_GRACE_SECONDS, env};
use crate::k8s::labels::Labels;

/// The names of the volumes that the operator adds to a pod.
pub const START_VOLUME: &str = "rocketmq-start";
/// The volume of the folder that lives as long as the pod.
pub const RUN_VOLUME: &str = "rocketmq-run";

/// What makes a pod a name server or a broker: everything the template needs beyond the user's own fields.
#[derive(Clone, Debug)]
pub struct Role<'a> {
    /// The container's name: `broker` or `name-service`.
    pub container: &'static str,
    /// The start script's argument: `broker` or `namesrv`.
    pub command: &'static str,
    /// The ConfigMap of the start script.
    pub start_config_map: String,
    /// Whether the image's own command is kept instead.
    pub image_command: bool,
    /// The pod's labels, selector included. Where the user has the same label, these win.
    pub labels: Labels,
    /// The pod's annotations beside the user's.
    pub annotations: BTreeMap<String, String>,
    /// The labels of the pods that should be spread over nodes together.
    pub spread: Labels,
    /// Named ports; the one called `main` is probed.
    pub ports: Vec<(&'static str, i32)>,
    /// Our environment.
    pub env: Vec<EnvVar>,
    /// Names in the environment that a user cannot override.
    pub kept_env: &'a [&'a str],
    /// Volumes beside the data volume, the start script and the user's own.
    pub volumes: Vec<Volume>,
    /// Mounts of folders of the data volume, and of `volumes`.
    pub mounts: Vec<VolumeMount>,
    /// `dnsPolicy`.
    pub dns_policy: String,
}

/// The pod template for `role` with the user's `fields` and `storage`.
#[must_use]
pub fn template(fields: &PodFields<'_>, storage: &Storage, role: Role<'_>) -> PodTemplateSpec {
    let mut labels = fields.labels.cloned().unwrap_or_default();
    labels.extend(role.labels.clone());
    let mut annotations = fields.annotations.cloned().unwrap_or_default();
    annotations.extend(role.annotations.clone());
    let container = container(fields, &role);
    let own = own_init_container(fields, storage, &container);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: fields.affinity.cloned(),
            automount_service_account_token: fields.service_account_name.is_none().then_some(false),
            containers: vec![container],
            dns_policy: Some(role.dns_policy),
            enable_service_links: Some(false),
            host_network: fields.host_network.then_some(true),
            image_pull_secrets: some(fields.image_pull_secrets),
            init_containers: own.map(|own| vec![own]),
            node_selector: fields
                .node_selector
                .cloned()
                .filter(|selector| !selector.is_empty()),
            priority_class_name: fields.priority_class_name.map(ToOwned::to_owned),
            security_context: pod_security(fields.security_context),
            service_account_name: fields.service_account_name.map(ToOwned::to_owned),
            termination_grace_period_seconds: Some(TERMINATION_GRACE_SECONDS),
            tolerations: some(fields.tolerations),
            topology_spread_constraints: Some(spread(fields, role.spread)),
            volumes: Some(volumes(fields, storage, role.start_config_map, role.volumes)),
            ..PodSpec::default()
        }),
    }
}

fn some<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    Some(items.to_vec()).filter(|items| !items.is_empty())
}

fn container(fields: &PodFields<'_>, role: &Role<'_>) -> Container {
    let mut ours = role.env.clone();
    if let Some(options) = fields.jvm_options.filter(|options| !options.trim().is_empty()) {
        ours.push(env::value("ROCKETMQ_JVM_OPTIONS", options));
    }
    let script = format!("{START_PATH}/{START_SCRIPT_KEY}");
    let command = [String::from("sh"), script, role.command.to_owned()].to_vec();
    let mut mounts = vec![
        mount(START_VOLUME, START_PATH, true),
        mount(RUN_VOLUME, RUN_PATH, false),
    ];
    mounts.extend(role.mounts.iter().chain(fields.volume_mounts).cloned());
    Container {
        name: role.container.to_owned(),
        image: Some(fields.image.to_owned()),
        image_pull_policy: fields.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        command: (!role.image_command).then_some(command),
        env: Some(env::merge(ours, fields.env, role.kept_env)),
        ports: Some(
            role.ports
                .iter()
                .map(|(name, port)| port_of(name, *port))
                .collect(),
        ),
        resources: fields.resources.cloned(),
        security_context: container_security(fields),
        startup_probe: Some(Probe {
            failure_threshold: Some(1800),
            ..probe(1)
        }),
        readiness_probe: Some(Probe {
            failure_threshold: Some(3),
            ..probe(2)
        }),
        liveness_probe: Some(Probe {
            failure_threshold: Some(12),
            ..probe(10)
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// A probe that the main port accepts connections. That RocketMQ serves is proven by the operator's own client.
fn probe(period_seconds: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("main".to_owned()),
            host: None,
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn port_of(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn volumes(
    fields: &PodFields<'_>,
    storage: &Storage,
    start_config_map: String,
    role: Vec<Volume>,
) -> Vec<Volume> {
    let mut volumes = vec![
        config_map_volume(START_VOLUME, start_config_map, None),
        Volume {
            name: RUN_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ];
    volumes.extend(storage.pod_volume());
    volumes.extend(role);
    for volume in fields.volumes {
        if !volumes.iter().any(|ours| ours.name == volume.name) && !is_claim(storage, &volume.name) {
            volumes.push(volume.clone());
        }
    }
    volumes
}

fn is_claim(storage: &Storage, name: &str) -> bool {
    matches!(&storage.medium, Medium::Claims(claims) if claims.iter().any(|claim| claim.metadata.name.as_deref() == Some(name)))
}

/// A volume of the ConfigMap of that name, or of some of its keys.
#[must_use]
pub fn config_map_volume(name: &str, config_map: String, items: Option<Vec<KeyToPath>>) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map,
            items,
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Members that should not share a node, where the user has not said otherwise.
fn spread(fields: &PodFields<'_>, members: Labels) -> Vec<TopologySpreadConstraint> {
    fields.topology_spread_constraints.map_or_else(
        || {
            vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                label_selector: Some(LabelSelector {
                    match_labels: Some(members),
                    match_expressions: None,
                }),
                ..TopologySpreadConstraint::default()
            }]
        },
        <[_]>::to_vec,
    )
}

/// Whether the user asked for a user that is not root; then Pod Security `restricted` can be met, and is.
fn unprivileged(fields: &PodFields<'_>) -> bool {
    let container = fields
        .container_security_context
        .and_then(|context| context.run_as_user);
    container
        .or_else(|| fields.security_context?.run_as_user)
        .is_some_and(|user| user != 0)
}

fn pod_security(users: Option<&PodSecurityContext>) -> Option<PodSecurityContext> {
    let mut context = users?.clone();
    if context.run_as_user.is_some_and(|user| user != 0) {
        context.run_as_non_root.get_or_insert(true);
        context.seccomp_profile.get_or_insert_with(runtime_default);
    }
    Some(context)
}

fn container_security(fields: &PodFields<'_>) -> Option<SecurityContext> {
    let mut context = fields.container_security_context.cloned();
    if unprivileged(fields) {
        let context = context.get_or_insert_default();
        context.allow_privilege_escalation.get_or_insert(false);
        context.capabilities.get_or_insert_with(|| capabilities(&[]));
        context.run_as_non_root.get_or_insert(true);
        context.seccomp_profile.get_or_insert_with(runtime_default);
    }
    context
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    }
}

fn capabilities(add: &[&str]) -> Capabilities {
    Capabilities {
        add: some(&add.iter().map(ToString::to_string).collect::<Vec<_>>()),
        drop: Some(vec!["ALL".to_owned()]),
    }
}

/// On a node's disk no `fsGroup` is applied, so a root container gives the pod's own folders to RocketMQ's user first.
fn own_init_container(fields: &PodFields<'_>, storage: &Storage, main: &Container) -> Option<Container> {
    if !matches!(storage.medium, Medium::HostPath(_)) {
        return None;
    }
    let pod = fields.security_context;
    let container = fields.container_security_context;
    let user = container
        .and_then(|context| context.run_as_user)
        .or_else(|| pod?.run_as_user);
    let group = container
        .and_then(|context| context.run_as_group)
        .or_else(|| pod?.run_as_group)
        .or_else(|| pod?.fs_group)
        .or(user);
    let mut command = vec![
        "sh".to_owned(),
        format!("{START_PATH}/{START_SCRIPT_KEY}"),
        "own".to_owned(),
    ];
    if let (Some(user), Some(group)) = (user, group) {
        command.push(format!("{user}:{group}"));
    }
    let mounts = main.volume_mounts.iter().flatten();
    Some(Container {
        name: "own-data".to_owned(),
        image: main.image.clone(),
        image_pull_policy: main.image_pull_policy.clone(),
        command: Some(command),
        resources: main.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(capabilities(&["CHOWN", "DAC_OVERRIDE", "FOWNER"])),
            run_as_group: Some(0),
            run_as_non_root: Some(false),
            run_as_user: Some(0),
            ..SecurityContext::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(
            mounts
                .filter(|mount| mount.name == storage.volume || mount.name == START_VOLUME)
                .cloned()
                .collect(),
        ),
        ..Container::default()
    })
}
