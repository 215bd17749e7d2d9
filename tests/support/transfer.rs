//! Two clusters beside each other, `orders` with topic `payments` and `stock` without, and a transfer between them.

use std::collections::BTreeMap;

use futures::FutureExt;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rocketmq_operator::admin::fake::FakeBroker;
use rocketmq_operator::admin::{Admin, SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::{TopicTransfer, TopicTransferSpec, TransferPhase};
use rocketmq_operator::topic_transfer::FINALIZER;
use serde_json::{Value, json};

use super::world::World;

/// The transfer.
pub const MOVE: &str = "mq/move";
/// The masters of the source, `orders-0` and `orders-1`.
pub const OLD: [&str; 2] = ["198.18.1.1:10911", "198.18.1.2:10911"];
/// The master of the target, `stock-0`.
pub const NEW: &str = "198.18.2.1:10911";
pub const SOURCE_SERVERS: [&str; 2] = ["198.18.1.8:9876", "198.18.1.9:9876"];
pub const TARGET_SERVERS: [&str; 1] = ["198.18.2.8:9876"];

pub fn spec() -> TopicTransferSpec {
    TopicTransferSpec {
        topic: "payments".to_owned(),
        source_cluster: "orders".to_owned(),
        target_cluster: "stock".to_owned(),
        source_name_servers: Some(SOURCE_SERVERS.join(";")),
        target_name_servers: Some(TARGET_SERVERS.join(";")),
        ..TopicTransferSpec::default()
    }
}

pub fn named(name: &str, spec: TopicTransferSpec) -> TopicTransfer {
    let mut transfer = TopicTransfer::new(name, spec);
    transfer.metadata.namespace = Some("mq".to_owned());
    transfer
}

/// A transfer of `payments` from `orders` to `stock`.
pub fn transfer(name: &str) -> TopicTransfer {
    named(name, spec())
}

/// Whether the transfer is at its end, and free to go.
pub fn ended(world: &World) -> bool {
    let Some(transfer) = world.find::<TopicTransfer>(MOVE) else {
        return true;
    };
    let kept = transfer
        .metadata
        .finalizers
        .iter()
        .flatten()
        .any(|name| name == FINALIZER);
    let phase = transfer
        .status
        .and_then(|status| status.phase)
        .unwrap_or_default();
    phase.is_final() && !kept
}

fn payments(version: &str) -> TopicConfig {
    let mut topic = TopicConfig::new("payments", 12);
    if version.starts_with("V5") {
        topic.attributes = [("message.type".to_owned(), "NORMAL".to_owned())].into();
    }
    topic
}

/// Two clusters and an operator.
pub struct Two {
    pub world: World,
    version: String,
}

impl Two {
    pub fn new() -> Self {
        Self::of_versions("V5_5_0", "V5_5_0")
    }

    /// Every group has consumed everything.
    pub fn of_versions(source: &str, target: &str) -> Self {
        let world = World::default();
        for server in SOURCE_SERVERS.iter().chain(&TARGET_SERVERS) {
            world.rocketmq.name_server(server);
        }
        let billing = SubscriptionGroup::new("billing").with("retryMaxTimes", 3);
        let audit = SubscriptionGroup::new("audit").with("consumeBroadcastEnable", false);
        for (number, address) in OLD.iter().enumerate() {
            let master = FakeBroker::master(&format!("orders-{number}"))
                .cluster("orders")
                .version(source)
                .at(address)
                .registers_on(&SOURCE_SERVERS)
                .topic(payments(source))
                .topic(TopicConfig::new("others", 4))
                .group(&billing)
                .group(&audit)
                .group(&SubscriptionGroup::new("stranger"))
                .queue("payments", 0, 0, 10)
                .consumed("payments", "billing", 0, 10)
                .consumed("payments", "audit", 0, 10)
                .consumed("others", "stranger", 0, 0);
            world.rocketmq.broker(master);
        }
        let master = FakeBroker::master("stock-0")
            .cluster("stock")
            .version(target)
            .at(NEW)
            .registers_on(&TARGET_SERVERS);
        world.rocketmq.broker(master);
        Self {
            world,
            version: source.to_owned(),
        }
    }

    pub fn transfer(&self) -> TopicTransfer {
        self.world.get(MOVE)
    }

    pub fn phase(&self) -> TransferPhase {
        let transfer = self.world.find::<TopicTransfer>(MOVE);
        let status = transfer.and_then(|transfer| transfer.status);
        status.and_then(|status| status.phase).unwrap_or_default()
    }

    pub fn told(&self) -> Vec<String> {
        if self.world.find::<TopicTransfer>(MOVE).is_none() {
            return Vec::new();
        }
        self.world.conditions::<TopicTransfer>(MOVE)
    }

    pub fn says(&self, words: &str) {
        let told = self.told();
        assert!(
            told.iter().any(|line| line.contains(words)),
            "{words:?} is not in {told:#?}"
        );
    }

    /// One reconcile, whatever comes of it.
    pub async fn look(&mut self) {
        if self.world.find::<TopicTransfer>(MOVE).is_some() {
            let _ = self.world.reconcile_transfer(MOVE).await;
        }
    }

    /// Time passes for everybody.
    pub fn pass(&mut self, seconds: i64) {
        self.world
            .rocketmq
            .pass_time(std::time::Duration::from_secs(seconds.unsigned_abs()));
        let Some(transfer) = self.world.find::<TopicTransfer>(MOVE) else {
            return;
        };
        let mut status = json!(transfer.status.unwrap_or_default());
        let earlier = |time: &mut Value| {
            if let Some(text) = time.as_str() {
                let then: Timestamp = text.parse().unwrap();
                *time = json!((then - SignedDuration::from_secs(seconds)).to_string());
            }
        };
        let mut times = json!({});
        for field in ["startedAt", "quietSince", "endingSince"] {
            if !status[field].is_null() {
                earlier(&mut status[field]);
                times[field] = status[field].clone();
            }
        }
        for one in status["underWay"].as_array_mut().into_iter().flatten() {
            earlier(&mut one["at"]);
        }
        if !status["underWay"].is_null() {
            times["underWay"] = status["underWay"].clone();
        }
        if !times.as_object().unwrap().is_empty() {
            self.world.edit_status::<TopicTransfer>(MOVE, &times);
        }
    }

    /// Looks, every ten seconds, until it is at its end.
    pub async fn run(&mut self) {
        for _ in 0..500 {
            if ended(&self.world) {
                return;
            }
            self.look().await;
            self.pass(10);
        }
        panic!("has no end: {:#?}", self.told());
    }

    /// The same, where a request that fails is the last one of the operator's process.
    pub async fn run_with_restarts(&mut self) {
        for _ in 0..500 {
            if ended(&self.world) {
                return;
            }
            if self.world.reconcile_transfer(MOVE).await.is_err() {
                self.world.restart_operator();
            }
            self.pass(10);
        }
        panic!("has no end: {:#?}", self.told());
    }

    pub async fn until(&mut self, phase: TransferPhase) {
        for _ in 0..200 {
            if self.phase() == phase && self.world.get::<TopicTransfer>(MOVE).status.is_some() {
                return;
            }
            if phase == TransferPhase::Pending {
                return;
            }
            self.look().await;
            self.pass(10);
        }
        panic!("never comes to {phase:?}: {:#?}", self.told());
    }

    /// The topic and all topics and groups of the source, as its brokers have them.
    pub fn source(&self) -> Vec<String> {
        OLD.iter().map(|address| self.broker(address)).collect()
    }

    fn broker(&self, address: &str) -> String {
        let broker = self.world.rocketmq.broker_at(address).unwrap();
        format!("{:#?} {:#?}", broker.topics(), broker.groups())
    }

    /// What all brokers have.
    pub fn everything(&self) -> BTreeMap<String, String> {
        let all = OLD.iter().chain([&NEW]);
        all.map(|address| ((*address).to_owned(), self.broker(address)))
            .collect()
    }

    /// The topic is at the target only, as it was, and nothing else has changed.
    pub fn is_moved(&self) {
        let fresh = Self::of_versions(&self.version, "V5_5_0");
        for address in OLD {
            let (now, then) = (
                self.world.rocketmq.broker_at(address),
                fresh.world.rocketmq.broker_at(address),
            );
            let (now, then) = (now.unwrap(), then.unwrap());
            let mut expected = then.topics().clone();
            expected.remove("payments");
            let mut found = now.topics().clone();
            found.retain(|name, _| !name.starts_with("%RETRY%"));
            assert_eq!(found, expected, "{address}");
            assert_eq!(now.groups(), then.groups(), "{address}");
        }
        let target = self.world.rocketmq.broker_at(NEW).unwrap();
        assert_eq!(target.topics()["payments"], payments(&self.version));
        let source = fresh.world.rocketmq.broker_at(OLD[0]).unwrap();
        for group in ["billing", "audit"] {
            let (old, new) = (&source.groups()[group], &target.groups()[group]);
            assert_eq!(old.lost_in(new), [].into(), "{group}");
        }
        assert!(!target.groups().contains_key("stranger"));
        for (servers, there) in [(&SOURCE_SERVERS[..], false), (&TARGET_SERVERS[..], true)] {
            for server in servers {
                let topics = self
                    .world
                    .rocketmq
                    .topic_list(server)
                    .now_or_never()
                    .unwrap()
                    .unwrap();
                assert_eq!(topics.contains(&"payments".to_owned()), there, "{server}");
            }
        }
    }
}
