//! Where brokers find name servers: at names that stay, or at the addresses of pods that have none.
//!
//! The StatefulSet of a `NameService` that the Go operator made names no Service, so its pods have no names; those that are
//! made once it was made anew have.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::{PORT, headless_name, stable_name};
use crate::context::{self, Context};
use crate::k8s::{labels, pod};

/// One name server of a `NameService`.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its pod's name.
    pub pod_name: String,
    /// Its pod.
    pub pod: Option<Arc<Pod>>,
    /// `host:port` for brokers; `None` while a pod without a name has no address.
    pub address: Option<String>,
}

impl Place {
    /// `host:port` of its pod.
    #[must_use]
    pub fn pod_address(&self) -> Option<String> {
        let ip = self.pod.as_deref().and_then(pod::ip)?;
        Some(format!("{ip}:{PORT}"))
    }
}

/// The first so many name servers of the `NameService` of that name.
#[must_use]
pub fn places(ctx: &Context, namespace: &str, name: &str, size: i32) -> Vec<Place> {
    let set = context::get(&ctx.stores.stateful_sets, namespace, name);
    (0..size)
        .map(|ordinal| {
            let pod_name = format!("{name}-{ordinal}");
            let pod = pod_of(ctx, namespace, name, &pod_name, set.as_deref());
            let address = address(name, namespace, ordinal, (set.as_deref(), pod.as_deref()));
            Place {
                pod_name,
                pod,
                address,
            }
        })
        .collect()
}

/// A name server's pod: its set's, or one that a set which is made anew has left for the next.
#[must_use]
pub fn pod_of(
    ctx: &Context,
    namespace: &str,
    name: &str,
    pod_name: &str,
    set: Option<&StatefulSet>,
) -> Option<Arc<Pod>> {
    match set {
        Some(set) => ctx.stores.pod_of_set(namespace, pod_name, set),
        None => ctx
            .stores
            .orphan(namespace, pod_name, &labels::name_service_selector(name)),
    }
}

fn address(
    name: &str,
    namespace: &str,
    ordinal: i32,
    (set, pod): (Option<&StatefulSet>, Option<&Pod>),
) -> Option<String> {
    let service = Some(headless_name(name));
    let named = match (pod, set) {
        (Some(pod), _) => pod.spec.as_ref().and_then(|spec| spec.subdomain.clone()) == service,
        (None, Some(set)) => set.spec.as_ref().and_then(|spec| spec.service_name.clone()) == service,
        (None, None) => true,
    };
    if named {
        return Some(stable_name(name, namespace, ordinal));
    }
    pod.and_then(pod::ip).map(|ip| format!("{ip}:{PORT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(service: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "names"}, "spec": {"selector": {}, "template": {}, "serviceName": service}}))
        .unwrap()
    }

    fn pod(subdomain: &str, ip: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "names-1"}, "spec": {"containers": [], "subdomain": subdomain}, "status": {"podIP": ip}}))
        .unwrap()
    }

    #[test]
    fn a_name_server_has_a_name_if_its_pod_was_made_with_one_or_will_be() {
        let of = |set: Option<&str>, found: Option<(&str, &str)>| {
            let (set, pod) = (
                set.map(self::set),
                found.map(|(subdomain, ip)| self::pod(subdomain, ip)),
            );
            address("names", "mq", 1, (set.as_ref(), pod.as_ref()))
        };
        let (ours, ip) = ("names-headless", "198.18.0.1");
        let name = Some("names-1.names-headless.mq.svc:9876".to_owned());
        assert_eq!(of(Some(ours), Some((ours, ip))), name);
        assert_eq!(of(Some(ours), None), name, "before its pod is made");
        assert_eq!(of(None, None), name, "before anything is made");
        let address = Some("198.18.0.1:9876".to_owned());
        assert_eq!(of(Some(""), Some(("", ip))), address);
        assert_eq!(
            of(Some(ours), Some(("", ip))),
            address,
            "the set was made anew around it"
        );
        assert_eq!(of(None, Some(("", ip))), address, "its set is being made anew");
        assert_eq!(of(Some(""), None), None);
        assert_eq!(of(Some(""), Some(("", ""))), None);
    }
}
