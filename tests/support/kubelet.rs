//! The StatefulSet controller, the scheduler and the kubelet in one, one step at a time; and in the pods that run, a
//! RocketMQ.
//!
//! A step makes missing pods, and takes those of the last step on: they run and are ready, or say what is wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use rocketmq_operator::admin::fake::{FakeBroker, FakeRocketMq};
use rocketmq_operator::broker::properties;
use serde_json::{Value, json};

use super::api::FakeApi;
use super::objects::Preconditions;
use super::pods::{crashed, disk, in_namespace, owned_by, pod, replicas, revision, waiting};

/// A StorageClass whose volumes can grow; those of `rocketmq-storage` cannot.
pub const GROWING: &str = "growing-storage";

/// What the cluster's nodes are like, and what runs on them.
pub struct Kubelet {
    api: FakeApi,
    rocketmq: FakeRocketMq,
    addresses: u16,
    storage_classes: BTreeSet<String>,
    missing_images: BTreeSet<String>,
    held: BTreeSet<String>,
    crashing: BTreeSet<String>,
    unschedulable: BTreeMap<String, String>,
    /// Where the RocketMQ of a pod answers, `host:port`, by the uid of the pod.
    processes: HashMap<String, String>,
    /// What names of name servers stand for.
    names: BTreeMap<String, String>,
}

impl Kubelet {
    pub fn new(api: FakeApi, rocketmq: FakeRocketMq) -> Self {
        Self {
            api,
            rocketmq,
            addresses: 0,
            storage_classes: ["rocketmq-storage", GROWING].map(str::to_owned).into(),
            missing_images: BTreeSet::new(),
            held: BTreeSet::new(),
            crashing: BTreeSet::new(),
            unschedulable: BTreeMap::new(),
            processes: HashMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Images whose name contains `part` cannot be pulled.
    pub fn cannot_pull(&mut self, part: &str) {
        self.missing_images.insert(part.to_owned());
    }

    /// The pod of that name starts but does not become ready.
    pub fn hold(&mut self, pod: &str) {
        self.held.insert(pod.to_owned());
    }

    /// The container of the pod of that name keeps ending; its volumes stay.
    pub fn crashes(&mut self, pod: &str) {
        self.crashing.insert(pod.to_owned());
    }

    /// The pod of that name finds no node, and why.
    pub fn cannot_schedule(&mut self, pod: &str, why: &str) {
        self.unschedulable.insert(pod.to_owned(), why.to_owned());
    }

    /// Ends every trouble.
    pub fn heal(&mut self) {
        self.missing_images.clear();
        self.held.clear();
        self.crashing.clear();
        self.unschedulable.clear();
    }

    /// One step of everything.
    pub fn step(&mut self) {
        let known: BTreeSet<_> = self
            .api
            .all::<Pod>()
            .iter()
            .filter_map(ResourceExt::uid)
            .collect();
        self.end_processes(&known);
        for set in self.api.all::<StatefulSet>() {
            self.adopt(&set);
            self.make_pods(&set);
        }
        for pod in self.api.all::<Pod>() {
            if known.contains(&pod.uid().unwrap()) {
                self.advance(&pod);
            }
        }
        self.resolve_name_servers();
        for set in self.api.all::<StatefulSet>() {
            self.report(&set);
        }
    }

    fn end_processes(&mut self, known: &BTreeSet<String>) {
        let gone: Vec<_> = self
            .processes
            .keys()
            .filter(|uid| !known.contains(*uid))
            .cloned()
            .collect();
        for uid in gone {
            if let Some(address) = self.processes.remove(&uid) {
                self.rocketmq.kill(&address);
            }
        }
    }

    /// Pods of that set's name that belong to nobody become its own; with `RollingUpdate`, those of another template go.
    fn adopt(&self, set: &StatefulSet) {
        let namespace = set.namespace().unwrap();
        let rolls = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolls = rolls.is_none_or(|strategy| strategy.type_.as_deref() != Some("OnDelete"));
        for pod in self.api.all::<Pod>() {
            let name = pod.name_any();
            if pod.namespace().as_ref() != Some(&namespace)
                || name.rsplit_once('-').map(|(parent, _)| parent) != Some(&set.name_any())
            {
                continue;
            }
            let key = FakeApi::key::<Pod>(&format!("{namespace}/{name}"));
            if pod.owner_references().is_empty() {
                let adopted = json!({"metadata": {"ownerReferences": owned_by(set)}});
                self.api
                    .objects(|objects| objects.patch(&key, &adopted, false))
                    .unwrap();
            }
            if rolls && pod.labels().get("controller-revision-hash") != Some(&revision(set)) {
                self.api
                    .objects(|objects| objects.delete(&key, &Preconditions::default(), false))
                    .unwrap();
            }
        }
    }

    fn make_pods(&mut self, set: &StatefulSet) {
        let (namespace, replicas) = (set.namespace().unwrap(), replicas(set));
        for ordinal in 0..replicas {
            let name = format!("{}-{ordinal}", set.name_any());
            let key = FakeApi::key::<Pod>(&format!("{namespace}/{name}"));
            if self.api.find::<Pod>(&format!("{namespace}/{name}")).is_none() {
                self.make_claims(set, ordinal);
                self.api
                    .objects(|objects| objects.create(&key, pod(set, &name, ordinal)))
                    .unwrap();
            }
        }
        for extra in self.pods_of(set) {
            let ordinal = extra
                .name_any()
                .rsplit('-')
                .next()
                .and_then(|ordinal| ordinal.parse().ok())
                .unwrap_or(0);
            if ordinal >= replicas {
                let key = FakeApi::key::<Pod>(&format!("{namespace}/{}", extra.name_any()));
                self.api
                    .objects(|objects| objects.delete(&key, &Preconditions::default(), false))
                    .unwrap();
            }
        }
    }

    fn make_claims(&self, set: &StatefulSet, ordinal: i32) {
        let namespace = set.namespace().unwrap();
        for template in set
            .spec
            .iter()
            .filter_map(|spec| spec.volume_claim_templates.as_ref())
            .flatten()
        {
            let name = format!("{}-{}-{ordinal}", template.name_any(), set.name_any());
            let key = FakeApi::key::<PersistentVolumeClaim>(&format!("{namespace}/{name}"));
            if self
                .api
                .find::<PersistentVolumeClaim>(&format!("{namespace}/{name}"))
                .is_some()
            {
                continue;
            }
            let spec = json!(template.spec);
            let class = spec["storageClassName"]
                .as_str()
                .unwrap_or("rocketmq-storage")
                .to_owned();
            let mut claim = json!({"metadata": {"name": name}, "spec": spec});
            let retention = set
                .spec
                .as_ref()
                .and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
            if retention.is_some_and(|policy| policy.when_deleted.as_deref() == Some("Delete")) {
                claim["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name_any(), "uid": set.uid()}]);
            }
            let bound = self.storage_classes.contains(&class);
            let status = json!({"status": {"phase": if bound { "Bound" } else { "Pending" }}});
            self.api
                .objects(|objects| {
                    objects.create(&key, claim)?;
                    if bound {
                        objects.patch(
                            &key,
                            &json!({"spec": {"volumeName": format!("pv-{name}")}}),
                            false,
                        )?;
                    }
                    objects.patch(&key, &status, true)
                })
                .unwrap();
        }
    }

    fn pods_of(&self, set: &StatefulSet) -> Vec<Pod> {
        let owned = |pod: &Pod| {
            pod.owner_references()
                .iter()
                .any(|owner| Some(&owner.uid) == set.uid().as_ref())
        };
        self.api.all::<Pod>().into_iter().filter(owned).collect()
    }

    fn advance(&mut self, pod: &Pod) {
        let status = match self.trouble(pod) {
            _ if self.crashing.contains(&pod.name_any()) => self.crash(pod),
            Some(trouble) => trouble,
            None => self.runs(pod),
        };
        let key = FakeApi::key::<Pod>(&format!("{}/{}", pod.namespace().unwrap(), pod.name_any()));
        self.api
            .objects(|objects| {
                let mut next = objects.get(&key)?.clone();
                next["status"] = status;
                objects.update(&key, next, true)
            })
            .unwrap();
    }

    /// Ends what the pod's container runs; its volumes stay.
    fn crash(&mut self, pod: &Pod) -> Value {
        let process = self.processes.remove(&pod.uid().unwrap());
        if let Some(address) = &process {
            self.rocketmq.kill(address);
        }
        crashed(pod, process.is_some())
    }

    /// The status of a pod that cannot run.
    fn trouble(&self, pod: &Pod) -> Option<Value> {
        if self.processes.contains_key(&pod.uid().unwrap()) {
            return None;
        }
        let spec = pod.spec.as_ref().unwrap();
        let unschedulable = self
            .unschedulable
            .get(&pod.name_any())
            .cloned()
            .or_else(|| self.unbound(pod));
        if let Some(why) = unschedulable {
            return Some(json!({
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}],
            }));
        }
        let container = &spec.containers[0];
        let image = container.image.as_deref().unwrap_or_default();
        if self.missing_images.iter().any(|part| image.contains(part)) {
            return Some(waiting(
                container,
                "ImagePullBackOff",
                &format!("Back-off pulling image {image:?}"),
            ));
        }
        let there = |name: &str| {
            self.api
                .find::<ConfigMap>(&format!("{}/{name}", pod.namespace().unwrap()))
        };
        let volumes = spec
            .volumes
            .iter()
            .flatten()
            .filter_map(|volume| volume.config_map.as_ref());
        if volumes
            .into_iter()
            .any(|source| source.optional != Some(true) && there(&source.name).is_none())
        {
            return Some(waiting(container, "ContainerCreating", ""));
        }
        let keys = container
            .env
            .iter()
            .flatten()
            .filter_map(|env| env.value_from.as_ref()?.config_map_key_ref.as_ref());
        let missing = keys.into_iter().find(|key| {
            there(&key.name).is_none_or(|map| !map.data.unwrap_or_default().contains_key(&key.key))
        });
        missing.map(|key| {
            waiting(
                container,
                "CreateContainerConfigError",
                &format!("configmap {:?} not found", key.name),
            )
        })
    }

    /// Why a claim of the pod is not bound.
    fn unbound(&self, pod: &Pod) -> Option<String> {
        let volumes = pod.spec.iter().filter_map(|spec| spec.volumes.as_ref()).flatten();
        let mut claims = volumes
            .filter_map(|volume| volume.persistent_volume_claim.as_ref())
            .filter_map(|source| {
                self.api.find::<PersistentVolumeClaim>(&format!(
                    "{}/{}",
                    pod.namespace().unwrap(),
                    source.claim_name
                ))
            });
        claims.find_map(|claim| {
            let class = claim.spec?.storage_class_name?;
            let known = self.storage_classes.contains(&class);
            (!known)
                .then(|| format!("0/1 nodes are available: storageclass.storage.k8s.io {class:?} not found"))
        })
    }

    fn runs(&mut self, pod: &Pod) -> Value {
        let uid = pod.uid().unwrap();
        let now = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let ip = now.unwrap_or_else(|| self.address());
        let held = self.held.contains(&pod.name_any());
        if !held && !self.processes.contains_key(&uid) {
            let process = self.start(pod, &ip);
            self.processes.insert(uid.clone(), process);
        }
        let ready = if held { "False" } else { "True" };
        let served = self.processes.contains_key(&uid);
        let changed = if served {
            "2026-01-01T00:00:20Z"
        } else {
            "2026-01-01T00:00:00Z"
        };
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(|kind| {
            let status = if kind.ends_with("Ready") { ready } else { "True" };
            json!({"type": kind, "status": status, "lastTransitionTime": changed})
        });
        let container = &pod.spec.as_ref().unwrap().containers[0];
        json!({
            "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "198.18.255.1",
            "conditions": conditions,
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": "sha256:0", "ready": !held, "started": !held,
                "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }],
        })
    }

    fn address(&mut self) -> String {
        self.addresses += 1;
        let [high, low] = self.addresses.to_be_bytes();
        Ipv4Addr::new(198, 18, high, low).to_string()
    }

    /// Starts what the pod's container runs, as its environment and configuration say at this moment.
    fn start(&self, pod: &Pod, ip: &str) -> String {
        if pod.labels().get("app").is_some_and(|app| app == "name_service") {
            let address = format!("{ip}:9876");
            self.rocketmq.name_server(&address);
            return address;
        }
        let namespace = pod.namespace().unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let env = |name: &str| self.variable(pod, ip, name);
        let volumes = pod.spec.iter().filter_map(|spec| spec.volumes.as_ref()).flatten();
        let config = volumes
            .filter(|volume| volume.name == "rocketmq-config")
            .filter_map(|volume| volume.config_map.as_ref());
        let mut parts: BTreeMap<_, _> = config
            .flat_map(|source| self.data(&namespace, &source.name))
            .collect();
        let list = env("NAMESRV_ADDR");
        let advertised = env("ROCKETMQ_ADVERTISED_ADDRESS");
        let advertised = if advertised.is_empty() {
            // An image of the Go operator, with its own command.
            for (key, name) in [
                ("brokerClusterName", "BROKER_CLUSTER_NAME"),
                ("brokerName", "BROKER_NAME"),
                ("brokerId", "BROKER_ID"),
            ] {
                parts.insert(format!("9{key}"), format!("{key}={}", env(name)));
            }
            ip.to_owned()
        } else {
            advertised
        };
        parts.insert(
            "~".to_owned(),
            format!("{}\nnamesrvAddr={list}", env("ROCKETMQ_LIVE_CONFIG")),
        );
        let config = properties::parse(&parts.into_values().collect::<Vec<_>>().join("\n\n"));
        let get = |key: &str| config.get(key).cloned().unwrap_or_default();
        let port = config.get("listenPort").map_or("10911", String::as_str);
        let address = format!("{ip}:{port}");
        let servers: Vec<_> = list
            .split(';')
            .filter(|server| !server.is_empty())
            .map(|server| in_namespace(server, &namespace))
            .collect();
        let image = container.image.clone().unwrap_or_default();
        let version = image.rsplit(':').next().unwrap_or_default().replace('.', "_");
        let broker = FakeBroker::replica(&get("brokerName"), get("brokerId").parse().unwrap_or(0))
            .version(&format!("V{version}"))
            .cluster(&get("brokerClusterName"))
            .runtime("commitLogMaxOffset", "1000")
            .at(&address)
            .registers_as(&format!("{advertised}:{port}"))
            .registers_on(&servers.iter().map(String::as_str).collect::<Vec<_>>())
            .on_disk(&disk(pod));
        self.rocketmq.broker(
            config
                .iter()
                .fold(broker, |broker, (key, value)| broker.config(key, value)),
        );
        address
    }

    fn data(&self, namespace: &str, name: &str) -> BTreeMap<String, String> {
        let map = self.api.find::<ConfigMap>(&format!("{namespace}/{name}"));
        map.and_then(|map| map.data).unwrap_or_default()
    }

    /// A variable of the pod's container.
    fn variable(&self, pod: &Pod, ip: &str, name: &str) -> String {
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let var = container.env.iter().flatten().find(|env| env.name == name);
        let from = var.and_then(|var| var.value_from.as_ref());
        match (var.and_then(|var| var.value.clone()), from) {
            (Some(value), _) => value,
            (_, Some(from)) if from.field_ref.is_some() => ip.to_owned(),
            (_, Some(from)) => from
                .config_map_key_ref
                .as_ref()
                .and_then(|key| self.data(&pod.namespace().unwrap(), &key.name).remove(&key.key))
                .unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Names of name servers stand for where their pods are now; brokers find them there.
    fn resolve_name_servers(&mut self) {
        let names: BTreeMap<String, String> = self
            .api
            .all::<Pod>()
            .iter()
            .filter(|pod| pod.labels().get("app").is_some_and(|app| app == "name_service"))
            .filter_map(|pod| {
                let ip = pod.status.as_ref()?.pod_ip.clone()?;
                let service = pod.spec.as_ref()?.subdomain.clone()?;
                let name = format!("{}.{service}.{}.svc:9876", pod.name_any(), pod.namespace()?);
                Some((name, format!("{ip}:9876")))
            })
            .collect();
        for (name, address) in &names {
            self.rocketmq.resolves(name, address);
        }
        if names != self.names {
            self.rocketmq.register_all();
            self.names = names;
        }
    }

    fn report(&self, set: &StatefulSet) {
        let pods = self.pods_of(set);
        let newest = revision(set);
        let of = |wanted: &dyn Fn(&Pod) -> bool| {
            i32::try_from(pods.iter().filter(|pod| wanted(pod)).count()).unwrap()
        };
        let ready = of(&|pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
        });
        let updated = of(&|pod| pod.labels().get("controller-revision-hash") == Some(&newest));
        let current = set
            .status
            .as_ref()
            .and_then(|status| status.current_revision.clone());
        let all_updated = updated == of(&|_| true);
        let status = json!({"status": {
            "observedGeneration": set.metadata.generation, "replicas": of(&|_| true), "readyReplicas": ready,
            "availableReplicas": ready, "updatedReplicas": updated, "updateRevision": newest,
            "currentRevision": if all_updated { newest.clone() } else { current.unwrap_or_else(|| newest.clone()) },
        }});
        let key = FakeApi::key::<StatefulSet>(&format!("{}/{}", set.namespace().unwrap(), set.name_any()));
        self.api
            .objects(|objects| objects.patch(&key, &status, true))
            .unwrap();
    }
}
