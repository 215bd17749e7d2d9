//! What there is: the StatefulSet and its pods as Kubernetes tells, and each name server as it answers.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::PORT;
use super::valid::Valid;
use crate::context::{self, Context};
use crate::k8s::pod;

/// Everything a plan is made from.
#[derive(Debug)]
pub struct Observed {
    /// The StatefulSet, if it is there and ours.
    pub set: Option<Arc<StatefulSet>>,
    /// Each name server that is to run now.
    pub members: Vec<Seen>,
}

/// One name server as it is.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its pod's name.
    pub name: String,
    /// Its pod.
    pub pod: Option<Arc<Pod>>,
    /// Why it does not serve; `None` if it answered.
    pub why_not: Option<String>,
}

impl Observed {
    /// The pods that are there.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.members.iter().filter_map(|seen| seen.pod.clone()).collect()
    }
}

/// Looks at everything, without writing and without waiting longer than the client's own deadlines.
pub async fn observe(valid: &Valid, ctx: &Context) -> Observed {
    let set = context::get(&ctx.stores.stateful_sets, &valid.target.namespace, &valid.name)
        .filter(|set| valid.target.owns(&set.metadata));
    let members = (0..valid.size).map(|ordinal| {
        let name = valid.pod_name(ordinal);
        let pod = set
            .as_ref()
            .and_then(|set| ctx.stores.pod_of_set(&valid.target.namespace, &name, set));
        seen(name, pod, ctx)
    });
    let members = join_all(members).await;
    Observed { set, members }
}

async fn seen(name: String, pod: Option<Arc<Pod>>, ctx: &Context) -> Seen {
    let why_not = match pod.as_deref().filter(|pod| pod::ready(pod)).and_then(pod::ip) {
        None => Some("its pod is not ready".to_owned()),
        Some(ip) => ctx
            .admin
            .cluster_info(&format!("{ip}:{PORT}"))
            .await
            .err()
            .map(|err| err.to_string()),
    };
    Seen { name, pod, why_not }
}
