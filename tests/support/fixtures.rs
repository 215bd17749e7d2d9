//! Custom resources in prose: `broker("orders").groups(2).replicas(1)`.

use std::collections::BTreeMap;

use rocketmq_operator::api::{
    Broker, BrokerSpec, NameService, NameServiceSpec, ReplicationMode, StorageMode,
};
use serde_json::json;

/// A Broker of one group without replicas, on `EmptyDir`, in namespace `mq`.
pub fn broker(name: &str) -> BrokerFixture {
    let spec = BrokerSpec {
        size: 1,
        broker_image: "apache/rocketmq:5.5.0".to_owned(),
        ..BrokerSpec::default()
    };
    let mut broker = Broker::new(name, spec);
    broker.metadata.namespace = Some("mq".to_owned());
    BrokerFixture(broker)
}

/// A NameService of one name server, on `EmptyDir`, in namespace `mq`.
pub fn name_service(name: &str) -> NameServiceFixture {
    let image = "apache/rocketmq:5.5.0".to_owned();
    let spec = NameServiceSpec {
        size: 1,
        name_service_image: image,
        ..NameServiceSpec::default()
    };
    let mut name_service = NameService::new(name, spec);
    name_service.metadata.namespace = Some("mq".to_owned());
    NameServiceFixture(name_service)
}

#[derive(Clone)]
pub struct BrokerFixture(Broker);

impl From<BrokerFixture> for Broker {
    fn from(fixture: BrokerFixture) -> Self {
        fixture.0
    }
}

impl BrokerFixture {
    fn spec(mut self, change: impl FnOnce(&mut BrokerSpec)) -> Self {
        change(&mut self.0.spec);
        self
    }

    pub fn groups(self, groups: i32) -> Self {
        self.spec(|spec| spec.size = groups)
    }

    /// Replicas of each group.
    pub fn replicas(self, replicas: i32) -> Self {
        self.spec(|spec| spec.replica_per_group = replicas)
    }

    pub fn image(self, image: &str) -> Self {
        self.spec(|spec| image.clone_into(&mut spec.broker_image))
    }

    pub fn synchronous(self) -> Self {
        self.spec(|spec| spec.replication_mode = Some(ReplicationMode::Sync))
    }

    /// Fixed name servers, `host:port;host:port`.
    pub fn name_servers(self, list: &str) -> Self {
        self.spec(|spec| spec.name_servers = Some(list.to_owned()))
    }

    /// The name servers of that NameService.
    pub fn name_service(self, name: &str) -> Self {
        self.spec(|spec| spec.name_service = Some(name.to_owned()))
    }

    pub fn config(self, key: &str, value: &str) -> Self {
        let entry = (key.to_owned(), value.to_owned());
        self.spec(|spec| spec.config.get_or_insert_with(BTreeMap::new).extend([entry]))
    }

    /// `broker-common.conf` comes from that ConfigMap.
    pub fn common_config_from(self, config_map: &str) -> Self {
        let volume = json!({"name": "broker-config", "configMap": {"name": config_map}});
        self.spec(|spec| spec.volumes = Some(vec![serde_json::from_value(volume).unwrap()]))
    }

    pub fn storage_class(self, class: &str) -> Self {
        let claim = json!({
            "metadata": {"name": "broker-storage"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}},
        });
        self.spec(|spec| {
            spec.storage_mode = StorageMode::StorageClass;
            spec.volume_claim_templates = Some(vec![serde_json::from_value(claim).unwrap()]);
        })
    }

    pub fn host_path(self, path: &str) -> Self {
        self.spec(|spec| {
            spec.storage_mode = StorageMode::HostPath;
            spec.host_path = Some(path.to_owned());
        })
    }

    /// Anything else.
    pub fn with(self, change: impl FnOnce(&mut BrokerSpec)) -> Self {
        self.spec(change)
    }

    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.0.metadata.namespace = Some(namespace.to_owned());
        self
    }

    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }
}

#[derive(Clone)]
pub struct NameServiceFixture(NameService);

impl From<NameServiceFixture> for NameService {
    fn from(fixture: NameServiceFixture) -> Self {
        fixture.0
    }
}

impl NameServiceFixture {
    pub fn size(mut self, size: i32) -> Self {
        self.0.spec.size = size;
        self
    }

    pub fn image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.0.spec.name_service_image);
        self
    }

    /// Anything else.
    pub fn with(mut self, change: impl FnOnce(&mut NameServiceSpec)) -> Self {
        change(&mut self.0.spec);
        self
    }

    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.0.metadata.namespace = Some(namespace.to_owned());
        self
    }

    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }
}
