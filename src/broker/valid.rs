//! A `Broker` as the reconciler takes it: checked once at the door, so that what follows cannot fail on bad input.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::api::{AcceptedLoss, Broker, BrokerSpec, ClusterMode, RolloutStatus, ScaleIn, ScaleInStatus};
use crate::error::Error;
use crate::k8s::Target;
use crate::k8s::conditions::{self, DEGRADED, NOT_GROWN, READY};
use crate::k8s::labels::{ACCEPT_LOSS, RESTARTED_AT, Switches};
use crate::workload::pin;
use crate::workload::storage::Storage;

/// The volume that data is on where the spec has no claim template to name it.
const DATA_VOLUME: &str = "broker-storage";
/// StatefulSet names are cut off by the revision label of their pods beyond this.
const NAME_LIMIT: usize = 52;

/// Why a spec cannot be acted on, as a condition tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// One word for the condition's reason.
    pub reason: &'static str,
    /// The field and the remedy.
    pub message: String,
}

impl Rejected {
    /// A rejection for a bad value in the spec.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            reason: "InvalidSpec",
            message: message.into(),
        }
    }
}

/// How many groups, and how many replicas in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Groups, each with a master.
    pub groups: i32,
    /// Replicas of each group.
    pub replicas: i32,
}

impl Shape {
    /// Every broker of this shape, replicas of a group after its master.
    pub fn members(self) -> impl Iterator<Item = Member> {
        (0..self.groups)
            .flat_map(move |group| (0..=self.replicas).map(move |replica| Member { group, replica }))
    }

    /// How many brokers that is.
    #[must_use]
    pub fn brokers(self) -> i32 {
        self.groups * (self.replicas + 1)
    }
}

/// One broker: a group's master, or one of its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The group, from 0.
    pub group: i32,
    /// 0 for the master, else the replica's number.
    pub replica: i32,
}

impl Member {
    /// Whether it is the master.
    #[must_use]
    pub fn is_master(self) -> bool {
        self.replica == 0
    }

    /// RocketMQ's `brokerId`.
    #[must_use]
    pub fn id(self) -> i64 {
        i64::from(self.replica)
    }

    /// `master` or `replica`, as labels have it.
    #[must_use]
    pub fn role(self) -> &'static str {
        if self.is_master() { "master" } else { "replica" }
    }

    /// The name of its StatefulSet, its Service, and its folders on the data volume.
    #[must_use]
    pub fn name(self, broker: &str) -> String {
        if self.is_master() {
            format!("{broker}-{}-master", self.group)
        } else {
            format!("{broker}-{}-replica-{}", self.group, self.replica)
        }
    }

    /// The name of its pod.
    #[must_use]
    pub fn pod_name(self, broker: &str) -> String {
        format!("{}-0", self.name(broker))
    }
}

/// Where a broker's name servers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameServerSource {
    /// `spec.nameServers`, `host:port` each.
    Listed(Vec<String>),
    /// `spec.nameService`.
    Named(String),
    /// The only `NameService` in the namespace.
    Only,
}

/// A `Broker` that can be acted on.
#[derive(Clone, Debug)]
pub struct Valid {
    /// Its name: RocketMQ's cluster name.
    pub name: String,
    /// Where its children go.
    pub target: Target,
    /// Its spec, for the fields that are passed through.
    pub spec: BrokerSpec,
    /// The groups and replicas that the spec asks for.
    pub asked: Shape,
    /// The groups and replicas that are to run now: those that the spec asks for, and those that have not left yet.
    pub shape: Shape,
    /// Where its data lives.
    pub storage: Storage,
    /// Where its name servers come from.
    pub name_servers: NameServerSource,
    /// What ran when the status was last written; then a change of it is a scaling. `None` before anything ran.
    pub accepted: Option<Shape>,
    /// The list of name servers that every broker was last seen to run with.
    pub told: Option<String>,
    /// Whether its status said that a volume cannot grow.
    pub growth_refused: bool,
    /// Whether its status said Ready when it was last written.
    pub was_ready: bool,
    /// When it was made.
    pub created: Option<Time>,
    /// What the user switched by annotation.
    pub switches: Switches,
    /// The master that is being restarted, as the status remembers.
    pub rollout: Option<RolloutStatus>,
    /// The groups that are being opened, as the status remembers.
    pub opening: Vec<i32>,
    /// The group that leaves, as the status remembers.
    pub scale_in: Option<Box<ScaleInStatus>>,
    /// The pod whose messages the user gives up, by annotation.
    pub accepts_loss: Option<String>,
    /// The very pod that this was said of, as the status remembers.
    pub accepted_loss: Option<AcceptedLoss>,
    /// When the user last asked for a restart of every broker, by annotation.
    pub restarted_at: Option<String>,
    /// Whether the Go operator made this cluster: its clients dial pods.
    pub taken_over: bool,
    /// Brokers that run and that neither the spec nor the status knows of.
    pub leftovers: Vec<Member>,
}

impl Valid {
    /// Checks a `Broker`. The outer error is an object that was never stored; the inner one is for its user.
    pub fn check(broker: &Broker) -> Result<Result<Self, Rejected>, Error> {
        let target = Target::of(broker)?;
        Ok(Self::of_spec(broker, target))
    }

    fn of_spec(broker: &Broker, target: Target) -> Result<Self, Rejected> {
        let (name, spec) = (broker.name_any(), &broker.spec);
        unreadable(&spec.unreadable)?;
        if let Some(mode) = spec
            .cluster_mode
            .as_ref()
            .filter(|mode| **mode != ClusterMode::Static)
        {
            return Err(Rejected {
                reason: "UnsupportedClusterMode",
                message: format!(
                    "spec.clusterMode {mode:?} is not supported, nothing is started; use STATIC"
                )
                .replace("Controller", "CONTROLLER")
                .replace("Container", "CONTAINER"),
            });
        }
        let asked = Shape {
            groups: spec.size,
            replicas: spec.replica_per_group,
        };
        check_numbers(asked)?;
        check_name(&name, asked)?;
        let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
        let storage = Storage::new(
            &spec.storage_mode,
            spec.host_path.as_deref(),
            templates,
            DATA_VOLUME,
        )
        .map_err(Rejected::invalid)?;
        let status = broker.status.as_ref().filter(|status| status.size > 0);
        let accepted = status.map(|status| Shape {
            groups: status.size,
            replicas: status.replica_per_group.unwrap_or(spec.replica_per_group),
        });
        let shape = accepted.map_or(asked, |accepted| Shape {
            groups: accepted.groups.max(asked.groups),
            replicas: accepted.replicas.max(asked.replicas),
        });
        Ok(Self {
            name_servers: name_server_source(spec)?,
            accepted,
            told: status.and_then(|status| status.name_servers.clone()),
            growth_refused: status.is_some_and(|status| {
                conditions::find(&status.conditions, DEGRADED).is_some_and(|says| says.reason == NOT_GROWN)
            }),
            was_ready: status.is_some_and(|status| {
                conditions::find(&status.conditions, READY).is_some_and(|ready| ready.status == "True")
            }),
            created: broker.creation_timestamp(),
            switches: Switches::of(broker.annotations()),
            rollout: status.and_then(|status| status.rollout.clone()),
            opening: status.map(|status| status.opening.clone()).unwrap_or_default(),
            scale_in: status.and_then(|status| status.scale_in.clone()),
            accepts_loss: broker.annotations().get(ACCEPT_LOSS).cloned(),
            accepted_loss: status.and_then(|status| status.accepted_loss.clone()),
            restarted_at: broker.annotations().get(RESTARTED_AT).cloned(),
            taken_over: false,
            leftovers: Vec::new(),
            spec: spec.clone(),
            name,
            target,
            asked,
            shape,
            storage,
        })
    }

    /// RocketMQ's `brokerName` of a group.
    #[must_use]
    pub fn broker_name(&self, group: i32) -> String {
        format!("{}-{group}", self.name)
    }

    /// `spec.scaleIn`, or its defaults.
    #[must_use]
    pub fn scale_in_options(&self) -> ScaleIn {
        self.spec.scale_in.clone().unwrap_or_default()
    }

    /// The only node that the spec lets brokers run on, if there is one.
    #[must_use]
    pub fn pinned_to(&self) -> Option<&str> {
        pin::node(self.spec.node_selector.as_ref(), self.spec.affinity.as_ref())
    }

    /// Whether clients and replicas dial the pod's own address instead of its Service.
    #[must_use]
    pub fn advertises_pod_ip(&self) -> bool {
        use crate::api::AdvertisedAddress::{PodIP, Service};
        match self.spec.advertised_address {
            Some(PodIP) => true,
            Some(Service) => false,
            None => self.taken_over || self.spec.host_network == Some(true),
        }
    }
}

/// Fields that were stored before the schema refused them.
pub fn unreadable(fields: &[String]) -> Result<(), Rejected> {
    if fields.is_empty() {
        return Ok(());
    }
    Err(Rejected::invalid(format!(
        "the stored object has fields that cannot be read: {}; correct them",
        fields.join("; ")
    )))
}

fn check_numbers(asked: Shape) -> Result<(), Rejected> {
    if asked.groups < 1 {
        return Err(Rejected::invalid(format!(
            "spec.size is {}; a cluster has at least 1 group",
            asked.groups
        )));
    }
    if asked.replicas < 0 {
        return Err(Rejected::invalid(format!(
            "spec.replicaPerGroup is {}; use 0 or more",
            asked.replicas
        )));
    }
    Ok(())
}

/// What stored objects may still have, from before the CRD's rules.
fn check_name(name: &str, asked: Shape) -> Result<(), Rejected> {
    let longest = Member {
        group: asked.groups - 1,
        replica: asked.replicas,
    }
    .name(name)
    .len();
    let longest = longest.max(
        Member {
            group: asked.groups - 1,
            replica: 0,
        }
        .name(name)
        .len(),
    );
    if longest > NAME_LIMIT {
        return Err(Rejected::invalid(format!(
            "metadata.name is too long: its StatefulSets would have {longest} characters of at most {NAME_LIMIT}; \
             make a Broker with a name shorter by {}",
            longest - NAME_LIMIT
        )));
    }
    check_service_name(name)
}

/// Whether Services can be named after an object of that name.
pub fn check_service_name(name: &str) -> Result<(), Rejected> {
    let letter_first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if letter_first && !name.contains('.') {
        return Ok(());
    }
    Err(Rejected::invalid(format!(
        "metadata.name {name:?} cannot name a Service; make one whose name starts with a letter and has no dot"
    )))
}

fn name_server_source(spec: &BrokerSpec) -> Result<NameServerSource, Rejected> {
    let listed: Vec<String> = spec
        .name_servers
        .as_deref()
        .unwrap_or_default()
        .split(';')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    if let Some(bad) = listed.iter().find(|address| !is_address(address)) {
        return Err(Rejected::invalid(format!(
            "spec.nameServers: {bad:?} is not host:port; write host:9876;host:9876"
        )));
    }
    Ok(
        match spec.name_service.as_deref().filter(|name| !name.is_empty()) {
            _ if !listed.is_empty() => NameServerSource::Listed(listed),
            Some(name) => NameServerSource::Named(name.to_owned()),
            None => NameServerSource::Only,
        },
    )
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_the_go_operator_named_them() {
        let names: Vec<_> = Shape {
            groups: 2,
            replicas: 1,
        }
        .members()
        .map(|member| member.pod_name("broker"))
        .collect();
        assert_eq!(
            names,
            [
                "broker-0-master-0",
                "broker-0-replica-1-0",
                "broker-1-master-0",
                "broker-1-replica-1-0"
            ]
        );
    }

    #[test]
    fn a_name_is_measured_by_the_longest_set_it_leads_to() {
        let shape = Shape {
            groups: 10,
            replicas: 10,
        };
        assert!(check_name(&"b".repeat(52 - "-9-replica-10".len()), shape).is_ok());
        let error = check_name(&"b".repeat(53 - "-9-replica-10".len()), shape).unwrap_err();
        assert!(error.message.contains("shorter by 1"), "{error:?}");
    }

    #[test]
    fn a_name_that_cannot_name_a_service_is_refused_with_the_remedy() {
        assert!(check_service_name("broker").is_ok());
        for bad in ["1broker", "my.broker"] {
            assert!(
                check_service_name(bad)
                    .unwrap_err()
                    .message
                    .contains("starts with a letter")
            );
        }
    }

    #[test]
    fn name_server_addresses_need_a_host_and_a_port() {
        for good in ["a:9876", "198.18.0.1:9876", "ns-0.ns-headless.default.svc:9876"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["a", ":9876", "a:", "a:x", "a b:9876", "a:0", "a:99999"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
