//! Carries out a plan: every write of a `NameService` but its status.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::children;
use super::observe::Observed;
use super::plan::{Plan, Restart, SetStep};
use super::routing::Mark;
use super::standing::Replay;
use super::valid::Valid;
use crate::admin::{self, ORDER_TOPICS};
use crate::context::{self, Context};
use crate::error::{Class, Error};
use crate::k8s::apply::{Foreign, Hand};
use crate::k8s::labels::{INFORMED, YES};
use crate::workload::grow::{self, Grown};
use crate::workload::{remake, replace};

/// What came of carrying out a plan.
#[derive(Debug, Default)]
pub struct Done {
    /// Objects under our names that are somebody else's.
    pub foreign: Vec<Foreign>,
    /// Why a volume does not grow that is to, and what the user can do.
    pub growth: Option<String>,
    /// Name servers that did not take their order topics, and why.
    pub refused: Vec<(String, String)>,
    /// What the API server says to the set, where it does not take it. No pod was restarted for it.
    pub template: Option<Error>,
}

/// Writes what differs. A pod is deleted last: what it starts with is there by then.
pub(super) async fn apply(
    valid: &Valid,
    observed: &Observed,
    plan: &Plan,
    ctx: &Context,
) -> Result<Done, Error> {
    let mut hand = Hand::new(ctx, &valid.target);
    let informed_only = plan.routing.informed_only && marked(plan, observed, ctx).await;
    write_surroundings(&mut hand, valid, informed_only, ctx).await?;
    let (growth, template) = match write_set(&mut hand, observed, plan, ctx).await {
        Ok(growth) => (growth, None),
        // The user is told, who can mend it.
        Err(err) if matches!(err.class(), Class::Invalid | Class::Forbidden) => (None, Some(err)),
        Err(err) => return Err(err),
    };
    let mut done = Done {
        growth,
        foreign: hand.foreign,
        refused: Vec::new(),
        template,
    };
    // A name server that does not take them holds up no other, and nothing else.
    for lacking in &plan.replays {
        if let Err(err) = replay(lacking, ctx).await {
            done.refused.push((lacking.name.clone(), err.to_string()));
        }
    }
    let restart = plan.restart.as_ref().filter(|_| done.template.is_none());
    match (restart, observed.set.as_deref()) {
        (Some(Restart::Broken(pod)), _) => {
            replace::broken_pod(ctx, pod).await?;
        }
        (Some(Restart::Spared(pod)), Some(live)) => {
            replace::outdated_pod(ctx, live, pod).await?;
        }
        _ => {}
    }
    Ok(done)
}

async fn write_surroundings(
    hand: &mut Hand<'_>,
    valid: &Valid,
    informed_only: bool,
    ctx: &Context,
) -> Result<(), Error> {
    let (namespace, stores) = (valid.target.namespace.as_str(), &ctx.stores);
    let service =
        |name: &str| context::get(&stores.services, namespace, name).map(|found| found.metadata.clone());
    let map =
        |name: &str| context::get(&stores.config_maps, namespace, name).map(|found| found.metadata.clone());
    let budget = |name: &str| {
        context::get(&stores.disruption_budgets, namespace, name).map(|found| found.metadata.clone())
    };
    let clients = children::client_service(valid, informed_only);
    hand.ensure(&clients, service).await?;
    hand.ensure(&children::headless_service(valid), service).await?;
    hand.ensure(&children::start_script(valid), map).await?;
    hand.ensure(&children::disruption_budget(valid), budget).await?;
    Ok(())
}

/// Writes the set, or says why its volumes cannot become what they are to be first.
async fn write_set(
    hand: &mut Hand<'_>,
    observed: &Observed,
    plan: &Plan,
    ctx: &Context,
) -> Result<Option<String>, Error> {
    let live = observed.set.as_deref();
    match (plan.step, live) {
        (SetStep::Keep, live) => {
            let live = live.map(|live| live.metadata.clone());
            hand.ensure(plan.set.as_ref(), |_| live).await?;
        }
        (SetStep::TakeOver, Some(live)) => remake::take_over(ctx, live, &plan.set).await?,
        (SetStep::AsFound, Some(live)) => {
            let wanted = plan.set.spec.as_ref().and_then(|spec| spec.replicas);
            if let Some(wanted) = wanted.filter(|wanted| observed.replicas() != Some(*wanted)) {
                remake::scale(ctx, live, wanted).await?;
            }
        }
        (SetStep::Recreate | SetStep::Remake, Some(live)) => {
            if let Grown::Not(why) = grow::claims(ctx, &plan.set, live).await? {
                return Ok(Some(why));
            }
            if plan.step == SetStep::Remake {
                remake::around_pods(ctx, live).await?;
            } else {
                replace::set(ctx, live, false).await?;
            }
        }
        (_, None) | (SetStep::Leave, _) => {}
    }
    Ok(None)
}

/// Marks those that clients are sent to, and takes the mark from others. Whether any has it then. That it cannot be done,
/// for want of a right perhaps, holds up nothing else: clients are sent to all, as at any other time.
async fn marked(plan: &Plan, observed: &Observed, ctx: &Context) -> bool {
    let mut done = observed.informed_only || plan.routing.marks.iter().all(|mark| !mark.informed);
    for mark in &plan.routing.marks {
        match put(mark, ctx).await {
            Ok(put) => done |= put && mark.informed,
            Err(err) => tracing::warn!(%err, pod = mark.pod.name_any(), "clients are not kept from it"),
        }
    }
    done
}

/// Marks a pod, or takes its mark away. Not one that is gone, or was made anew: that is looked at again later.
async fn put(mark: &Mark, ctx: &Context) -> Result<bool, Error> {
    let (namespace, name) = (mark.pod.namespace().unwrap_or_default(), mark.pod.name_any());
    let label = mark.informed.then_some(YES);
    let patch = json!({"metadata": {"uid": mark.pod.uid(), "labels": {INFORMED: label}}});
    let api = Api::<Pod>::namespaced(ctx.client.clone(), &namespace);
    let patched = api
        .patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    match patched {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(false),
        patched => patched
            .map(|_| true)
            .map_err(Error::kube(format!("mark pod {namespace}/{name}"))),
    }
}

/// Gives a name server order topics, in order: see [`super::order_topics`].
async fn replay(lacking: &Replay, ctx: &Context) -> Result<(), admin::Error> {
    tracing::info!(
        name_server = lacking.name,
        topics = lacking.entries.len(),
        "giving a new name server the order topics of the others"
    );
    for (topic, queues) in &lacking.entries {
        ctx.admin
            .put_kv(&lacking.address, ORDER_TOPICS, topic, queues)
            .await?;
    }
    Ok(())
}
