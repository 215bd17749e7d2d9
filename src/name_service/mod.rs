//! The `NameService` reconciler: observe, plan, apply, report.

pub mod addresses;
pub mod apply;
pub mod children;
pub mod observe;
pub mod order_topics;
pub mod plan;
pub mod roll;
pub mod routing;
pub mod standing;
pub mod status;
pub mod users;
pub mod valid;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod routing_tests;

use std::sync::Arc;

use kube::runtime::controller::Action;

use self::apply::Done;
use self::valid::Valid;
use crate::api::{NameService, NameServiceStatus};
use crate::broker::valid::Rejected;
use crate::context::Context;
use crate::error::Error;
use crate::k8s::cadence;
use crate::k8s::conditions::{self, READY};
use crate::k8s::status::{announce, now, write};

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
    (0..size)
        .map(|ordinal| stable_name(name, namespace, ordinal))
        .collect()
}

fn stable_name(name: &str, namespace: &str, ordinal: i32) -> String {
    format!("{name}-{ordinal}.{}.{namespace}.svc:{PORT}", headless_name(name))
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
    let observed = observe::observe(&valid, &ctx).await?;
    let plan = plan::plan(&valid, &observed);
    let mut current = service.status.clone();
    let done = if valid.switches.paused {
        Done::default()
    } else {
        if valid.published.is_none() {
            // What was asked for is remembered before the set exists: from then on a change of it is a scaling.
            let first = status::status(&service, &valid, &observed, (&plan, &Done::default()), &now());
            current = Some(report(&service, current.as_ref(), first, &ctx).await?);
        }
        apply::apply(&valid, &observed, &plan, &ctx).await?
    };
    let next = status::status(&service, &valid, &observed, (&plan, &done), &now());
    let status = report(&service, current.as_ref(), next, &ctx).await?;
    if let Some(err) = done.template {
        // Asked for again less and less often.
        return Err(err);
    }
    let serving = conditions::find(&status.conditions, READY).is_some_and(|ready| ready.status == "True");
    Ok(cadence::next(&*service, serving && !plan.polls()))
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
