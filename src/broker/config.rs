//! `broker.conf`: the operator's defaults, the user's `broker-common.conf`, `spec.config`, and identity, in that order.
//!
//! The parts are joined in the pod by `start.sh`, later ones winning as `java.util.Properties` reads them. The user's
//! text is passed on untouched; what must not be overridden is said again after it.

use std::collections::BTreeMap;

use super::valid::{Member, Valid};
use super::{live_keys, properties};
use crate::api::ReplicationMode;
use crate::k8s::apply::hash;
use crate::workload::content::Contents;
use crate::workload::{GO_STORE_PATH, STORE_PATH};

/// The key of the user's configuration in the ConfigMap of `spec.volumes[0]`.
pub const COMMON_KEY: &str = "broker-common.conf";

/// Keys that say who a broker is. They are the operator's; a user's value is overridden and named in `ConfigAccepted`.
const IDENTITY: [&str; 4] = ["brokerClusterName", "brokerName", "brokerId", "namesrvAddr"];

const DELETE_WHEN: (&str, &str) = ("deleteWhen", "04");
const FILE_RESERVED_TIME: (&str, &str) = ("fileReservedTime", "48");
/// The operator's defaults for keys that running brokers take.
pub const LIVE_DEFAULTS: [(&str, &str); 2] = [DELETE_WHEN, FILE_RESERVED_TIME];

/// Modes of RocketMQ in which a StatefulSet's pod is not the broker its name says: refused before anything starts.
const UNSUPPORTED: [(&str, &str); 2] = [
    (
        "enableControllerMode",
        "brokers under a RocketMQ Controller are not supported",
    ),
    ("enableDLegerCommitLog", "DLedger commit logs are not supported"),
];

/// The ports of a broker, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `listenPort`: clients, replicas and the operator.
    pub main: i32,
    /// `haListenPort`: replicas, for messages.
    pub ha: i32,
}

impl Ports {
    /// The port that RocketMQ opens two below `listenPort`.
    #[must_use]
    pub fn vip(self) -> i32 {
        self.main - 2
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            main: 10911,
            ha: 10912,
        }
    }
}

/// What the user's configuration says, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserConfig {
    /// `broker-common.conf`, untouched.
    pub common: Option<String>,
    /// What `broker-common.conf` and `spec.config` say together, the latter winning.
    pub values: BTreeMap<String, String>,
    /// Keys of the user that the operator overrides.
    pub overridden: Vec<String>,
    /// The ports that follow from it.
    pub ports: Ports,
    /// What pods use of the user's ConfigMaps and Secrets otherwise.
    pub contents: Contents,
}

impl UserConfig {
    /// Reads the user's configuration; what cannot be done is told as key and remedy.
    pub fn read(common: Option<String>, spec: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut values = common.as_deref().map(properties::parse).unwrap_or_default();
        values.extend(spec.clone());
        for (key, why) in UNSUPPORTED {
            if values.get(key).is_some_and(|value| value.trim() == "true") {
                return Err(format!("{key}=true: {why}; remove the key"));
            }
        }
        if let Some((key, path)) = values
            .iter()
            .find(|(key, path)| key.starts_with("storePath") && inside(path).is_none())
        {
            return Err(format!(
                "{key}={path} is outside the data volume, where it would be lost with the pod; use a path below {STORE_PATH}"
            ));
        }
        let main = port(&values, "listenPort", Ports::default().main)?;
        let ports = Ports {
            main,
            ha: port(&values, "haListenPort", main + 1)?,
        };
        let overridden = IDENTITY
            .iter()
            .filter(|key| values.contains_key(**key))
            .map(ToString::to_string)
            .collect();
        Ok(Self {
            common,
            values,
            overridden,
            ports,
            contents: Contents::new(),
        })
    }
}

/// A store path as it is in the pod; `None` outside the data volume. The Go operator's mount is the same data.
fn inside(path: &str) -> Option<String> {
    let path = path.trim();
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let below = |root: &str| {
        path.strip_prefix(root)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(STORE_PATH)
        .or_else(|| below(GO_STORE_PATH))
        .map(|rest| format!("{STORE_PATH}{rest}"))
}

fn port(values: &BTreeMap<String, String>, key: &str, default: i32) -> Result<i32, String> {
    values.get(key).map_or(Ok(default), |value| {
        value
            .trim()
            .parse()
            .ok()
            .filter(|port| (3..=65535).contains(port))
            .ok_or_else(|| format!("{key}={value} is no port; use a number from 3 to 65535"))
    })
}

/// The parts of one broker's configuration, by the names under which `start.sh` joins them.
#[must_use]
pub fn parts(valid: &Valid, user: &UserConfig, member: Member) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::from([
        (
            "10-defaults.conf".to_owned(),
            properties::write(as_text(&defaults(user))),
        ),
        (
            "40-identity.conf".to_owned(),
            properties::write(as_text(&identity(valid, user, member))),
        ),
    ]);
    if let Some(common) = &user.common {
        parts.insert("20-common.conf".to_owned(), common.clone());
    }
    let config = valid.spec.config.clone().unwrap_or_default();
    if !config.is_empty() {
        let pairs = config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        parts.insert("30-spec.conf".to_owned(), properties::write(pairs));
    }
    parts
}

/// The hash of what a broker's configuration says but for what it takes while it runs. With the image's own command nobody
/// reads that when a broker starts, so everything counts.
#[must_use]
pub fn restart_hash(valid: &Valid, user: &UserConfig, member: Member) -> String {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    let (defaults, identity) = (defaults(user), identity(valid, user, member));
    values.extend(as_text(&defaults));
    values.extend(
        user.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    );
    values.extend(as_text(&identity));
    if !valid.switches.image_command {
        values.retain(|key, value| !live_keys::takes(key, value));
    }
    hash(&values)
}

type Pairs = Vec<(&'static str, String)>;

fn as_text(pairs: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(key, value)| (*key, value.as_str()))
}

fn defaults(user: &UserConfig) -> Pairs {
    vec![
        ("brokerRole", "ASYNC_MASTER".to_owned()),
        (DELETE_WHEN.0, DELETE_WHEN.1.to_owned()),
        (FILE_RESERVED_TIME.0, FILE_RESERVED_TIME.1.to_owned()),
        ("haListenPort", user.ports.ha.to_string()),
        ("registerNameServerPeriod", "10000".to_owned()),
        ("storePathCommitLog", format!("{STORE_PATH}/commitlog")),
        ("storePathRootDir", STORE_PATH.to_owned()),
        ("updateNameServerAddrPeriod", "10000".to_owned()),
    ]
}

fn identity(valid: &Valid, user: &UserConfig, member: Member) -> Pairs {
    let mut pairs = vec![
        ("brokerClusterName", valid.name.clone()),
        ("brokerId", member.id().to_string()),
        ("brokerName", valid.broker_name(member.group)),
    ];
    if let Some(role) = role(valid, user, member) {
        pairs.push(("brokerRole", role.to_owned()));
    }
    // Paths that the user wrote for the Go operator's mount of the same data.
    for key in [
        "storePathRootDir",
        "storePathCommitLog",
        "storePathConsumeQueue",
        "storePathIndex",
    ] {
        if let Some(path) = user
            .values
            .get(key)
            .filter(|path| !path.trim().starts_with(STORE_PATH))
            .and_then(|path| inside(path))
        {
            pairs.push((key, path));
        }
    }
    pairs
}

/// The role that must hold whatever the user wrote: a replica's always, a master's where the spec names a replication
/// mode or the user's value would make it no master.
fn role(valid: &Valid, user: &UserConfig, member: Member) -> Option<&'static str> {
    if !member.is_master() {
        return Some("SLAVE");
    }
    match valid.spec.replication_mode {
        Some(ReplicationMode::Sync) => Some("SYNC_MASTER"),
        Some(ReplicationMode::Async) => Some("ASYNC_MASTER"),
        None => match user.values.get("brokerRole").map(|role| role.trim()) {
            None | Some("SYNC_MASTER" | "ASYNC_MASTER") => None,
            Some(_) => Some("ASYNC_MASTER"),
        },
    }
}

/// Keys of the user that `parts` overrides, for the condition.
#[must_use]
pub fn overridden(valid: &Valid, user: &UserConfig) -> Vec<String> {
    let mut keys = user.overridden.clone();
    let asked = user.values.get("brokerRole").map(|role| role.trim());
    let given = role(valid, user, Member { group: 0, replica: 0 });
    if asked.is_some() && given.is_some() && asked != given {
        keys.push("brokerRole".to_owned());
    }
    keys
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
