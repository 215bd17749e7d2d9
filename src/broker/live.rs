//! Configuration that a running broker takes at once: no part of its template, so that a change of it restarts nothing.
//!
//! It is written where every start reads it, and told to the brokers that run. What they say is read back: they say yes to
//! everything.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{LIVE_DEFAULTS, UserConfig};
use super::live_keys::{self, LiveKey};
use super::observe::{Facts, Observed, Seen};
use super::valid::{Member, Valid};
use crate::admin::perm;
use crate::api::ReplicationMode;
use crate::k8s::labels::LIVE_KEYS;
use crate::k8s::pod;

/// What each broker is to run with, by key of `broker.conf`.
pub type Live = BTreeMap<Member, BTreeMap<String, String>>;

/// The permission of a broker: what it announces of its topics through name servers.
pub const PERMISSION: &str = "brokerPermission";
/// The name servers of a broker.
pub const NAME_SERVERS: &str = "namesrvAddr";

/// Whether a group may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As the user says, by default yes.
    Open,
    /// Name servers tell producers that it is read-only.
    Fenced,
}

/// What a broker is to take live. `removed` are keys that its user set and has taken away.
#[must_use]
pub fn wanted(
    valid: &Valid,
    user: &UserConfig,
    gate: Gate,
    removed: &[&LiveKey],
) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    if valid.spec.replication_mode == Some(ReplicationMode::Sync) {
        wanted.extend(in_sync(valid.asked.replicas.min(valid.shape.replicas) > 0));
    }
    if !valid.switches.image_command {
        wanted.extend(LIVE_DEFAULTS.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for key in removed {
            let value = || key.default.to_owned();
            wanted.entry(key.name.to_owned()).or_insert_with(value);
        }
    }
    for (key, value) in named(user) {
        if !valid.switches.image_command || wanted.contains_key(key) {
            wanted.insert(key.to_owned(), value.to_owned());
        }
    }
    wanted.insert(PERMISSION.to_owned(), permission(user, gate));
    wanted
}

/// The keys that a user set and running brokers take, with their values.
fn named(user: &UserConfig) -> impl Iterator<Item = (&str, &str)> {
    let values = user.values.iter();
    values
        .map(|(key, value)| (key.as_str(), value.trim()))
        .filter(|(key, value)| live_keys::takes(key, value))
}

/// The keys that the user of a broker set, as its StatefulSet remembers, has taken away, and that it still runs with.
#[must_use]
pub fn removed(user: &UserConfig, seen: &Seen) -> Vec<&'static LiveKey> {
    let noted = seen.noted().and_then(|noted| noted.get(LIVE_KEYS));
    let noted = noted.iter().flat_map(|noted| noted.split(','));
    let runs_with = |key: &LiveKey| {
        let told = seen.facts.as_ref().map(|facts| facts.config.get(key.name));
        told.is_none_or(|told| told.is_some_and(|told| !live_keys::same(key.name, told, key.default)))
    };
    noted
        .filter(|name| named(user).all(|(key, _)| key != *name))
        .filter_map(live_keys::find)
        .filter(|key| runs_with(key))
        .collect()
}

/// The keys to be remembered: those that the user set, and those of which brokers do not know yet that they are taken away.
#[must_use]
pub fn remembered(user: &UserConfig, removed: &[&LiveKey]) -> Option<String> {
    let names = named(user)
        .map(|(key, _)| key)
        .chain(removed.iter().map(|key| key.name));
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn permission(user: &UserConfig, gate: Gate) -> String {
    let open = user.values.get(PERMISSION).map(|value| value.trim());
    match gate {
        Gate::Open => open.unwrap_or("6").to_owned(),
        Gate::Fenced => perm::READ.to_string(),
    }
}

/// On 5.x `SYNC_MASTER` alone acknowledges without any replica: two in-sync members are asked for while there are two.
fn in_sync(replicated: bool) -> [(String, String); 3] {
    let (auto, count) = if replicated { ("true", "2") } else { ("false", "1") };
    [
        ("enableAutoInSyncReplicas", auto),
        ("inSyncReplicas", count),
        ("minInSyncReplicas", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

/// What one running broker is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Which broker.
    pub member: Member,
    /// Where it answers, `host:port`.
    pub address: String,
    /// What differs, by key.
    pub changes: BTreeMap<String, String>,
}

/// What has to be told to brokers that run, so that each runs with its part of `live` and with `list`.
#[must_use]
pub fn pushes(observed: &Observed, live: &Live, list: &str) -> Vec<Push> {
    // A list of which nobody answers is rather wrong: those of the old one would forget every broker.
    let answers = observed.views.iter().any(|view| view.lists.is_ok());
    let push = |seen: &Seen| {
        let facts = seen.facts.as_ref()?;
        let mut changes = differing(facts, live.get(&seen.member)?);
        if answers && facts.misses(list) && facts.takes_name_servers_live() {
            changes.insert(NAME_SERVERS.to_owned(), list.to_owned());
        }
        (!changes.is_empty()).then(|| Push {
            member: seen.member,
            address: facts.address.clone(),
            changes,
        })
    };
    observed.members.iter().filter_map(push).collect()
}

/// What the broker says it runs with other than wanted. A key that its version does not know is not told to it.
fn differing(facts: &Facts, wanted: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let differs = |key: &str, value: &str| {
        let told = facts.config.get(key);
        told.is_some_and(|told| !live_keys::same(key, told, value))
    };
    wanted
        .iter()
        .filter(|(key, value)| differs(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether two lists name the same name servers: the order does not matter, nor does a `;` at the end.
#[must_use]
pub fn same_servers(one: Option<&str>, other: &str) -> bool {
    one.is_some_and(|one| servers(one) == servers(other))
}

/// Whether two lists have no name server in common.
#[must_use]
pub fn other_servers(one: Option<&str>, other: &str) -> bool {
    one.is_some_and(|one| servers(one).is_disjoint(&servers(other)))
}

fn servers(list: &str) -> BTreeSet<&str> {
    let each = list.split(';').map(str::trim);
    each.filter(|server| !server.is_empty()).collect()
}

/// The list of name servers that every broker was seen to run with, if that is so of all of them. One that does not run
/// reads the newest list when it starts, unless its Broker is paused: then nobody writes that list where it reads.
#[must_use]
pub fn told<'a>(observed: &Observed, list: &'a str, paused: bool) -> Option<&'a str> {
    let tells = |seen: &Seen| {
        let facts = seen.facts.as_ref();
        facts.is_some_and(|facts| !facts.misses(list))
            || !paused && seen.pod.as_deref().is_none_or(pod::broken)
    };
    observed.members.iter().all(tells).then_some(list)
}
