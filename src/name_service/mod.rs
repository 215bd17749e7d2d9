//! The `NameService` reconciler: observe, plan, apply, report.

pub mod children;
pub mod observe;
pub mod status;
pub mod valid;

use std::sync::Arc;

use kube::runtime::controller::Action;

use self::observe::Observed;
use self::valid::Valid;
use crate::api::{NameService, NameServiceStatus};
use crate::broker::valid::Rejected;
use crate::context::{self, Context};
use crate::error::Error;
use crate::k8s::apply::{Foreign, Hand};
use crate::k8s::cadence;
use crate::k8s::conditions::{self, READY};
use crate::k8s::status::{announce, now, write};
use crate::workload::replace;
use crate::workload::set::{self, Verdict};

/// The port of every name server.
pub const PORT: i32 = 9876;

/// The name of the headless Service of the `NameService` of that name.
#[must_use]
pub fn headless_name(name: &str) -> String {
    format!("{name}-headless")
}

/// The addresses of name servers that stay whatever happens to their pods, `host:port` in ordinal order.
#[must_use]
pub fn stable_names(name: &str, namespace: &str, size: i32) -> Vec<String> {
    let service = headless_name(name);
    (0..size)
        .map(|ordinal| format!("{name}-{ordinal}.{service}.{namespace}.svc:{PORT}"))
        .collect()
}

/// Brings the world one step closer to what `service` asks for, and reports.
pub async fn reconcile(service: Arc<NameService>, ctx: Arc<Context>) -> Result<Action, Error> {
    if service.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let valid = match Valid::check(&service)? {
        Ok(valid) => valid,
        Err(why) => return reject(&service, &why, &ctx).await,
    };
    let observed = observe::observe(&valid, &ctx).await;
    let verdict = set::verdict(
        &children::stateful_set(&valid),
        observed.set.as_deref(),
        &observed.pods(),
    );
    let mut current = service.status.clone();
    if !valid.switches.paused && !valid.accepted {
        // What was asked for is remembered before the set exists: from then on a change of it is a scaling.
        let first = status::status(&service, &valid, &observed, (verdict, &[]), &now());
        current = Some(report(&service, current.as_ref(), first, &ctx).await?);
    }
    let foreign = if valid.switches.paused {
        vec![]
    } else {
        apply(&valid, &observed, verdict, &ctx).await?
    };
    let next = status::status(&service, &valid, &observed, (verdict, &foreign), &now());
    let status = report(&service, current.as_ref(), next, &ctx).await?;
    let serving = conditions::find(&status.conditions, READY).is_some_and(|ready| ready.status == "True");
    Ok(cadence::next(&*service, serving))
}

/// Writes what differs.
async fn apply(
    valid: &Valid,
    observed: &Observed,
    verdict: Verdict,
    ctx: &Context,
) -> Result<Vec<Foreign>, Error> {
    let mut hand = Hand::new(ctx, &valid.target);
    let (namespace, stores) = (valid.target.namespace.as_str(), &ctx.stores);
    let service =
        |name: &str| context::get(&stores.services, namespace, name).map(|found| found.metadata.clone());
    let map =
        |name: &str| context::get(&stores.config_maps, namespace, name).map(|found| found.metadata.clone());
    let budget = |name: &str| {
        context::get(&stores.disruption_budgets, namespace, name).map(|found| found.metadata.clone())
    };
    hand.ensure(&children::client_service(valid), service).await?;
    hand.ensure(&children::headless_service(valid), service).await?;
    hand.ensure(&children::start_script(valid), map).await?;
    hand.ensure(&children::disruption_budget(valid), budget).await?;
    match verdict {
        Verdict::Pending => {}
        Verdict::Recreate => {
            if let Some(live) = &observed.set {
                replace::set(ctx, live).await?;
            }
        }
        Verdict::Create | Verdict::Keep | Verdict::Replace => {
            let live = observed.set.as_ref().map(|live| live.metadata.clone());
            hand.ensure(&children::stateful_set(valid), |_| live).await?;
        }
    }
    if let Some(pod) = observed
        .set
        .as_deref()
        .and_then(|live| set::outdated_broken(live, &observed.pods()).cloned())
    {
        replace::broken_pod(ctx, &pod).await?;
    }
    Ok(hand.foreign)
}

async fn reject(service: &NameService, why: &Rejected, ctx: &Context) -> Result<Action, Error> {
    report(
        service,
        service.status.as_ref(),
        status::rejected(service, why, &now()),
        ctx,
    )
    .await?;
    Ok(cadence::rejected(service))
}

async fn report(
    service: &NameService,
    before: Option<&NameServiceStatus>,
    next: NameServiceStatus,
    ctx: &Context,
) -> Result<NameServiceStatus, Error> {
    if write(ctx, service, before, &next).await? {
        let told = before
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        announce(ctx, service, told, &next.conditions).await;
    }
    Ok(next)
}
