//! Carries out a plan: every write of a `Broker` but its status.

use futures::future::{join_all, join4};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;

use super::ahead;
use super::budget::Budget;
use super::children;
use super::config::{Ports, UserConfig};
use super::drain::{self, Drain};
use super::leave;
use super::live::Push;
use super::missing;
use super::observe::Observed;
use super::order_topics;
use super::plan::{Plan, SetPlan};
use super::retire::Retire;
use super::roll::Roll;
use super::status::Done;
use super::tables;
use super::valid::{Member, Valid};
use super::volatile::Refill;
use crate::admin::{self, Admin, confirm};
use crate::context::{self, Context};
use crate::error::{Class, Error};
use crate::k8s::apply::{Hand, refusal, remove};
use crate::k8s::labels::ADVERTISED;
use crate::workload::grow::{self, Grown};
use crate::workload::set::{self, Verdict};
use crate::workload::{remake, replace};

/// Writes what differs. Services come first, because their addresses go into what follows; a StatefulSet comes after
/// the configuration that its pod starts with.
pub(super) async fn apply(
    valid: &Valid,
    user: &UserConfig,
    (plan, observed): (&Plan, &Observed),
    (ctx, admin): (&Context, &dyn Admin),
) -> Result<Done, Error> {
    let mut hand = Hand::new(ctx, &valid.target);
    let namespace = valid.target.namespace.as_str();
    let Some(list) = &plan.name_server_list else {
        return Ok(Done::default());
    };
    let stores = &ctx.stores;
    let map = |name: &str| context::get(&stores.config_maps, namespace, name).map(|map| map.metadata.clone());
    let service =
        |name: &str| context::get(&stores.services, namespace, name).map(|service| service.metadata.clone());
    let budget = |name: &str| {
        context::get(&stores.disruption_budgets, namespace, name).map(|budget| budget.metadata.clone())
    };

    for member in valid.shape.members().filter(|member| !plan.leaves(*member)) {
        let seen = observed.broker(member);
        let ports = seen.map_or(user.ports, |seen| seen.ports(user));
        write_service(&mut hand, valid, ports, member, ctx).await?;
    }
    hand.ensure(&children::headless_service(valid, user.ports), service)
        .await?;
    hand.ensure(&children::start_script(valid), map).await?;
    hand.ensure(&children::name_servers(valid, list, &plan.live), map)
        .await?;
    let master = |group| Member { group, replica: 0 };
    for group in (0..valid.shape.groups).filter(|group| !plan.leaves(master(*group))) {
        hand.ensure(&children::disruption_budget(valid, group), budget)
            .await?;
    }
    if let Some(note) = &plan.note {
        hand.ensure(note, map).await?;
    }
    let mut growth = None;
    let mut refused = Vec::new();
    for set in &plan.sets {
        match write_set(&mut hand, valid, (set, &plan.roll), ctx, &mut growth).await {
            // The user is told, and the other brokers are looked after.
            Err(err) if err.class() == Class::Invalid => refused.push(err.to_string()),
            other => other?,
        }
    }
    for pod in &plan.replace {
        replace::broken_pod(ctx, pod).await?;
    }
    for (member, step) in &plan.leaving {
        retire(valid, (*member, *step), ctx).await?;
    }
    for group in &plan.forget {
        remove::<ConfigMap>(ctx, &valid.target, &tables::name(valid, *group)).await?;
    }
    refused.extend(told(valid, (plan, observed), (ctx, admin)).await?);
    Ok(Done {
        foreign: hand.foreign,
        refused,
        growth,
    })
}

/// What the API server says to the StatefulSet that is written next, where it does not take it: asked before anything is done for
/// the restart of its pod.
pub(super) async fn refused(
    valid: &Valid,
    set: Option<SetPlan>,
    ctx: &Context,
) -> Result<Option<String>, Error> {
    match set.filter(|_| !valid.switches.paused) {
        Some(set) => refusal(ctx, &set.desired.set).await,
        None => Ok(None),
    }
}

/// What is done for the group that leaves beside stopping its brokers. The inner error is what RocketMQ says to it.
async fn scale_in(
    valid: &Valid,
    observed: &Observed,
    (step, drain): (&leave::Step, &Drain),
    (ctx, admin, budget): (&Context, &dyn Admin, Budget),
) -> Result<Result<(), admin::Error>, Error> {
    if step.remove {
        let budget = children::budget_name(valid, drain.group);
        remove::<PodDisruptionBudget>(ctx, &valid.target, &budget).await?;
    }
    if step.unregister {
        return Ok(drain::strike_off(valid, observed, drain.group, admin).await);
    }
    Ok(moved(valid, (step, drain), (admin, budget)).await)
}

/// Makes elsewhere what only the leaving group has, then takes it out of the queues of order topics; or puts it back.
async fn moved(
    valid: &Valid,
    (step, drain): (&leave::Step, &Drain),
    with: (&dyn Admin, Budget),
) -> Result<(), admin::Error> {
    let mut carried = Ok(());
    if step.carry {
        carried = drain::carry(valid, &drain.moves, with).await;
    }
    let (Some(_), Ok(topics)) = (&step.memory, &drain.seen.order_topics) else {
        return carried;
    };
    let entries = if step.restore {
        &topics.again
    } else {
        &topics.without
    };
    carried.and(order_topics::put(entries, with).await)
}

/// One step of a broker that leaves. What becomes of its claims is that of scaling, not of deleting the `Broker`: its
/// StatefulSet is told so first.
async fn retire(valid: &Valid, (member, step): (Member, Retire), ctx: &Context) -> Result<(), Error> {
    let (namespace, name) = (valid.target.namespace.as_str(), member.name(&valid.name));
    match step {
        Retire::Stop => {
            let retention = valid.spec.persistent_volume_claim_retention_policy;
            let then = retention.and_then(|asked| asked.when_scaled).unwrap_or_default();
            if let Some(live) = context::get(&ctx.stores.stateful_sets, namespace, &name) {
                // This one field and no more: what else the spec asks for may be what a set cannot become, such as larger volumes.
                remake::when_deleted(ctx, &live, then).await?;
                replace::retired_set(ctx, &live, then).await?;
            }
        }
        Retire::Remove => {
            remove::<Service>(ctx, &valid.target, &name).await?;
            remove::<ConfigMap>(ctx, &valid.target, &children::config_name(&name)).await?;
        }
        Retire::Wait | Retire::Gone => {}
    }
    Ok(())
}

/// Tells brokers and name servers all that they are to know, side by side, so that one who is slow keeps nothing from the
/// others. What one refuses, or does not answer to, is for the status; the next reconcile sees what came of it.
async fn told(
    valid: &Valid,
    (plan, observed): (&Plan, &Observed),
    (ctx, admin): (&Context, &dyn Admin),
) -> Result<Vec<String>, Error> {
    let budget = Budget::begin();
    let pushes = plan.pushes.iter().map(|push| pushed(valid, push, admin));
    let openings = plan.openings.iter().map(|opening| async move {
        match (&opening.missing, &opening.address) {
            (Ok(missing), Some(address)) => {
                let name = valid.broker_name(opening.group);
                missing::fill((admin, budget), address, &name, missing).await
            }
            _ => Ok(()),
        }
    });
    let refill = async {
        match &plan.refill {
            Some(refill) => refilled(valid, refill, (admin, budget)).await,
            None => Ok(()),
        }
    };
    let leaving = async {
        match (&plan.scale_in, &observed.drain) {
            (Some(step), Some(drain)) => scale_in(valid, observed, (step, drain), (ctx, admin, budget)).await,
            _ => Ok(Ok(())),
        }
    };
    let (live, open, refill, leaving) =
        Box::pin(join4(join_all(pushes), join_all(openings), refill, leaving)).await;
    let said = live.into_iter().chain(open).chain([refill, leaving?]);
    Ok(said.filter_map(Result::err).map(|err| err.to_string()).collect())
}

/// Tells a running broker what it takes live.
async fn pushed(valid: &Valid, push: &Push, admin: &dyn Admin) -> Result<(), admin::Error> {
    let name = valid.broker_name(push.member.group);
    tracing::info!(
        broker = valid.name,
        namespace = valid.target.namespace,
        pod = push.member.pod_name(&valid.name),
        changes = ?push.changes,
        "telling a running broker"
    );
    let broker = confirm(admin, &push.address, &name, push.member.id()).await?;
    broker.update_config(&push.changes).await
}

/// Gives a master with a new store back what it had, and moves offsets of its old one to where its queues end.
async fn refilled(
    valid: &Valid,
    refill: &Refill,
    (admin, budget): (&dyn Admin, Budget),
) -> Result<(), admin::Error> {
    let name = valid.broker_name(refill.member.group);
    missing::fill((admin, budget), &refill.address, &name, &refill.missing).await?;
    let broker = confirm(admin, &refill.address, &name, 0).await?;
    for ahead in refill.ahead.iter().take_while(|_| !budget.is_spent()) {
        ahead::move_back(&broker, ahead).await?;
    }
    Ok(())
}

/// Writes the Service of one broker, with the ports of the pod that runs: a change of ports reaches them one by one. One that was deleted gets its address back, because the broker and its clients go
/// on using it; only if somebody else has taken that address is there a new one.
async fn write_service(
    hand: &mut Hand<'_>,
    valid: &Valid,
    ports: Ports,
    member: Member,
    ctx: &Context,
) -> Result<(), Error> {
    let (namespace, name) = (valid.target.namespace.as_str(), member.name(&valid.name));
    let cached = context::get(&ctx.stores.services, namespace, &name).map(|service| service.metadata.clone());
    let set = context::get(&ctx.stores.stateful_sets, namespace, &name)
        .filter(|set| valid.target.owns(&set.metadata));
    let before = set
        .as_ref()
        .and_then(|set| set.annotations().get(ADVERTISED))
        .filter(|_| cached.is_none());
    let desired = |address: Option<&str>| children::member_service(valid, ports, member, address);
    let written = hand
        .ensure(&desired(before.map(String::as_str)), |_| cached)
        .await;
    match written {
        Err(err) if before.is_some() && err.class() == Class::Invalid => {
            tracing::warn!(%err, service = name, namespace, "a Service cannot have its address back");
            hand.ensure(&desired(None), |_| None).await?;
        }
        other => {
            other?;
        }
    }
    Ok(())
}

/// Writes one broker: its configuration, then its StatefulSet. One that runs is written when it is its turn, and once
/// that is done, its pod is replaced.
async fn write_set(
    hand: &mut Hand<'_>,
    valid: &Valid,
    (plan, roll): (&SetPlan, &Roll),
    ctx: &Context,
    growth: &mut Option<String>,
) -> Result<(), Error> {
    let its_turn = *roll == Roll::Restart(plan.member);
    let namespace = valid.target.namespace.as_str();
    let name = plan.member.name(&valid.name);
    let map =
        |name: &str| context::get(&ctx.stores.config_maps, namespace, name).map(|map| map.metadata.clone());
    let live = context::get(&ctx.stores.stateful_sets, namespace, &name);
    let anew = matches!(
        plan.verdict,
        Verdict::Remake | Verdict::PendingRemake | Verdict::Recreate
    );
    if let Some(live) = live.as_deref().filter(|_| anew && growth.is_none())
        && let Grown::Not(why) = grow::claims(ctx, &plan.desired.set, live).await?
    {
        *growth = Some(why);
    }
    match plan.verdict {
        Verdict::AsFound => {}
        Verdict::TakeOver => {
            if let Some(live) = live {
                remake::take_over(ctx, &live, &plan.desired.set).await?;
            }
        }
        Verdict::PendingRemake if !its_turn => {}
        _ if anew && growth.is_some() => {}
        Verdict::Remake | Verdict::PendingRemake => {
            if let Some(live) = live {
                remake::around_pods(ctx, &live).await?;
            }
        }
        // Without its configuration the pod could not start again.
        Verdict::Pending if !its_turn && map(&children::config_name(&name)).is_none() => {
            hand.ensure(&plan.desired.config, map).await?;
        }
        Verdict::Pending if !its_turn => {}
        Verdict::Recreate => {
            if let Some(live) = live {
                replace::set(ctx, &live, valid.told.is_some()).await?;
            }
        }
        Verdict::Create | Verdict::Keep | Verdict::Replace | Verdict::Pending => {
            let cached = live.as_ref().map(|live| live.metadata.clone());
            if hand.ensure(&plan.desired.config, map).await? {
                hand.ensure(&plan.desired.set, |_| cached).await?;
            }
            if let Some(live) = live.filter(|_| its_turn && plan.verdict != Verdict::Pending) {
                restart(valid, plan.member, &live, ctx).await?;
            }
        }
    }
    Ok(())
}

/// Replaces the pod of a broker whose turn it is, and whose set is written.
async fn restart(valid: &Valid, member: Member, live: &StatefulSet, ctx: &Context) -> Result<(), Error> {
    let pod = member.pod_name(&valid.name);
    let Some(pod) = ctx.stores.pod_of_set(&valid.target.namespace, &pod, live) else {
        return Ok(());
    };
    if set::newest_revision(live).is_some_and(|newest| set::outdated(&pod, newest)) {
        replace::outdated_pod(ctx, live, &pod).await?;
    } else {
        replace::running_pod(ctx, &pod).await?;
    }
    Ok(())
}
