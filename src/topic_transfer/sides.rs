//! Where the two clusters of a transfer are: a Broker of its namespace each, or name servers that its spec lists.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::request::Side;
use super::seen::Unknown;
use crate::admin::Admin;
use crate::api::{TopicTransfer, TopicTransferSpec};
use crate::broker::credentials::read_named;
use crate::broker::name_servers::{self, NameServer};
use crate::broker::valid::Valid;
use crate::context::{self, Context};
use crate::error::Error;

/// How to ask a cluster.
pub struct Place {
    /// `brokerClusterName`.
    pub cluster: String,
    /// Its name servers.
    pub name_servers: Vec<NameServer>,
    /// The masters that it has to have, by `brokerName`, as far as that is known without asking.
    pub masters: Vec<String>,
    /// Asks as the account that may administer it.
    pub admin: Arc<dyn Admin>,
}

/// Where both are, or why that is not known.
pub struct Places {
    /// Where the topic is.
    pub source: Result<Place, Unknown>,
    /// Where it goes.
    pub target: Result<Place, Unknown>,
}

impl Places {
    /// That one.
    #[must_use]
    pub fn of(&self, side: Side) -> Option<&Place> {
        let place = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        place.as_ref().ok()
    }
}

/// What a spec says of one side, and how its fields are called.
struct Fields<'a> {
    cluster: (&'a str, &'static str),
    name_servers: Option<&'a str>,
    name_servers_field: &'static str,
    secret: (Option<&'a str>, &'static str),
}

impl<'a> Fields<'a> {
    fn of(spec: &'a TopicTransferSpec, side: Side) -> Self {
        match side {
            Side::Source => Self {
                cluster: (&spec.source_cluster, "spec.sourceCluster"),
                name_servers: spec.source_name_servers.as_deref(),
                name_servers_field: "spec.sourceNameServers",
                secret: (
                    spec.source_admin_credentials_secret.as_deref(),
                    "spec.sourceAdminCredentialsSecret",
                ),
            },
            Side::Target => Self {
                cluster: (&spec.target_cluster, "spec.targetCluster"),
                name_servers: spec.target_name_servers.as_deref(),
                name_servers_field: "spec.targetNameServers",
                secret: (
                    spec.target_admin_credentials_secret.as_deref(),
                    "spec.targetAdminCredentialsSecret",
                ),
            },
        }
    }
}

/// Finds both clusters.
pub async fn find(transfer: &TopicTransfer, ctx: &Context) -> Result<Places, Error> {
    let namespace = transfer.namespace().unwrap_or_default();
    Ok(Places {
        source: place(&Fields::of(&transfer.spec, Side::Source), &namespace, ctx).await?,
        target: place(&Fields::of(&transfer.spec, Side::Target), &namespace, ctx).await?,
    })
}

async fn place(fields: &Fields<'_>, namespace: &str, ctx: &Context) -> Result<Result<Place, Unknown>, Error> {
    let found = match fields.name_servers {
        Some(list) => listed(fields.cluster.0, list),
        None => match of_broker(fields, namespace, ctx)? {
            Ok(found) => found,
            Err(unknown) => return Ok(Err(unknown)),
        },
    };
    let (name, field) = match fields.secret {
        (None, _) => (
            found.secret.as_deref(),
            "spec.adminCredentialsSecret of its Broker",
        ),
        named => named,
    };
    Ok(match read_named(name, field, namespace, ctx).await? {
        Ok(credentials) => Ok(Place {
            admin: ctx.admin.signed(credentials),
            ..found.place(ctx)
        }),
        Err(why) => Err(Unknown {
            reason: why.reason,
            message: why.message,
            gone: false,
        }),
    })
}

struct Found {
    cluster: String,
    name_servers: Vec<NameServer>,
    masters: Vec<String>,
    secret: Option<String>,
}

impl Found {
    fn place(self, ctx: &Context) -> Place {
        Place {
            cluster: self.cluster,
            name_servers: self.name_servers,
            masters: self.masters,
            admin: ctx.admin.clone(),
        }
    }
}

fn listed(cluster: &str, list: &str) -> Found {
    let addresses = list
        .split(';')
        .map(str::trim)
        .filter(|address| !address.is_empty());
    Found {
        cluster: cluster.to_owned(),
        name_servers: addresses
            .map(|address| NameServer {
                name: address.to_owned(),
                address: Some(address.to_owned()),
            })
            .collect(),
        masters: Vec::new(),
        secret: None,
    }
}

fn of_broker(fields: &Fields<'_>, namespace: &str, ctx: &Context) -> Result<Result<Found, Unknown>, Error> {
    let (name, field) = fields.cluster;
    let Some(broker) = context::get(&ctx.stores.brokers, namespace, name) else {
        return Ok(Err(Unknown {
            reason: "UnknownCluster",
            message: format!(
                "{field}: there is no Broker {name:?} in namespace {namespace}; create it, or give the cluster's name \
                 servers in {}",
                fields.name_servers_field
            ),
            gone: true,
        }));
    };
    let valid = match Valid::check(&broker)? {
        Ok(valid) => valid,
        Err(why) => return Ok(Err(not_usable(fields, &why.message))),
    };
    Ok(match name_servers::find(&valid, ctx) {
        Err(why) => Err(not_usable(fields, &why.message)),
        Ok(found) => Ok(Found {
            cluster: valid.name.clone(),
            name_servers: found.ask,
            masters: (0..valid.accepted.map_or(0, |shape| shape.groups))
                .map(|group| valid.broker_name(group))
                .collect(),
            secret: valid.spec.admin_credentials_secret.clone(),
        }),
    })
}

fn not_usable(fields: &Fields<'_>, why: &str) -> Unknown {
    let (name, field) = fields.cluster;
    Unknown {
        reason: "UnknownCluster",
        message: format!("{field}: Broker {name:?}: {why}"),
        gone: false,
    }
}

/// Another transfer that has the topic: one of the same topic that shares a cluster with this one, has begun or is older,
/// and has not ended. In words.
#[must_use]
pub fn rival(transfer: &TopicTransfer, ctx: &Context) -> Option<String> {
    let others = ctx.stores.topic_transfers.state_filter(|other| {
        other.metadata.uid != transfer.metadata.uid
            && is_rival(transfer, other)
            && has_it_first(other, transfer)
    });
    let other = others.first()?;
    let name = format!("{}/{}", other.namespace().unwrap_or_default(), other.name_any());
    Some(format!(
        "TopicTransfer {name} moves topic {:?} already",
        other.spec.topic
    ))
}

fn is_rival(one: &TopicTransfer, other: &TopicTransfer) -> bool {
    let clusters = |transfer: &TopicTransfer| {
        let spec = &transfer.spec;
        let named = |cluster: &str, list: &Option<String>| match list {
            Some(list) => (None, cluster.to_owned(), list.clone()),
            None => (transfer.namespace(), cluster.to_owned(), String::new()),
        };
        [
            named(&spec.source_cluster, &spec.source_name_servers),
            named(&spec.target_cluster, &spec.target_name_servers),
        ]
    };
    let (ones, others) = (clusters(one), clusters(other));
    // A Broker of a namespace may also be told by its name servers: then the name alone has to do.
    let same = |a: &(Option<String>, String, String), b: &(Option<String>, String, String)| {
        a.1 == b.1 && (a.0.is_none() || b.0.is_none() || a.0 == b.0)
    };
    one.spec.topic == other.spec.topic && ones.iter().any(|a| others.iter().any(|b| same(a, b)))
}

fn has_it_first(other: &TopicTransfer, this: &TopicTransfer) -> bool {
    let phase = |transfer: &TopicTransfer| {
        let status = transfer.status.as_ref();
        status.and_then(|status| status.phase).unwrap_or_default()
    };
    let age = |transfer: &TopicTransfer| -> (Option<Time>, Option<String>) {
        (transfer.creation_timestamp(), transfer.uid())
    };
    if phase(other).is_final() {
        return false;
    }
    let has_begun = |transfer: &TopicTransfer| phase(transfer) > crate::api::TransferPhase::Pending;
    match (has_begun(other), has_begun(this)) {
        (true, _) => true,
        (false, true) => false,
        (false, false) => age(other) < age(this),
    }
}
