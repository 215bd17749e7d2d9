//! Services: one address that stays, or a name for each pod.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;

use super::labels::Labels;

/// A Service with an address of its own. While no pod behind it is ready it refuses at once instead of hanging.
#[must_use]
pub fn cluster_ip(metadata: ObjectMeta, selector: Labels, ports: &[(&str, i32)]) -> Service {
    service(
        metadata,
        ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            ..spec(selector, ports)
        },
    )
}

/// A Service that gives each of its pods a name, from the moment the pod has an address.
#[must_use]
pub fn headless(metadata: ObjectMeta, selector: Labels, ports: &[(&str, i32)]) -> Service {
    let headless = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        ..spec(selector, ports)
    };
    service(metadata, headless)
}

fn service(metadata: ObjectMeta, spec: ServiceSpec) -> Service {
    Service {
        metadata,
        spec: Some(spec),
        status: None,
    }
}

fn spec(selector: Labels, ports: &[(&str, i32)]) -> ServiceSpec {
    let port = |(name, port): &(&str, i32)| ServicePort {
        name: Some((*name).to_owned()),
        port: *port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(*port)),
        ..ServicePort::default()
    };
    ServiceSpec {
        ports: Some(ports.iter().map(port).collect()),
        selector: Some(selector),
        ..ServiceSpec::default()
    }
}

/// What a Service selects its pods by.
#[must_use]
pub fn selector(service: &Service) -> Option<&Labels> {
    service.spec.as_ref()?.selector.as_ref()
}

/// The address of a Service, once it has one.
#[must_use]
pub fn address(service: &Service) -> Option<&str> {
    service
        .spec
        .as_ref()?
        .cluster_ip
        .as_deref()
        .filter(|ip| !ip.is_empty() && *ip != "None")
}
