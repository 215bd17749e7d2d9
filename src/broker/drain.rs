//! What is seen of a group that leaves, and what is told to brokers for it. What follows from it is [`leave`]'s.

use futures::future::join_all;

use super::backlog::{self, Who};
use super::budget::Budget;
use super::homes;
use super::leave::{self, Presence};
use super::leave_gates;
use super::observe::{Observed, Seen};
use super::order_topics;
use super::valid::{Member, Valid};
use crate::admin::{self, Admin, Registration, SubscriptionGroup, Topics, confirm};
use crate::k8s::pod;

/// How many of its topics are asked for on each name server. A broker registers all of them at once.
const SAMPLE: usize = 20;

/// A group that leaves, as it was seen.
#[derive(Debug)]
pub struct Drain {
    /// The group.
    pub group: i32,
    /// What decides about the next step.
    pub seen: leave::Seen,
    /// Where each topic and subscription group that only it has is to be made.
    pub moves: Vec<Move>,
}

/// What is to be made on a master that stays.
#[derive(Clone, Debug)]
pub struct Move {
    /// Where that master answers, `host:port`.
    pub address: String,
    /// Which one it is.
    pub member: Member,
    /// The topics, and how their attributes are put.
    pub topics: Vec<homes::Home>,
    /// The subscription groups; made first.
    pub groups: Vec<SubscriptionGroup>,
}

/// Looks at the group that is to leave, or was to.
pub async fn observe(valid: &Valid, observed: &Observed, admin: &dyn Admin) -> Option<Drain> {
    let accepted = valid.accepted?;
    let group = leave::next_group(valid.asked.groups, accepted.groups, valid.scale_in.as_deref())?;
    let members = || {
        observed
            .members
            .iter()
            .filter(move |seen| seen.member.group == group)
    };
    let master = members().find(|seen| seen.member.is_master());
    let replicas = members().filter(|seen| !seen.member.is_master());
    let who = Who {
        cluster: valid.name.clone(),
        broker_name: valid.broker_name(group),
    };
    let facts = master.and_then(|master| master.facts.as_ref());
    let unseen = || {
        format!(
            "{} does not serve",
            Member { group, replica: 0 }.pod_name(&valid.name)
        )
    };
    let ignore = valid
        .scale_in_options()
        .ignore_consumer_groups
        .unwrap_or_default();
    let backlog = match facts {
        Some(facts) => {
            let others = observed.other_masters(valid, group);
            backlog::look_with(admin, &facts.address, &who, (&others, &ignore)).await
        }
        None => Err(unseen()),
    };
    let topics = match facts {
        Some(facts) => admin.topics(&facts.address).await.map_err(|err| err.to_string()),
        None => Err(unseen()),
    };
    let others = others(valid, observed, group, admin).await;
    let fenced = match &topics {
        Ok(topics) => fenced(observed, &who, topics, admin).await,
        Err(why) => Err(why.clone()),
    };
    let order_topics = {
        let homes: Vec<order_topics::Home<'_>> = others
            .iter()
            .flatten()
            .map(|(member, _, topics)| (valid.broker_name(member.group), topics))
            .collect();
        let memory = valid.scale_in.as_deref().filter(|memory| memory.group == group);
        let cluster = order_topics::Cluster {
            broker_name: &who.broker_name,
            leaving: topics.as_ref().ok(),
            homes: &homes,
        };
        order_topics::observe(observed, &cluster, memory, admin).await
    };
    let (homeless, moves) = match (&topics, others) {
        (Ok(topics), Ok(others)) => moves(topics, &others, &who, facts, admin).await,
        (Err(why), _) => (Err(why.clone()), Vec::new()),
        (_, Err(why)) => (Err(why), Vec::new()),
    };
    Some(Drain {
        group,
        moves,
        seen: leave::Seen {
            homeless,
            order_topics,
            permission: facts
                .and_then(|facts| facts.config.broker_permission())
                .ok_or_else(unseen),
            fenced,
            backlog,
            broken: master
                .and_then(|master| master.pod.as_deref())
                .filter(|pod| pod::broken(pod))
                .map(|_| {
                    format!(
                        "pod {} does not run",
                        Member { group, replica: 0 }.pod_name(&valid.name)
                    )
                }),
            replicas: presence(replicas),
            master: presence(master.into_iter()),
            listed: listed(valid, observed, group),
            objects: members().any(|seen| seen.has_belongings) || observed.budgets.contains(&group),
        },
    })
}

fn presence<'a>(members: impl Iterator<Item = &'a Seen>) -> Presence {
    members.fold(Presence::Gone, |all, seen| match (all, &seen.set, &seen.pod) {
        (Presence::Kept, ..) | (_, Some(_), _) => Presence::Kept,
        (_, None, Some(_)) => Presence::Ending,
        (all, None, None) => all,
    })
}

/// Whether any name server lists any broker of the group; an error if one does not tell.
fn listed(valid: &Valid, observed: &Observed, group: i32) -> Result<bool, String> {
    let mut listed = false;
    for view in &observed.views {
        let info = view
            .lists
            .as_ref()
            .map_err(|why| format!("{}: {why}", view.name))?;
        listed |= info.brokers.contains_key(&valid.broker_name(group));
    }
    Ok(listed)
}

/// A master that stays and takes writes: which one, where it answers, what topics it has.
type Other = (Member, String, Topics);

async fn others(
    valid: &Valid,
    observed: &Observed,
    group: i32,
    admin: &dyn Admin,
) -> Result<Vec<Other>, String> {
    let staying = observed
        .members
        .iter()
        .filter(|seen| seen.member.is_master() && seen.member.group < group);
    let mut others = Vec::new();
    for seen in staying {
        let pod = seen.member.pod_name(&valid.name);
        let facts = seen
            .facts
            .as_ref()
            .ok_or_else(|| format!("{pod} does not serve"))?;
        if facts.fenced() == Some(true) {
            continue;
        }
        let topics = admin.topics(&facts.address).await;
        let topics = topics.map_err(|err| format!("{pod}: {err}"))?;
        others.push((seen.member, facts.address.clone(), topics));
    }
    Ok(others)
}

async fn fenced(observed: &Observed, who: &Who, topics: &Topics, admin: &dyn Admin) -> Result<bool, String> {
    let names: Vec<_> = topics.topics.keys().take(SAMPLE).collect();
    let mut views = Vec::new();
    for view in &observed.views {
        let Some(address) = view.address.as_deref() else {
            return Err(format!("{} has no address", view.name));
        };
        let routes: Vec<_> = names.iter().map(|name| admin.route(address, name)).collect();
        let routes = join_all(routes).await;
        views.push((view.name.clone(), routes));
    }
    leave_gates::fenced(&who.broker_name, &views)
}

/// What only the leaving master has, and where it is to go.
async fn moves(
    topics: &Topics,
    others: &[Other],
    who: &Who,
    facts: Option<&super::observe::Facts>,
    admin: &dyn Admin,
) -> (Result<Vec<admin::TopicConfig>, String>, Vec<Move>) {
    let tables: Vec<&Topics> = others.iter().map(|(_, _, topics)| topics).collect();
    let homeless = homes::homeless(topics, &tables, who);
    let mut moves: Vec<Move> = others
        .iter()
        .map(|(member, address, _)| Move {
            address: address.clone(),
            member: *member,
            topics: Vec::new(),
            groups: Vec::new(),
        })
        .collect();
    for topic in &homeless {
        if let Some(home) = homes::home(topic, &tables)
            && let Some(to) = moves.get_mut(home.place)
        {
            to.topics.push(home);
        }
    }
    // A consumer group reads from every master, so each that stays has to know it.
    if let Some(facts) = facts
        && let Err(err) = lacking_groups(&facts.address, &mut moves, admin).await
    {
        return (Err(err.to_string()), moves);
    }
    moves.retain(|to| !to.topics.is_empty() || !to.groups.is_empty());
    (Ok(homeless), moves)
}

/// Adds to what is made on each master that stays the subscription groups that it has not.
async fn lacking_groups(from: &str, moves: &mut [Move], admin: &dyn Admin) -> Result<(), admin::Error> {
    if moves.is_empty() {
        return Ok(());
    }
    let from = admin.subscription_groups(from).await?;
    let tables = moves.iter().map(|to| admin.subscription_groups(&to.address));
    let tables = join_all(tables.collect::<Vec<_>>()).await;
    for (to, table) in moves.iter_mut().zip(tables) {
        to.groups = homes::missing_groups(&from, &table?);
    }
    Ok(())
}

/// Makes on masters that stay what only the leaving one has, on all of them side by side.
///
/// # Errors
/// The first that one refuses or does not answer; it keeps nothing back from the others.
pub async fn carry(
    valid: &Valid,
    moves: &[Move],
    (admin, budget): (&dyn Admin, Budget),
) -> Result<(), admin::Error> {
    let carried = moves.iter().map(|to| async move {
        let broker = confirm(admin, &to.address, &valid.broker_name(to.member.group), 0).await?;
        let topics = to.topics.iter().map(|home| (&home.topic, home.attributes));
        budget.make(&broker, &to.groups, topics).await
    });
    join_all(carried).await.into_iter().collect()
}

/// Strikes what is left of a group off every name server that lists it: its brokers are gone and did not say so.
pub async fn strike_off(
    valid: &Valid,
    observed: &Observed,
    group: i32,
    admin: &dyn Admin,
) -> Result<(), admin::Error> {
    let name = valid.broker_name(group);
    for view in &observed.views {
        let (Some(address), Ok(info)) = (view.address.as_deref(), &view.lists) else {
            continue;
        };
        let Some(data) = info.brokers.get(&name) else {
            continue;
        };
        for (id, broker) in &data.addresses {
            let registration = Registration {
                cluster: data.cluster.clone(),
                broker_name: name.clone(),
                broker_id: *id,
                address: broker.clone(),
            };
            admin.unregister_broker(address, &registration).await?;
        }
    }
    Ok(())
}
