//! Opening a new group: its master takes no traffic until it has the topics and subscription groups of another one.
//!
//! Only what is missing is created, and nothing that a user made is updated: see [`super::missing`].

use std::collections::BTreeMap;

use futures::future::{join, join_all};
use kube::ResourceExt;

use super::missing::{Kept, Missing};
use super::observe::{Answer, Facts, Observed, Seen};
use super::tables::Tables;
use super::valid::{Member, Valid};
use super::volatile;
use crate::admin::Admin;
use crate::k8s::labels::{OPENING, STAGE};

/// What a new group still lacks, by group.
pub type Openings = BTreeMap<i32, Result<Missing, String>>;

/// Whether this is the master of a group that is being opened. Its StatefulSet remembers that, and the status: a set that cannot be
/// written now keeps its annotation when the group is open.
#[must_use]
pub fn is_opening(valid: &Valid, seen: &Seen) -> bool {
    let group = seen.member.group;
    let set = seen.set.as_deref();
    let says = set.is_some_and(|set| set.annotations().get(STAGE).is_some_and(|stage| stage == OPENING));
    let is_new = valid.accepted.is_none_or(|accepted| group >= accepted.groups);
    says && (is_new || valid.opening.contains(&group))
}

/// What each group that is being opened lacks, as far as its master can be filled now: it answers, every name server lists
/// it, and it announces itself as read-only.
pub async fn observe(valid: &Valid, observed: &Observed, admin: &dyn Admin) -> Openings {
    let masters = observed.members.iter().filter(|seen| is_opening(valid, seen));
    let openings = masters.map(|master| async move {
        let missing = match fillable(valid, observed, master) {
            Ok((source, target)) => missing(valid, source, target, admin).await,
            Err(why) => Err(why),
        };
        (master.member.group, missing)
    });
    join_all(openings).await.into_iter().collect()
}

/// The source and what the master says of itself, or why the master cannot be filled yet.
fn fillable<'a>(
    valid: &Valid,
    observed: &'a Observed,
    master: &'a Seen,
) -> Result<(&'a Seen, &'a Facts), String> {
    let pod = master.member.pod_name(&valid.name);
    let Some(facts) = &master.facts else {
        return Err(format!("waiting until {pod} serves"));
    };
    if !observed.is_listed(valid, master.member) {
        return Err(format!("waiting until every name server lists {pod}"));
    }
    if facts.fenced() != Some(true) {
        return Err(format!("waiting until {pod} is read-only"));
    }
    Ok((source(valid, observed)?, facts))
}

/// The master whose topics and groups a new group starts with.
fn source<'a>(valid: &Valid, observed: &'a Observed) -> Result<&'a Seen, String> {
    let first = Member { group: 0, replica: 0 }.pod_name(&valid.name);
    let named = valid.spec.scale_pod_name.as_deref();
    let name = named.unwrap_or(&first);
    let mut masters = observed.members.iter().filter(|seen| seen.member.is_master());
    let found = masters.find(|seen| seen.member.pod_name(&valid.name) == name);
    match found {
        None => Err(format!(
            "spec.scalePodName {name:?} is no master of this Broker; name one, such as {first}"
        )),
        Some(seen) if is_opening(valid, seen) => Err(format!(
            "spec.scalePodName {name:?} is itself a new group; name one that has topics, such as {first}"
        )),
        Some(seen) if volatile::emptied(observed).is_some_and(|emptied| emptied.member == seen.member) => {
            Err(format!(
                "waiting until {name} has its topics again: its store is new"
            ))
        }
        Some(seen) => match &seen.answer {
            Answer::Serves => Ok(seen),
            Answer::NotAsked => Err(format!("{name} cannot be read: its pod is not ready")),
            Answer::No(why) => Err(format!("{name} cannot be read: {why}")),
        },
    }
}

async fn missing(valid: &Valid, source: &Seen, target: &Facts, admin: &dyn Admin) -> Result<Missing, String> {
    let name = source.member.pod_name(&valid.name);
    let address = source
        .facts
        .as_ref()
        .map(|facts| facts.address.as_str())
        .unwrap_or_default();
    let (from, to) = join(Kept::read(address, admin), Kept::read(&target.address, admin)).await;
    let from = from.map_err(|err| format!("{name} cannot be read: {err}"))?;
    let to = to.map_err(|err| format!("the new master cannot be read: {err}"))?;
    let wanted = Tables::of(&from, &valid.name, &valid.broker_name(source.member.group));
    Ok(Missing::of(name, &wanted, &to, target.runtime.release()))
}
