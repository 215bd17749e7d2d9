//! Which name servers a broker has, and at which addresses the operator asks them: from this `Broker`'s own
//! namespace or its own spec, never from another cluster's.

use std::sync::Arc;

use kube::ResourceExt;

use super::valid::{NameServerSource, Rejected, Valid};
use crate::api::NameService;
use crate::context::Context;
use crate::name_service::addresses;

/// The name servers of one `Broker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers {
    /// `NAMESRV_ADDR`: `host:port` in ordinal order, joined by `;`.
    pub list: String,
    /// Whether each of them is in the list: one without a name is not as long as its pod has no address.
    pub complete: bool,
    /// Where the operator asks each of them; `None` where a pod has no address yet.
    pub ask: Vec<NameServer>,
}

/// One name server as the operator dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// What people call it: the pod's name, or the address as listed.
    pub name: String,
    /// `host:port`, or `None` as long as its pod has no address.
    pub address: Option<String>,
}

/// Finds the name servers of a `Broker`, or says why there are none.
pub fn find(valid: &Valid, ctx: &Context) -> Result<NameServers, Rejected> {
    let namespace = valid.target.namespace.as_str();
    match &valid.name_servers {
        NameServerSource::Listed(addresses) => Ok(NameServers {
            list: addresses.join(";"),
            complete: true,
            ask: addresses
                .iter()
                .map(|address| NameServer {
                    name: address.clone(),
                    address: Some(address.clone()),
                })
                .collect(),
        }),
        NameServerSource::Named(name) => {
            let all = in_namespace(ctx, namespace);
            all.iter().find(|service| service.name_any() == *name).map(|service| of(service, ctx)).ok_or_else(|| Rejected {
                reason: "NameServiceNotFound",
                message: format!("spec.nameService: there is no NameService {name:?} in namespace {namespace}; create it"),
            })
        }
        NameServerSource::Only => match in_namespace(ctx, namespace).as_slice() {
            [only] => Ok(of(only, ctx)),
            [] => Err(Rejected {
                reason: "NameServiceNotFound",
                message: format!(
                    "there is no NameService in namespace {namespace}; create one, or list addresses in spec.nameServers"
                ),
            }),
            several => Err(Rejected {
                reason: "NameServiceAmbiguous",
                message: format!(
                    "there are {} NameServices in namespace {namespace} ({}); name one in spec.nameService",
                    several.len(),
                    names(several)
                ),
            }),
        },
    }
}

fn in_namespace(ctx: &Context, namespace: &str) -> Vec<Arc<NameService>> {
    let mut found: Vec<_> = ctx
        .stores
        .name_services
        .state()
        .into_iter()
        .filter(|service| service.namespace().as_deref() == Some(namespace))
        .filter(|service| service.metadata.deletion_timestamp.is_none())
        .collect();
    found.sort_by_key(|service| service.name_any());
    found
}

fn names(services: &[Arc<NameService>]) -> String {
    services
        .iter()
        .map(|service| service.name_any())
        .collect::<Vec<_>>()
        .join(", ")
}

fn of(service: &NameService, ctx: &Context) -> NameServers {
    let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
    let accepted = service
        .status
        .as_ref()
        .map(|status| status.size)
        .filter(|size| *size > 0);
    let size = accepted.unwrap_or(service.spec.size);
    let places = addresses::places(ctx, &namespace, &name, size);
    let list: Vec<String> = places.iter().filter_map(|place| place.address.clone()).collect();
    NameServers {
        complete: list.len() == places.len(),
        list: list.join(";"),
        ask: places
            .into_iter()
            .map(|place| NameServer {
                address: place.pod_address(),
                name: place.pod_name,
            })
            .collect(),
    }
}

impl NameServers {
    /// The list that brokers are to run with. While a name server has no address they keep the one that they had, rather than
    /// be told twice.
    #[must_use]
    pub fn known<'a>(&'a self, before: Option<&'a str>) -> Option<&'a str> {
        let known = if self.complete {
            self.list.as_str()
        } else {
            before.unwrap_or(&self.list)
        };
        (!known.is_empty()).then_some(known)
    }
}
