//! Configuration that a running broker takes at once: no part of its template, so that a change of it restarts nothing.
//!
//! It is written where every start reads it, and told to the brokers that run. What they say is read back: they say yes to
//! everything.

use std::collections::{BTreeMap, BTreeSet};

use super::config::UserConfig;
use super::observe::{Facts, Observed};
use super::valid::{Member, Valid};
use crate::admin::perm;
use crate::api::ReplicationMode;
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

/// What a broker of the group is to take live.
#[must_use]
pub fn wanted(valid: &Valid, user: &UserConfig, gate: Gate) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::from([(PERMISSION.to_owned(), permission(user, gate))]);
    if valid.spec.replication_mode == Some(ReplicationMode::Sync) {
        wanted.extend(in_sync(valid.asked.replicas.min(valid.shape.replicas) > 0));
    }
    for (key, value) in &mut wanted {
        if let Some(users) = user.values.get(key).filter(|_| key != PERMISSION) {
            users.trim().clone_into(value);
        }
    }
    wanted
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
    let push = |seen: &super::observe::Seen| {
        let facts = seen.facts.as_ref()?;
        let mut changes = differing(facts, live.get(&seen.member)?);
        if facts.misses(list) && facts.takes_name_servers_live() {
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
    let Some(config) = &facts.config else {
        return BTreeMap::new();
    };
    wanted
        .iter()
        .filter(|(key, value)| config.get(key).is_some_and(|now| now != value.as_str()))
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
    let tells = |seen: &super::observe::Seen| {
        let config = seen.facts.as_ref().and_then(|facts| facts.config.as_ref());
        config.is_some_and(|config| same_servers(config.get(NAME_SERVERS), list))
            || !paused && seen.pod.as_deref().is_none_or(pod::broken)
    };
    observed.members.iter().all(tells).then_some(list)
}
