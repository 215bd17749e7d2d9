//! What the caches leave out. An object as the API server sends it takes about five times the memory of what the
//! reconcilers read of it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMap, Container, ContainerStatus, Pod, PodSpec, PodTemplateSpec, Service, ServiceSpec,
    Volume,
};
use kube::Resource;
use kube::core::{ObjectMeta, PartialObjectMeta};

use crate::api::GROUP;
use crate::k8s::labels::{INFORMED, MANAGED_BY, MANAGER};
use crate::workload::pin;

/// Where `kubectl apply` keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops from any object who wrote which field, and kubectl's copy of it.
pub fn metadata(object: &mut impl Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Drops the pod template too.
pub fn stateful_set(set: &mut StatefulSet) {
    metadata(set);
    if let Some(spec) = &mut set.spec {
        spec.template = PodTemplateSpec::default();
    }
}

/// Keeps of the spec the node and what pins it there, the images, the ports, the volumes that data may be on and whether it has a
/// name, of the annotations ours, and the status.
pub fn pod(pod: &mut Pod) {
    metadata(pod);
    keep_our_annotations(&mut pod.metadata);
    if let Some(spec) = pod.spec.take() {
        pod.spec = Some(PodSpec {
            node_name: spec.node_name,
            node_selector: spec
                .node_selector
                .map(hostname)
                .filter(|labels| !labels.is_empty()),
            affinity: spec.affinity.and_then(node_affinity),
            subdomain: spec.subdomain,
            volumes: spec.volumes.map(of_data),
            init_containers: spec.init_containers.map(outlines),
            containers: outlines(spec.containers),
            ..PodSpec::default()
        });
    }
    if let Some(status) = &mut pod.status {
        let lists = [
            &mut status.container_statuses,
            &mut status.init_container_statuses,
        ];
        lists.into_iter().flatten().flatten().for_each(container_status);
    }
}

fn hostname(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.retain(|label, _| label == pin::HOSTNAME);
    labels
}

fn node_affinity(affinity: Affinity) -> Option<Affinity> {
    let node_affinity = affinity.node_affinity;
    node_affinity.is_some().then(|| Affinity {
        node_affinity,
        ..Affinity::default()
    })
}

fn of_data(volumes: Vec<Volume>) -> Vec<Volume> {
    let data = |volume: &Volume| {
        volume.persistent_volume_claim.is_some() || volume.empty_dir.is_some() || volume.host_path.is_some()
    };
    volumes.into_iter().filter(data).collect()
}

fn outlines(containers: Vec<Container>) -> Vec<Container> {
    let outline = |Container {
                       name, image, ports, ..
                   }| Container {
        name,
        image,
        ports,
        ..Container::default()
    };
    containers.into_iter().map(outline).collect()
}

fn container_status(status: &mut ContainerStatus) {
    status.allocated_resources = None;
    status.allocated_resources_status = None;
    status.resources = None;
    status.volume_mounts = None;
}

/// Keeps of the spec the address.
pub fn service(service: &mut Service) {
    metadata(service);
    service.spec = service.spec.take().map(|spec| ServiceSpec {
        cluster_ip: spec.cluster_ip,
        selector: spec.selector.filter(|selector| selector.contains_key(INFORMED)),
        ..ServiceSpec::default()
    });
    service.status = None;
}

/// Keeps of a `ConfigMap` that is not ours its name, version and owners: that it changed is all we need to know.
pub fn config_map(map: &mut PartialObjectMeta<ConfigMap>) {
    metadata(map);
    let labels = map.metadata.labels.as_ref();
    if labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_none_or(|manager| manager != MANAGER)
    {
        map.metadata.labels = None;
        map.metadata.annotations = None;
    }
}

fn keep_our_annotations(meta: &mut ObjectMeta) {
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/')));
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn read<K: DeserializeOwned>(object: Value) -> K {
        serde_json::from_value(object).unwrap()
    }

    fn heavy_metadata() -> Value {
        json!({
            "name": "x", "namespace": "mq", "uid": "u", "resourceVersion": "7",
            "annotations": {LAST_APPLIED: "{...}", "rocketmq.apache.org/config-hash": "1f", "other": "kept?"},
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1"}],
        })
    }

    #[test]
    fn a_stateful_set_keeps_its_replicas_and_status_but_not_its_template() {
        let mut set: StatefulSet = read(json!({
            "metadata": heavy_metadata(),
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "broker"}},
                "template": {"spec": {"containers": [{"name": "broker", "image": "i"}]}},
            },
            "status": {"replicas": 2},
        }));
        stateful_set(&mut set);
        let spec = set.spec.unwrap();
        assert_eq!(spec.replicas, Some(3));
        assert_eq!(spec.template, PodTemplateSpec::default());
        assert_eq!(set.status.unwrap().replicas, 2);
        assert_eq!(set.metadata.managed_fields, None);
        assert!(!set.metadata.annotations.unwrap().contains_key(LAST_APPLIED));
    }

    #[test]
    fn a_pod_keeps_its_node_its_images_its_ports_and_its_status() {
        let mut kept: Pod = read(json!({
            "metadata": heavy_metadata(),
            "spec": {
                "nodeName": "node-1", "nodeSelector": {"kubernetes.io/hostname": "node-1", "disk": "ssd"},
                "affinity": {"podAntiAffinity": {}},
                "initContainers": [{"name": "own", "image": "i", "command": ["chown"]}],
                "containers": [{
                    "name": "broker", "image": "i", "env": [{"name": "A", "value": "b"}],
                    "ports": [{"name": "main", "containerPort": 10911}],
                }],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-x"}}, {"name": "config"}],
            },
            "status": {
                "podIP": "198.18.0.7",
                "containerStatuses": [{
                    "name": "broker", "image": "i", "imageID": "sha", "ready": true, "restartCount": 2,
                    "volumeMounts": [{"name": "data", "mountPath": "/rocketmq"}],
                }],
            },
        }));
        pod(&mut kept);
        let expected: Pod = read(json!({
            "metadata": {
                "name": "x", "namespace": "mq", "uid": "u", "resourceVersion": "7",
                "annotations": {"rocketmq.apache.org/config-hash": "1f"},
            },
            "spec": {
                "nodeName": "node-1", "nodeSelector": {"kubernetes.io/hostname": "node-1"},
                "initContainers": [{"name": "own", "image": "i"}],
                "containers": [
                    {"name": "broker", "image": "i", "ports": [{"name": "main", "containerPort": 10911}]},
                ],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-x"}}],
            },
            "status": {
                "podIP": "198.18.0.7",
                "containerStatuses": [
                    {"name": "broker", "image": "i", "imageID": "sha", "ready": true, "restartCount": 2},
                ],
            },
        }));
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_service_keeps_its_address_and_whether_it_leads_to_informed_name_servers_only() {
        for selector in [
            json!({"app": "broker"}),
            json!({"app": "name_service", INFORMED: "true"}),
        ] {
            let mut kept: Service = read(json!({
                "metadata": {"name": "s"},
                "spec": {"clusterIP": "198.19.0.9", "type": "ClusterIP", "ports": [{"port": 9876}], "selector": selector},
                "status": {"loadBalancer": {}},
            }));
            service(&mut kept);
            let mut expected = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "198.19.0.9"}});
            if selector.get(INFORMED).is_some() {
                expected["spec"]["selector"] = selector;
            }
            assert_eq!(kept, read::<Service>(expected));
        }
    }

    #[test]
    fn a_config_map_of_ours_keeps_its_annotations_and_another_only_its_identity() {
        let mut ours: PartialObjectMeta<ConfigMap> = read(json!({"metadata": heavy_metadata()}));
        ours.metadata.labels = Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into());
        let mut theirs = ours.clone();
        theirs.metadata.labels = Some([(MANAGED_BY.to_owned(), "Helm".to_owned())].into());
        config_map(&mut ours);
        assert!(
            ours.metadata
                .annotations
                .unwrap()
                .contains_key("rocketmq.apache.org/config-hash")
        );
        config_map(&mut theirs);
        let expected: PartialObjectMeta<ConfigMap> = read(json!({
            "metadata": {"name": "x", "namespace": "mq", "uid": "u", "resourceVersion": "7"},
        }));
        assert_eq!(theirs.metadata, expected.metadata);
    }
}
