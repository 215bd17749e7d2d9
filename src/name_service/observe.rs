//! What there is: the StatefulSet and its pods as Kubernetes tells, each name server as it answers, and the Brokers that
//! use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::users::{self, User};
use super::valid::Valid;
use super::{PORT, addresses};
use crate::admin::{self, ClusterInfo, ORDER_TOPICS};
use crate::context::{self, Context};
use crate::error::Error;
use crate::k8s::labels::INFORMED;
use crate::k8s::{pod, service};
use crate::workload::content::{self, Contents};
use crate::workload::fields::PodFields;

/// More pods than any set of name servers has.
const MOST: i32 = 1000;

/// Everything a plan is made from.
#[derive(Debug)]
pub struct Observed {
    /// The StatefulSet, if it is there and ours.
    pub set: Option<Arc<StatefulSet>>,
    /// Each name server that runs or is to run, in ordinal order.
    pub members: Vec<Seen>,
    /// How many pods a set that is being made anew has left for the next.
    pub orphans: i32,
    /// The Brokers that run with them.
    pub users: Vec<User>,
    /// Whether the Service of clients selects marked pods only: see [`super::routing`].
    pub informed_only: bool,
    /// What pods use of the user's ConfigMaps and Secrets.
    pub contents: Contents,
}

/// One name server as it is.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its pod's name.
    pub name: String,
    /// Its pod.
    pub pod: Option<Arc<Pod>>,
    /// What it answered, or why it did not.
    pub answer: Result<View, String>,
}

/// What a name server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The brokers that it lists.
    pub cluster: ClusterInfo,
    /// The queues of each order topic.
    pub order_topics: BTreeMap<String, String>,
}

impl Seen {
    /// The address of its pod.
    #[must_use]
    pub fn ip(&self) -> Option<&str> {
        self.pod.as_deref().and_then(pod::ip)
    }
}

impl Observed {
    /// The pods that are there.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.members.iter().filter_map(|seen| seen.pod.clone()).collect()
    }

    /// How many pods the StatefulSet is to have, as it is now.
    #[must_use]
    pub fn replicas(&self) -> Option<i32> {
        match &self.set {
            Some(set) => set.spec.as_ref()?.replicas,
            None => (self.orphans > 0).then_some(self.orphans),
        }
    }
}

/// Looks at everything; an error if what Kubernetes holds cannot be read. It writes nothing, and does it without waiting longer than the client's own deadlines.
pub async fn observe(valid: &Valid, ctx: &Context) -> Result<Observed, Error> {
    let namespace = valid.target.namespace.as_str();
    let set = context::get(&ctx.stores.stateful_sets, namespace, &valid.name)
        .filter(|set| valid.target.owns(&set.metadata));
    let pod = |ordinal| {
        addresses::pod_of(
            ctx,
            namespace,
            &valid.name,
            &valid.pod_name(ordinal),
            set.as_deref(),
        )
    };
    let orphans = if set.is_none() {
        (0..MOST).take_while(|ordinal| pod(*ordinal).is_some()).count()
    } else {
        0
    };
    let pods = |all: i32| (0..all).map(pod).collect::<Vec<_>>();
    let mut observed = Observed {
        orphans: i32::try_from(orphans).unwrap_or(i32::MAX),
        set: set.clone(),
        members: Vec::new(),
        users: using(valid, ctx),
        informed_only: informed_only(valid, ctx),
        contents: content::read(&valid.target, &PodFields::from(&valid.spec), None, ctx).await?,
    };
    let all = valid.asked.max(observed.replicas().unwrap_or(0));
    let members = (0..all).zip(pods(all));
    let members = members.map(|(ordinal, pod)| seen(valid.pod_name(ordinal), pod, ctx));
    observed.members = join_all(members.collect::<Vec<_>>()).await;
    Ok(observed)
}

fn using(valid: &Valid, ctx: &Context) -> Vec<User> {
    let here = |namespace: Option<String>| namespace.as_deref() == Some(valid.target.namespace.as_str());
    let name_services = ctx
        .stores
        .name_services
        .state_filter(|other| here(other.namespace()) && other.metadata.deletion_timestamp.is_none());
    let brokers = ctx.stores.brokers.state_filter(|broker| here(broker.namespace()));
    users::of(&valid.name, name_services.len(), &brokers)
}

fn informed_only(valid: &Valid, ctx: &Context) -> bool {
    let service = context::get(&ctx.stores.services, &valid.target.namespace, &valid.name);
    let selector = service.as_deref().and_then(service::selector);
    selector.is_some_and(|selector| selector.contains_key(INFORMED))
}

async fn seen(name: String, pod: Option<Arc<Pod>>, ctx: &Context) -> Seen {
    let answer = match pod.as_deref().filter(|pod| pod::ready(pod)).and_then(pod::ip) {
        None => Err("its pod is not ready".to_owned()),
        Some(ip) => ask(&format!("{ip}:{PORT}"), ctx)
            .await
            .map_err(|err| err.to_string()),
    };
    Seen { name, pod, answer }
}

async fn ask(address: &str, ctx: &Context) -> Result<View, admin::Error> {
    Ok(View {
        cluster: ctx.admin.cluster_info(address).await?,
        order_topics: ctx.admin.kv_list(address, ORDER_TOPICS).await?,
    })
}
