//! Tells RocketMQ one thing, and keeps a transfer from being deleted before it has tidied up.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::request::{Request, Side};
use super::seen::{Cluster, Seen};
use super::sides::Places;
use crate::admin::{self, Admin, Attributes, Confirmed, ORDER_TOPICS, confirm};
use crate::api::TopicTransfer;
use crate::broker::budget::Budget;
use crate::broker::{ahead, missing};
use crate::context::Context;
use crate::error::Error;

/// Keeps a transfer until the source is as it was, or has forgotten the topic.
pub const FINALIZER: &str = "rocketmq.apache.org/topic-transfer";

/// Whether it is kept from being deleted.
#[must_use]
pub(super) fn is_kept(transfer: &TopicTransfer) -> bool {
    transfer.finalizers().iter().any(|name| name == FINALIZER)
}

/// Keeps a transfer from being deleted, or lets it go. A list that somebody changed meanwhile is left to the next look.
pub(super) async fn keep(transfer: &TopicTransfer, kept: Kept, ctx: &Context) -> Result<(), Error> {
    let mut finalizers = transfer.finalizers().to_vec();
    finalizers.retain(|name| name != FINALIZER);
    if kept == Kept::Yes {
        finalizers.push(FINALIZER.to_owned());
    }
    let (name, namespace) = (transfer.name_any(), transfer.namespace().unwrap_or_default());
    let patch = json!({"metadata": {
        "uid": transfer.uid(), "resourceVersion": transfer.resource_version(), "finalizers": finalizers,
    }});
    let done = Api::<TopicTransfer>::namespaced(ctx.client.clone(), &namespace)
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    match done {
        Err(kube::Error::Api(status)) if kept == Kept::No && status.is_not_found() => Ok(()),
        done => done.map(drop).map_err(Error::kube(format!(
            "change the finalizers of TopicTransfer {namespace}/{name}"
        ))),
    }
}

/// Whether a transfer is kept from being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It has done something that is to be undone.
    Yes,
    /// It may go.
    No,
}

/// Tells it. What came of it is seen by the next look.
pub(super) async fn tell(
    request: &Request,
    topic: &str,
    seen: &Seen,
    places: &Places,
) -> Result<(), admin::Error> {
    let (Some(source), Some(target)) = (places.of(Side::Source), places.of(Side::Target)) else {
        return match (request, places.of(Side::Source)) {
            (Request::ChangeTopic { broker, topic }, Some(source)) => {
                let broker = master(&seen.source, broker, &*source.admin).await?;
                change(broker, topic).await
            }
            _ => Ok(()),
        };
    };
    match request {
        Request::PutGroup { broker, group } => match master(&seen.target, broker, &*target.admin).await? {
            Some(broker) => broker.put_subscription_group(group).await,
            None => Ok(()),
        },
        Request::PutTopic { broker, topic } => match master(&seen.target, broker, &*target.admin).await? {
            Some(broker) => broker.put_topic(topic, Attributes::Create).await,
            None => Ok(()),
        },
        Request::MoveBack { broker, ahead } => match master(&seen.target, broker, &*target.admin).await? {
            Some(broker) => ahead::move_back(&broker, ahead).await,
            None => Ok(()),
        },
        Request::Begin { broker, start } => match master(&seen.target, broker, &*target.admin).await? {
            Some(broker) => {
                let with = (&*target.admin, Budget::begin());
                missing::begin(with, &broker, start, |queue| queue.min).await
            }
            None => Ok(()),
        },
        Request::ChangeTopic { broker, topic } => {
            let broker = master(&seen.source, broker, &*source.admin).await?;
            change(broker, topic).await
        }
        Request::Order {
            side,
            name_server,
            entry,
        } => {
            let admin = match side {
                Side::Source => &*source.admin,
                Side::Target => &*target.admin,
            };
            match entry {
                Some(entry) => admin.put_kv(name_server, ORDER_TOPICS, topic, entry).await,
                None => admin.delete_kv(name_server, ORDER_TOPICS, topic).await,
            }
        }
        Request::Delete { broker, written } => match master(&seen.source, broker, &*source.admin).await? {
            Some(broker) => delete(&broker, &*source.admin, topic, *written).await,
            None => Ok(()),
        },
        Request::Forget { name_server } => {
            source
                .admin
                .delete_topic_on_name_server(name_server, topic, Some(&source.cluster))
                .await
        }
    }
}

async fn change(broker: Option<Confirmed<'_>>, topic: &admin::TopicConfig) -> Result<(), admin::Error> {
    match broker {
        Some(broker) => broker.put_topic(topic, Attributes::Keep).await,
        None => Ok(()),
    }
}

/// Reads once more how many messages ever came, and deletes the topic only if it is as many as before.
async fn delete(
    broker: &Confirmed<'_>,
    admin: &dyn Admin,
    topic: &str,
    written: i64,
) -> Result<(), admin::Error> {
    let Some(queues) = admin.topic_stats(broker.address(), topic).await? else {
        return Ok(());
    };
    let now = queues
        .values()
        .map(|queue| queue.max)
        .fold(0, i64::saturating_add);
    if now > written {
        tracing::warn!(
            topic,
            broker = broker.address(),
            "messages came before the topic was deleted: it stays"
        );
        return Ok(());
    }
    broker.delete_topic(topic).await
}

/// The master of that name, if it is still who it was when it was looked at.
async fn master<'a, E>(
    cluster: &Result<Cluster, E>,
    broker: &str,
    admin: &'a dyn Admin,
) -> Result<Option<Confirmed<'a>>, admin::Error> {
    let master = cluster
        .as_ref()
        .ok()
        .and_then(|cluster| cluster.masters.get(broker));
    match master.and_then(|master| master.as_ref().ok()) {
        Some(master) => Ok(Some(confirm(admin, &master.address, broker, 0).await?)),
        None => Ok(None),
    }
}
