//! Every object of a `Broker`: pure, infallible, from what was validated.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Service, Volume, VolumeMount};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::{self, COMMON_KEY, Ports, UserConfig};
use super::live::Live;
use super::valid::{Member, Valid};
use crate::api::ReplicationMode;
use crate::k8s::apply::hash;
use crate::k8s::labels::{
    self, ADVERTISED, CONFIG_HASH, CONTENT, CONTENT_HASH, Component, GROUP, LIVE_HASH, LIVE_KEYS, Labels,
    NAME_SERVERS, POD_NAME, RENEWED, RESTART_HASH, RESTARTED_AT, ROLE, STAGE, TAKEN_OVER,
};
use crate::k8s::service;
use crate::properties;
use crate::workload::fields::PodFields;
use crate::workload::storage::Storage;
use crate::workload::template::{Role, config_map_volume, template};
use crate::workload::{
    CONFIG_PATH, GO_LOGS_PATH, GO_STORE_PATH, LOGS_PATH, START_SCRIPT, START_SCRIPT_KEY, STORE_PATH, content,
    env, set,
};

/// The key of the name server list in its ConfigMap, and the variable it becomes.
pub const NAMESRV_ADDR: &str = "NAMESRV_ADDR";
/// The variable that says what clients and replicas dial.
const ADVERTISED_ADDRESS: &str = "ROCKETMQ_ADVERTISED_ADDRESS";
/// The variable that holds what a running broker takes live too.
const LIVE_CONFIG: &str = "ROCKETMQ_LIVE_CONFIG";
/// Where the Go operator's images look for the user's configuration.
const GO_COMMON_PATH: &str = "/root/rocketmq/broker/conf/broker-common.conf";
/// The volume of the configuration parts.
const CONFIG_VOLUME: &str = "rocketmq-config";
/// What a user cannot override in the environment: who the broker is, and where its name servers are.
const KEPT_ENV: [&str; 6] = [
    NAMESRV_ADDR,
    "BROKER_ID",
    "BROKER_CLUSTER_NAME",
    "BROKER_NAME",
    ADVERTISED_ADDRESS,
    LIVE_CONFIG,
];

fn own_labels(valid: &Valid) -> Labels {
    labels::recommended(Component::Broker, &valid.name)
}

fn group_labels(valid: &Valid, group: i32) -> Labels {
    let mut labels = own_labels(valid);
    labels.insert(GROUP.to_owned(), group.to_string());
    labels
}

fn member_labels(valid: &Valid, member: Member) -> Labels {
    let mut labels = group_labels(valid, member.group);
    labels.insert(ROLE.to_owned(), member.role().to_owned());
    labels
}

/// The selector of the pods of one group.
fn group_selector(valid: &Valid, group: i32) -> Labels {
    let mut selector = labels::broker_selector(&valid.name);
    selector.insert(GROUP.to_owned(), group.to_string());
    selector
}

/// The start script, for every pod of the `Broker`.
#[must_use]
pub fn start_script(valid: &Valid) -> ConfigMap {
    ConfigMap {
        metadata: valid.target.meta(&start_script_name(valid), own_labels(valid)),
        data: Some([(START_SCRIPT_KEY.to_owned(), START_SCRIPT.to_owned())].into()),
        ..ConfigMap::default()
    }
}

fn start_script_name(valid: &Valid) -> String {
    format!("{}-start", valid.name)
}

/// The name of the ConfigMap that holds the list of name servers.
#[must_use]
pub fn name_servers_name(valid: &Valid) -> String {
    format!("{}-name-servers", valid.name)
}

/// What every start of a broker reads anew: the list of name servers, and for each broker what it takes live.
#[must_use]
pub fn name_servers(valid: &Valid, list: &str, live: &Live) -> ConfigMap {
    let mut metadata = valid.target.meta(&name_servers_name(valid), own_labels(valid));
    metadata.annotations = Some(annotations([
        (NAME_SERVERS, Some(list)),
        (LIVE_HASH, Some(&live_hash(valid, live))),
        (TAKEN_OVER, valid.taken_over.then_some(RENEWED)),
    ]));
    let mut data: Labels = [(NAMESRV_ADDR.to_owned(), list.to_owned())].into();
    data.extend(live_texts(valid, live));
    ConfigMap {
        metadata,
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn live_texts(valid: &Valid, live: &Live) -> Labels {
    let texts = live.iter().map(|(member, config)| {
        let pairs = config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        (live_key(valid, *member), properties::write(pairs))
    });
    texts.collect()
}

/// The hash of what brokers are to take live, as the ConfigMap of name servers carries it.
#[must_use]
pub fn live_hash(valid: &Valid, live: &Live) -> String {
    hash(&live_texts(valid, live))
}

fn live_key(valid: &Valid, member: Member) -> String {
    format!("{}.conf", member.name(&valid.name))
}

/// The headless Service that names the pods.
#[must_use]
pub fn headless_service(valid: &Valid, ports: Ports) -> Service {
    let metadata = valid.target.meta(&headless_name(valid), own_labels(valid));
    service::headless(metadata, labels::broker_selector(&valid.name), &named(ports))
}

fn headless_name(valid: &Valid) -> String {
    format!("{}-broker-headless", valid.name)
}

fn named(ports: Ports) -> Vec<(&'static str, i32)> {
    vec![("vip", ports.vip()), ("main", ports.main), ("ha", ports.ha)]
}

/// The Service whose address clients keep, whatever pod is behind it; with `address`, if it had one before.
#[must_use]
pub fn member_service(valid: &Valid, ports: Ports, member: Member, address: Option<&str>) -> Service {
    let metadata = valid
        .target
        .meta(&member.name(&valid.name), member_labels(valid, member));
    let mut selector = labels::broker_selector(&valid.name);
    selector.insert(POD_NAME.to_owned(), member.pod_name(&valid.name));
    let mut service = service::cluster_ip(metadata, selector, &named(ports));
    if let Some(spec) = service.spec.as_mut() {
        spec.cluster_ip = address.map(ToOwned::to_owned);
    }
    service
}

/// The name of a group's disruption budget.
#[must_use]
pub fn budget_name(valid: &Valid, group: i32) -> String {
    format!("{}-{group}-group", valid.name)
}

/// At most one member of a group is evicted at a time, and a broken one never holds up a node's drain. It knows its pods by
/// their names: those of the Go operator tell no group.
#[must_use]
pub fn disruption_budget(valid: &Valid, group: i32) -> PodDisruptionBudget {
    let name = budget_name(valid, group);
    let members = valid.shape.members().chain(valid.leftovers.iter().copied());
    let pods = members.filter(|member| member.group == group);
    let is_one_of_them = LabelSelectorRequirement {
        key: POD_NAME.to_owned(),
        operator: "In".to_owned(),
        values: Some(pods.map(|member| member.pod_name(&valid.name)).collect()),
    };
    PodDisruptionBudget {
        metadata: valid.target.meta(&name, group_labels(valid, group)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::broker_selector(&valid.name)),
                match_expressions: Some(vec![is_one_of_them]),
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// One broker: its configuration, and the StatefulSet of its one pod. Written together.
#[derive(Clone, Debug)]
pub struct BrokerSet {
    /// The configuration parts.
    pub config: ConfigMap,
    /// The StatefulSet.
    pub set: StatefulSet,
}

/// What a broker's StatefulSet remembers, as its annotations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept<'a> {
    /// Marks the master of a group that may not be written to yet.
    pub stage: Option<&'a str>,
    /// When the user last asked for a restart; kept when the wish is taken back, which restarts nothing.
    pub restarted_at: Option<&'a str>,
    /// The name of its data volume, where the spec has none and the Go operator made one up.
    pub volume: Option<&'a str>,
    /// The keys that its user set and it takes while it runs: [`super::live::remembered`].
    pub live_keys: Option<&'a str>,
    /// The annotations of its StatefulSet as it is, or of its pod while that is being made anew: what they say of the
    /// configuration and of what its pods use.
    pub before: Option<&'a Labels>,
}

/// The broker `member`, reached at `service_ip` unless the spec advertises the pod's own address.
#[must_use]
pub fn broker_set(
    valid: &Valid,
    user: &UserConfig,
    member: Member,
    service_ip: &str,
    kept: Kept<'_>,
) -> BrokerSet {
    let name = member.name(&valid.name);
    let labels = member_labels(valid, member);
    let config_name = config_name(&name);
    let parts = config::parts(valid, user, member);
    let storage = &valid.storage.called(kept.volume);
    let restart_hash = config::restart_hash(valid, user, member);
    let config_hash = config_hash(kept.before, &restart_hash, &parts);
    let noted = content::noted(kept.before, &user.contents);
    let fields = PodFields::from(&valid.spec);
    let mut pod_labels = labels.clone();
    pod_labels.extend(labels::broker_selector(&valid.name));
    let role = Role {
        container: "broker",
        command: "broker",
        start_config_map: start_script_name(valid),
        image_command: valid.switches.image_command,
        labels: pod_labels,
        annotations: annotations([
            (RESTARTED_AT, kept.restarted_at),
            (CONFIG_HASH, Some(&config_hash)),
            (CONTENT_HASH, noted.mark.as_deref()),
        ]),
        spread: group_selector(valid, member.group),
        ports: named(user.ports),
        env: environment(valid, member, service_ip),
        kept_env: &KEPT_ENV,
        volumes: volumes(&config_name),
        mounts: mounts(valid, user, storage, &name),
        dns_policy: "ClusterFirstWithHostNet".to_owned(),
    };
    let template = template(&fields, storage, role);
    let shape = set::Shape {
        name: &name,
        labels: labels.clone(),
        selector: labels::broker_selector(&valid.name),
        service: headless_name(valid),
        replicas: 1,
        retention: valid.spec.persistent_volume_claim_retention_policy.as_ref(),
    };
    let mut set = set::stateful_set(&valid.target, shape, storage, template);
    let remembered = annotations([
        (
            ADVERTISED,
            Some(service_ip).filter(|service_ip| !service_ip.is_empty()),
        ),
        (STAGE, kept.stage),
        (RESTARTED_AT, kept.restarted_at),
        (CONFIG_HASH, Some(&config_hash)),
        (RESTART_HASH, Some(&restart_hash)),
        (LIVE_KEYS, kept.live_keys),
        (TAKEN_OVER, valid.taken_over.then_some(RENEWED)),
        (CONTENT, noted.contents.as_deref()),
        (CONTENT_HASH, noted.mark.as_deref()),
    ]);
    // The same once more for the time in which the set is made anew around its pod.
    let mut metadata = valid.target.meta(&config_name, labels);
    metadata.annotations = Some(remembered.clone());
    set.metadata
        .annotations
        .get_or_insert_default()
        .extend(remembered);
    BrokerSet {
        set,
        config: ConfigMap {
            metadata,
            data: Some(parts),
            ..ConfigMap::default()
        },
    }
}

fn annotations<const N: usize>(all: [(&str, Option<&str>); N]) -> Labels {
    let given = all.into_iter();
    given
        .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
        .collect()
}

/// What makes a new template of an equal one, for another configuration. It stays as it was as long as only that changed
/// which running brokers take.
fn config_hash(before: Option<&Labels>, restart_hash: &str, parts: &Labels) -> String {
    let annotation = |key: &str| before.and_then(|noted| noted.get(key));
    let same = annotation(RESTART_HASH).is_some_and(|noted| noted == restart_hash);
    let kept = annotation(CONFIG_HASH).filter(|_| same);
    kept.cloned().unwrap_or_else(|| hash(parts))
}

/// The name of the ConfigMap that holds the configuration of the broker whose StatefulSet has that name.
#[must_use]
pub fn config_name(set: &str) -> String {
    format!("{set}-config")
}

fn volumes(config_name: &str) -> Vec<Volume> {
    vec![config_map_volume(CONFIG_VOLUME, config_name.to_owned(), None)]
}

/// The Go operator's environment, and what clients and replicas dial.
fn environment(valid: &Valid, member: Member, service_ip: &str) -> Vec<EnvVar> {
    let mut vars = vec![
        env::config_map_key(NAMESRV_ADDR, &name_servers_name(valid), NAMESRV_ADDR),
        env::config_map_key(LIVE_CONFIG, &name_servers_name(valid), &live_key(valid, member)),
        env::value("BROKER_ID", member.id().to_string()),
        env::value("BROKER_CLUSTER_NAME", valid.name.clone()),
        env::value("BROKER_NAME", valid.broker_name(member.group)),
        env::field("POD_IP", "status.podIP"),
        if valid.advertises_pod_ip() {
            env::field(ADVERTISED_ADDRESS, "status.podIP")
        } else {
            env::value(ADVERTISED_ADDRESS, service_ip)
        },
    ];
    if let Some(mode) = valid.spec.replication_mode {
        let mode = match mode {
            ReplicationMode::Sync => "SYNC",
            ReplicationMode::Async => "ASYNC",
        };
        vars.push(env::value("REPLICATION_MODE", mode));
    }
    vars
}

/// The Go operator's folders of the data volume, at paths that any user can reach; with the image's own command, where
/// that looks for them.
fn mounts(valid: &Valid, user: &UserConfig, storage: &Storage, name: &str) -> Vec<VolumeMount> {
    let (store, logs) = if valid.switches.image_command {
        (GO_STORE_PATH, GO_LOGS_PATH)
    } else {
        (STORE_PATH, LOGS_PATH)
    };
    let mut mounts = vec![
        storage.mount(logs, format!("logs/{name}")),
        storage.mount(store, format!("store/{name}")),
        VolumeMount {
            name: CONFIG_VOLUME.to_owned(),
            mount_path: CONFIG_PATH.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        },
    ];
    let first = valid.spec.volumes.iter().flatten().next();
    if let Some(volume) = first.filter(|_| valid.switches.image_command && user.common.is_some()) {
        mounts.push(VolumeMount {
            name: volume.name.clone(),
            mount_path: GO_COMMON_PATH.to_owned(),
            sub_path: Some(COMMON_KEY.to_owned()),
            ..VolumeMount::default()
        });
    }
    mounts
}
