//! The vocabulary of the stories: custom resources as users write them, wrong ones too.

use serde_json::{Map, Value, json};

/// Where RocketMQ's images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// `apache/rocketmq:<version>`: uid 3000, one image for all.
    Official(&'static str),
    /// The Go operator's 0.3.0 images: root, busybox, one image per component.
    GoOperator(&'static str),
}

/// The image that a story uses which is not about versions.
pub const NEWEST: Image = Image::Official("5.5.0");

impl Image {
    fn of(self, component: &str) -> String {
        match self {
            Self::Official(version) => format!("apache/rocketmq:{version}"),
            Self::GoOperator(version) => {
                format!("apacherocketmq/rocketmq-{component}:{version}-alpine-operator-0.3.0")
            }
        }
    }

    /// What Pod Security `restricted` wants, where the image can run so.
    fn security(self) -> Value {
        match self {
            Self::Official(_) => json!({
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 3000, "runAsGroup": 3000, "fsGroup": 3000,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containerSecurityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }),
            Self::GoOperator(_) => json!({}),
        }
    }
}

/// Where the data lives.
#[derive(Clone, Debug)]
#[allow(clippy::enum_variant_names, reason = "RocketMQ operators call it so")]
pub enum Storage {
    /// Gone with the pod.
    EmptyDir,
    /// A directory of the node.
    HostPath(String),
    /// Claims of `rocketmq-storage`.
    StorageClass,
}

/// The class whose volumes the local cluster makes.
pub const STORAGE_CLASS: &str = "rocketmq-storage";

impl Storage {
    fn of(&self, claim: &str) -> Value {
        let (mode, path) = match self {
            Self::EmptyDir => ("EmptyDir", ""),
            Self::HostPath(path) => ("HostPath", path.as_str()),
            Self::StorageClass => ("StorageClass", ""),
        };
        json!({
            "storageMode": mode,
            "hostPath": path,
            "volumeClaimTemplates": [{
                "metadata": { "name": claim },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": STORAGE_CLASS,
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            }],
        })
    }
}

/// Requests that let many fit on a small node, and a limit from which the heap is sized.
fn resources(limit: &str) -> Value {
    json!({ "requests": { "cpu": "10m", "memory": "64Mi" }, "limits": { "memory": limit } })
}

fn put(object: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("not a map: {more}")
    };
    object.as_object_mut().unwrap().extend(more);
}

/// Any object that stories change before they apply it.
#[derive(Clone, Debug)]
pub struct Fixture(Value);

impl std::ops::Deref for Fixture {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.0
    }
}

/// A broker's JVM: a heap smaller than the images size it, and the optimising compiler for hot loops only: stories start
/// dozens of JVMs on two cores, and half of what a broker's takes is that compiler.
pub const BROKER_JVM: &str = "-Xms256m -Xmx256m -Xmn96m -XX:Tier4InvocationThreshold=10000000 \
                              -XX:Tier4MinInvocationThreshold=10000000 -XX:Tier4CompileThreshold=10000000";
/// A JVM without the optimising compiler. Not for brokers: their timer wheel looks at 38 MB each second.
pub const QUICK_JVM: &str = "-XX:TieredStopAtLevel=1";

/// A NameService of one name server, official image, EmptyDir.
pub fn name_service(name: &str) -> Fixture {
    let fixture = Fixture(json!({
        "apiVersion": "rocketmq.apache.org/v1alpha1", "kind": "NameService", "metadata": { "name": name },
        "spec": {
            "size": 1, "imagePullPolicy": "IfNotPresent", "hostNetwork": false, "dnsPolicy": "ClusterFirst",
            "resources": resources("512Mi"), "jvmOptions": QUICK_JVM,
        },
    }));
    fixture.image(NEWEST).storage(&Storage::EmptyDir)
}

/// A Broker of one group without replica, official image, EmptyDir, ASYNC.
pub fn broker(name: &str) -> Fixture {
    let fixture = Fixture(json!({
        "apiVersion": "rocketmq.apache.org/v1alpha1", "kind": "Broker", "metadata": { "name": name },
        "spec": {
            "size": 1, "replicaPerGroup": 0, "imagePullPolicy": "IfNotPresent", "allowRestart": true,
            "replicationMode": "ASYNC", "scalePodName": format!("{name}-0-master-0"),
            // The tools that stories run beside it need the rest.
            "resources": resources("1Gi"), "jvmOptions": BROKER_JVM,
        },
    }));
    fixture.image(NEWEST).storage(&Storage::EmptyDir)
}

/// A ConfigMap.
pub fn config_map(name: &str, data: &Value) -> Fixture {
    Fixture(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data }))
}

impl Fixture {
    /// A field by its dotted path, whatever the value: what is wrong is written so too. `null` takes it away.
    pub fn with(mut self, path: &str, value: Value) -> Self {
        let mut at = &mut self.0;
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        for key in parents.split('.').filter(|key| !key.is_empty()) {
            at = at
                .as_object_mut()
                .unwrap()
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
        }
        let at = at.as_object_mut().unwrap();
        if value.is_null() {
            at.remove(last)
        } else {
            at.insert(last.to_owned(), value)
        };
        self
    }

    fn is_broker(&self) -> bool {
        self.0["kind"] == "Broker"
    }

    /// How many name servers, or how many groups of brokers.
    pub fn size(self, size: u32) -> Self {
        self.with("spec.size", json!(size))
    }

    /// How many replicas each group has.
    pub fn replicas(self, replicas: u32) -> Self {
        self.with("spec.replicaPerGroup", json!(replicas))
    }

    /// A send is acknowledged when a replica has it.
    pub fn sync(self) -> Self {
        self.with("spec.replicationMode", json!("SYNC"))
    }

    /// The NameService whose name servers the brokers register with.
    pub fn at(self, name_service: &str) -> Self {
        self.with("spec.nameService", json!(name_service))
    }

    /// The image, and the security context that it can run with.
    pub fn image(mut self, image: Image) -> Self {
        let (field, component) = if self.is_broker() {
            ("brokerImage", "broker")
        } else {
            ("nameServiceImage", "nameserver")
        };
        let spec = &mut self.0["spec"];
        for field in ["securityContext", "containerSecurityContext"] {
            spec.as_object_mut().unwrap().remove(field);
        }
        put(spec, json!({ field: image.of(component) }));
        put(spec, image.security());
        self
    }

    /// Where the data lives.
    pub fn storage(mut self, storage: &Storage) -> Self {
        let claim = if self.is_broker() {
            "broker-storage"
        } else {
            "namesrv-storage"
        };
        put(&mut self.0["spec"], storage.of(claim));
        self
    }

    /// The name server on the node's own network, as in the article.
    pub fn host_network(self) -> Self {
        self.with("spec.hostNetwork", json!(true))
            .with("spec.dnsPolicy", json!("ClusterFirstWithHostNet"))
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        super::cluster::name_of(&self.0)
    }
}
