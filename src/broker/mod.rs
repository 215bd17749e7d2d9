//! The `Broker` reconciler: observe, plan, apply, report.

pub mod ahead;
pub mod backlog;
pub mod before;
pub mod budget;
pub mod children;
pub mod config;
pub mod consumers;
pub mod credentials;
mod delayed;
pub mod drain;
pub mod homes;
pub mod leave;
pub mod leave_gates;
pub mod live;
pub mod live_keys;
pub mod missing;
pub mod name_servers;
pub mod observe;
pub mod open;
pub mod order_topics;
pub mod place;
pub mod plan;
pub mod retire;
pub mod roll;
pub mod status;
pub mod tables;
pub mod texts;
pub mod uncounted;
pub mod valid;
pub mod volatile;

mod apply;

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;

pub use crate::properties;

use self::config::UserConfig;
use self::plan::{Asked, Next};
use self::roll::{Roll, Topics};
use self::status::{Done, Reconciled};
use self::valid::{Rejected, Valid};
use crate::api::{Broker, BrokerStatus, ScaleInPhase, StorageMode};
use crate::context::Context;
use crate::error::Error;
use crate::k8s::cadence;
use crate::k8s::conditions;
use crate::k8s::status::{announce, now, write};
use crate::workload::content;
use crate::workload::fields::PodFields;

/// Brings the world one step closer to what `broker` asks for, and reports.
pub async fn reconcile(broker: Arc<Broker>, ctx: Arc<Context>) -> Result<Action, Error> {
    if broker.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let valid = match Valid::check(&broker)?.and_then(|valid| shares_no_store(valid, &ctx)) {
        Ok(valid) => valid.knowing(&ctx),
        Err(why) => return reject(&broker, &why, false, &ctx).await,
    };
    let user = match read_config(&valid, &ctx).await? {
        Ok(user) => user,
        Err(why) => return reject(&broker, &why, true, &ctx).await,
    };
    let admin = match credentials::read(&valid, &ctx).await? {
        Ok(credentials) => ctx.admin.signed(credentials),
        Err(why) => return reject(&broker, &why, false, &ctx).await,
    };
    let name_servers = name_servers::find(&valid, &ctx);
    let observed = observe::observe(&valid, &user, name_servers.as_ref().ok(), (&ctx, &*admin)).await;
    let before = observed.name_server_list.as_deref();
    let known = name_servers.as_ref().ok().and_then(|found| found.known(before));
    let asked = Asked {
        valid: &valid,
        user: &user,
        list: known.or(before),
    };
    let upcoming = plan::upcoming(&asked, &observed);
    let next = Next {
        topics: match upcoming.master {
            Some(master) => roll::read(&valid, &observed, master, (&ctx, &*admin)).await?,
            None => Ok(Topics::default()),
        },
        refused: apply::refused(&valid, upcoming.set, &ctx).await?,
    };
    let plan = plan::plan(&asked, &observed, &next, &now());
    let seen = Reconciled {
        user: &user,
        no_name_servers: name_servers.as_ref().err(),
        observed: &observed,
        plan: &plan,
    };
    let mut current = broker.status.clone();
    if plan.creates() && !valid.switches.paused && valid.accepted.is_none() {
        // What was asked for is remembered before the first set exists: from then on a change of it is a scaling.
        let first = status::status(&broker, &valid, &seen, &Done::default(), &now());
        current = Some(report(&broker, current.as_ref(), first, &ctx).await?);
    }
    let done = if valid.switches.paused {
        Done::default()
    } else {
        apply::apply(&valid, &user, (&plan, &observed), (&ctx, &*admin)).await?
    };
    let status = report(
        &broker,
        current.as_ref(),
        status::status(&broker, &valid, &seen, &done, &now()),
        &ctx,
    )
    .await?;
    let serving =
        conditions::find(&status.conditions, conditions::READY).is_some_and(|ready| ready.status == "True");
    let drains = matches!(plan.roll, Roll::Drains { .. })
        || status
            .scale_in
            .as_ref()
            .is_some_and(|leaving| leaving.phase == ScaleInPhase::Draining);
    // A drain asks for every topic, and lasts as long as consumers need. What is noted is acted on at once.
    let noted = status.accepted_loss != valid.accepted_loss;
    Ok(cadence::next(&*broker, (serving || drains) && !noted))
}

async fn read_config(valid: &Valid, ctx: &Context) -> Result<Result<UserConfig, Rejected>, Error> {
    let common = match texts::common(valid, ctx).await? {
        Ok(common) => common,
        Err(why) => return Ok(Err(why)),
    };
    let spec = valid.spec.config.clone().unwrap_or_default();
    let user = match UserConfig::read(common, &spec) {
        Ok(user) => user,
        Err(message) => {
            return Ok(Err(Rejected {
                reason: "ConfigRefused",
                message,
            }));
        }
    };
    let fields = PodFields::from(&valid.spec);
    let contents = content::read(&valid.target, &fields, texts::place(&valid.spec), ctx).await?;
    Ok(Ok(UserConfig { contents, ..user }))
}

/// Two Brokers of one name and host path would write into one store on a node they share.
fn shares_no_store(valid: Valid, ctx: &Context) -> Result<Valid, Rejected> {
    if valid.spec.storage_mode != StorageMode::HostPath {
        return Ok(valid);
    }
    let older = ctx.stores.brokers.find(|other| {
        other.name_any() == valid.name
            && other.namespace().as_deref() != Some(valid.target.namespace.as_str())
            && other.spec.storage_mode == StorageMode::HostPath
            && other.spec.host_path == valid.spec.host_path
            && (other.creation_timestamp(), other.uid())
                < (valid.created.clone(), Some(valid.target.owner.uid.clone()))
    });
    match older {
        None => Ok(valid),
        Some(other) => Err(Rejected::invalid(format!(
            "spec.hostPath: Broker {} of namespace {} has the same name and path, they would share a store on a node; \
             use another path",
            other.name_any(),
            other.namespace().unwrap_or_default()
        ))),
    }
}

async fn reject(broker: &Broker, why: &Rejected, config: bool, ctx: &Context) -> Result<Action, Error> {
    report(
        broker,
        broker.status.as_ref(),
        status::rejected(broker, why, config, &now()),
        ctx,
    )
    .await?;
    Ok(cadence::rejected(broker))
}

async fn report(
    broker: &Broker,
    before: Option<&BrokerStatus>,
    next: BrokerStatus,
    ctx: &Context,
) -> Result<BrokerStatus, Error> {
    if write(ctx, broker, before, &next).await? {
        let told = before
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        announce(ctx, broker, told, &next.conditions).await;
    }
    Ok(next)
}
