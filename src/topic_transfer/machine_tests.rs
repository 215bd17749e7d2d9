//! A world of two clusters that does what it is told, and what the machine makes of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::machine::{Decision, TRANSITIONS, Transfer, step};
use super::request::Request;
use super::seen::{Cluster, Master, NameServer, Seen, Told};
use crate::admin::{
    ConsumerOffsets, QueueData, QueueOffsets, Route, RoutedBroker, RuntimeInfo, SubscriptionGroup,
    TopicConfig, Version, perm,
};
use crate::api::{TopicTransferStatus, TransferCause, TransferPhase};
use crate::broker::ahead::Ahead;
use crate::broker::backlog::{Facts, Who};

pub(super) const TOPIC: &str = "payments";
pub(super) const START: i64 = 1_700_000_000;
pub(super) const TIMEOUT: i64 = 3600;

pub(super) fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// A master: what it has, and how much of it `billing` consumed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Broker {
    pub(super) topic: Option<TopicConfig>,
    pub(super) written: i64,
    pub(super) consumed: i64,
    pub(super) group: bool,
    pub(super) answers: bool,
    pub(super) ahead: Vec<Ahead>,
    /// Whether `billing` has an offset of every queue.
    pub(super) begun: bool,
}

impl Broker {
    pub(super) fn new(topic: Option<TopicConfig>, group: bool) -> Self {
        Self {
            topic,
            written: 10,
            consumed: 10,
            group,
            answers: true,
            ahead: vec![],
            begun: false,
        }
    }

    fn facts(&self, cluster: &str, name: &str) -> Facts {
        let queue = QueueOffsets {
            min: 0,
            max: self.written,
            last_update_ms: 0,
        };
        let mut facts = Facts {
            who: Who {
                cluster: cluster.to_owned(),
                broker_name: name.to_owned(),
            },
            queues: BTreeMap::new(),
            offsets: ConsumerOffsets::default(),
            newcomers: BTreeMap::new(),
            runtime: RuntimeInfo([("dispatchBehindBytes".to_owned(), "0".to_owned())].into()),
            delayed: BTreeMap::new(),
            uncounted: Vec::new(),
        };
        if self.topic.is_some() {
            facts.queues.insert(TOPIC.to_owned(), [(0, queue)].into());
            let of_group = [("billing".to_owned(), [(0, self.consumed)].into())].into();
            facts.offsets.topics.insert(TOPIC.to_owned(), of_group);
        }
        facts
    }

    fn offsets(&self) -> ConsumerOffsets {
        let queues = self.topic.as_ref().map_or(0, |topic| topic.read_queues);
        let of_group = (0..queues).map(|id| (id, 0)).collect();
        let begun = self.begun.then(|| ("billing".to_owned(), of_group));
        ConsumerOffsets {
            topics: [(TOPIC.to_owned(), begun.into_iter().collect())].into(),
        }
    }

    fn master(&self, cluster: &str, name: &str) -> Result<Master, String> {
        if !self.answers {
            return Err("does not answer".to_owned());
        }
        let group = self
            .group
            .then(|| ("billing".to_owned(), SubscriptionGroup::new("billing")));
        let is_source = cluster == "orders";
        let consumes = is_source && self.topic.is_some();
        Ok(Master {
            address: name.to_owned(),
            topic: self.topic.clone(),
            groups: group.into_iter().collect(),
            version: Version::new(5, 5, 0),
            consumers: consumes.then(|| "billing".to_owned()).into_iter().collect(),
            ahead: self.ahead.clone(),
            offsets: Some(self.offsets()),
            facts: is_source.then(|| self.facts(cluster, name)),
        })
    }
}

/// Two clusters and what is stored.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) source: BTreeMap<String, Broker>,
    pub(super) target: BTreeMap<String, Broker>,
    /// Brokers of the source that its name server lists for the topic though they do not have it any more.
    pub(super) lingering: BTreeSet<String>,
    pub(super) memory: TopicTransferStatus,
    pub(super) deleted: bool,
    pub(super) now: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let topic = || Some(TopicConfig::new(TOPIC, 12));
        Self {
            source: [
                ("orders-0".to_owned(), Broker::new(topic(), true)),
                ("orders-1".to_owned(), Broker::new(topic(), true)),
            ]
            .into(),
            target: [("stock-0".to_owned(), Broker::new(None, false))].into(),
            lingering: BTreeSet::new(),
            memory: TopicTransferStatus::default(),
            deleted: false,
            now: START,
        }
    }

    pub(super) fn phase(&self) -> TransferPhase {
        self.memory.phase.unwrap_or_default()
    }

    fn cluster(&self, name: &str, brokers: &BTreeMap<String, Broker>) -> Cluster {
        let mut route = Route::default();
        for (broker, known) in brokers {
            let lingers = self.lingering.contains(broker).then(|| TopicConfig {
                perm: perm::READ,
                ..TopicConfig::new(TOPIC, 12)
            });
            if let Some(topic) = known.topic.clone().or(lingers) {
                let queues = QueueData {
                    read: topic.read_queues,
                    write: topic.write_queues,
                    perm: topic.perm,
                    sys_flag: 0,
                };
                let routed = RoutedBroker {
                    cluster: name.to_owned(),
                    addresses: [(0, broker.clone())].into(),
                    queues,
                };
                route.brokers.insert(broker.clone(), routed);
            }
        }
        let told = Told {
            route: Some(route),
            order: None,
        };
        Cluster {
            name: name.to_owned(),
            name_servers: vec![NameServer {
                name: format!("names-of-{name}"),
                address: Some(format!("names-of-{name}:9876")),
                tells: Ok(told),
            }],
            masters: brokers
                .iter()
                .map(|(broker, known)| (broker.clone(), known.master(name, broker)))
                .collect(),
            hidden: None,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            source: Ok(self.cluster("orders", &self.source)),
            target: Ok(self.cluster("stock", &self.target)),
            rival: None,
        }
    }

    pub(super) fn decide(&self, seen: &Seen) -> Decision {
        step(&Transfer {
            topic: TOPIC,
            groups: None,
            timeout_seconds: TIMEOUT,
            deleted: self.deleted,
            memory: &self.memory,
            now: &at(self.now),
            seen,
        })
    }

    /// What is told is done, if it is heard.
    pub(super) fn hear(&mut self, request: &Request) {
        match request {
            Request::PutGroup { broker, .. } => self.target.get_mut(broker).unwrap().group = true,
            Request::PutTopic { broker, topic } => {
                self.target.get_mut(broker).unwrap().topic = Some(topic.clone());
            }
            Request::MoveBack { broker, ahead } => {
                let master = self.target.get_mut(broker).unwrap();
                master.ahead.retain(|found| found != ahead);
            }
            Request::Begin { broker, start } => {
                assert_eq!(start.groups.keys().collect::<Vec<_>>(), ["billing"]);
                self.target.get_mut(broker).unwrap().begun = true;
            }
            Request::ChangeTopic { broker, topic } => {
                self.source.get_mut(broker).unwrap().topic = Some(topic.clone());
            }
            Request::Delete { broker, written } => {
                let master = self.source.get_mut(broker).unwrap();
                if master.topic.is_some() && master.written == *written {
                    assert_eq!(master.written, master.consumed, "deleted with a backlog");
                    master.topic = None;
                    self.lingering.insert(broker.clone());
                }
            }
            Request::Forget { .. } => self.lingering.clear(),
            Request::Order { .. } => {}
        }
    }

    /// One look: what is to be remembered is stored, then what is to be told is told.
    pub(super) fn look(&mut self, heard: bool) -> Decision {
        let decision = self.decide(&self.seen());
        let (from, to) = (self.phase(), decision.memory.phase.unwrap_or_default());
        assert!(
            from == to || TRANSITIONS.contains(&(from, to)),
            "{from:?} to {to:?}"
        );
        self.memory = decision.memory.clone();
        if let (Some(request), true) = (&decision.request, heard) {
            self.hear(request);
        }
        self.now += 10;
        decision
    }

    pub(super) fn until(&mut self, phase: TransferPhase) {
        for _ in 0..500 {
            if self.phase() == phase {
                return;
            }
            self.look(true);
        }
        panic!("never {phase:?}: {:?}", self.memory);
    }
}

#[test]
fn a_transfer_goes_through_its_phases_one_request_at_a_time() {
    let mut world = World::new();
    let mut told = Vec::new();
    while !world.phase().is_final() {
        told.extend(world.look(true).request);
    }
    assert_eq!(world.phase(), TransferPhase::Succeeded);
    let words: Vec<_> = told
        .iter()
        .map(|request| {
            let text = format!("{request:?}");
            text.split([' ', '{']).next().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(
        words,
        [
            "PutGroup",
            "PutTopic",
            "Begin",
            "ChangeTopic",
            "ChangeTopic",
            "Delete",
            "Delete",
            "Forget"
        ]
    );
    assert_eq!(world.target["stock-0"].topic, Some(TopicConfig::new(TOPIC, 12)));
}

#[test]
fn the_fence_holds_only_when_nothing_has_moved_for_60_seconds() {
    let mut world = World::new();
    world.until(TransferPhase::Fencing);
    for _ in 0..3 {
        world.look(true);
    }
    let fenced = world.now;
    for _ in 0..4 {
        world.look(true);
    }
    world.source.get_mut("orders-1").unwrap().written += 1;
    world.source.get_mut("orders-1").unwrap().consumed += 1;
    let moved = world.now;
    assert!(moved > fenced);
    world.until(TransferPhase::Draining);
    assert!(world.now - moved >= 60, "{} s", world.now - moved);
}

#[test]
fn a_producer_that_is_let_in_again_is_fenced_again() {
    let mut world = World::new();
    world.until(TransferPhase::Draining);
    world
        .source
        .get_mut("orders-0")
        .unwrap()
        .topic
        .as_mut()
        .unwrap()
        .perm = 6;
    world.look(true);
    assert_eq!(world.phase(), TransferPhase::Fencing);
    world.look(true);
    assert_eq!(world.source["orders-0"].topic.as_ref().unwrap().perm, 4);
}

#[test]
fn a_name_server_that_still_sends_producers_is_waited_for() {
    let mut world = World::new();
    world.until(TransferPhase::Fencing);
    world.look(true);
    world.look(true);
    let mut seen = world.seen();
    let open = World::new().seen().source.unwrap().name_servers;
    seen.source.as_mut().unwrap().name_servers = open;
    world.now += 1000;
    let decision = world.decide(&seen);
    assert_eq!(decision.memory.phase, Some(TransferPhase::Fencing));
    assert!(
        decision
            .memory
            .step
            .unwrap()
            .contains("does not show the topic as read-only")
    );
    assert_eq!(decision.memory.quiet_since, None);
}

#[test]
fn a_closed_topic_stays_closed_at_the_target_and_after_an_undo() {
    let mut world = World::new();
    for broker in world.source.values_mut() {
        broker.topic.as_mut().unwrap().perm = 4;
    }
    let first = world.source.clone();
    world.until(TransferPhase::Draining);
    assert_eq!(world.target["stock-0"].topic.as_ref().unwrap().perm, 4);
    world.deleted = true;
    world.until(TransferPhase::Undone);
    assert_eq!(world.source, first);
    assert_eq!(world.memory.cause, Some(TransferCause::Deleted));
}

#[test]
fn a_broker_that_joins_the_source_meanwhile_is_drained_and_given_back_what_the_others_had() {
    let mut world = World::new();
    world.until(TransferPhase::Draining);
    let copy = world.source["orders-0"].clone();
    world.source.insert("orders-2".to_owned(), copy);
    for _ in 0..3 {
        world.look(true);
    }
    world.deleted = true;
    world.until(TransferPhase::Undone);
    for (name, broker) in &world.source {
        assert_eq!(broker.topic.as_ref().unwrap().perm, 6, "{name}");
    }
}

#[test]
fn an_offset_of_an_earlier_topic_of_that_name_is_moved_back_before_anybody_comes() {
    let mut world = World::new();
    let ahead = Ahead {
        group: "billing".to_owned(),
        topic: TOPIC.to_owned(),
        id: 3,
        offset: 40,
        end: 0,
    };
    world.target.get_mut("stock-0").unwrap().ahead = vec![ahead];
    let mut told = Vec::new();
    while world.phase() != TransferPhase::Fencing {
        told.extend(world.look(true).request);
    }
    assert!(world.target["stock-0"].ahead.is_empty());
    let last = told.last().unwrap();
    assert!(matches!(last, Request::Begin { .. }), "{told:?}");
    assert!(world.target.values().all(|master| master.begun));
    let back = |one: &Request| matches!(one, Request::MoveBack { broker, .. } if broker == "stock-0");
    assert!(told.iter().any(back), "{told:?}");
}

#[test]
fn brokers_with_different_queue_counts_get_their_own_back() {
    let mut world = World::new();
    world.source.get_mut("orders-1").unwrap().topic = Some(TopicConfig::new(TOPIC, 4));
    let first = world.source.clone();
    world.until(TransferPhase::Draining);
    assert_eq!(world.target["stock-0"].topic.as_ref().unwrap().write_queues, 12);
    world.now += TIMEOUT;
    world.until(TransferPhase::Undone);
    assert_eq!(world.source, first);
    assert_eq!(world.memory.cause, Some(TransferCause::TimedOut));
}

#[test]
fn a_transfer_whose_only_delete_was_refused_can_still_be_undone() {
    let mut world = World::new();
    let first = world.source.clone();
    world.until(TransferPhase::Removing);
    let refused = world.look(false);
    assert!(
        matches!(refused.request, Some(Request::Delete { .. })),
        "{refused:?}"
    );
    assert_eq!(world.memory.removed, ["orders-0"]);
    world.source.get_mut("orders-0").unwrap().written += 1;
    world.until(TransferPhase::Draining);
    world.now += TIMEOUT;
    world.until(TransferPhase::Undone);
    assert_eq!(world.memory.cause, Some(TransferCause::TimedOut));
    assert_eq!(world.source["orders-0"].topic, first["orders-0"].topic);
    assert_eq!(world.source["orders-1"].topic, first["orders-1"].topic);
}

#[test]
fn a_deleted_transfer_that_did_nothing_to_the_source_goes_at_once() {
    for phase in [TransferPhase::Pending, TransferPhase::Copying] {
        let mut world = World::new();
        world.until(phase);
        world.deleted = true;
        let decision = world.look(true);
        assert!(decision.release && decision.request.is_none(), "{phase:?}");
    }
}

#[test]
fn every_change_of_phase_that_is_listed_happens() {
    let mut seen = BTreeSet::new();
    let mut record = |world: &mut World, looks: usize| {
        for _ in 0..looks {
            let before = world.phase();
            world.look(true);
            if world.phase() != before {
                seen.insert((before, world.phase()));
            }
        }
    };
    let reached = |phase: TransferPhase| {
        let mut world = World::new();
        world.until(phase);
        world
    };
    record(&mut World::new(), 100);
    let mut refused = World::new();
    refused.target.get_mut("stock-0").unwrap().topic = Some(TopicConfig::new(TOPIC, 1));
    record(&mut refused, 1);
    for phase in [
        TransferPhase::Copying,
        TransferPhase::Fencing,
        TransferPhase::Draining,
        TransferPhase::Removing,
    ] {
        let mut late = reached(phase);
        late.now += TIMEOUT;
        record(&mut late, 10);
    }
    let mut open = reached(TransferPhase::Draining);
    open.source
        .get_mut("orders-0")
        .unwrap()
        .topic
        .as_mut()
        .unwrap()
        .perm = 6;
    record(&mut open, 1);
    let mut more = reached(TransferPhase::Removing);
    more.source.get_mut("orders-0").unwrap().written += 1;
    record(&mut more, 1);
    let mut lost = reached(TransferPhase::Draining);
    lost.deleted = true;
    lost.source.get_mut("orders-1").unwrap().answers = false;
    record(&mut lost, 100);
    assert_eq!(seen, TRANSITIONS.into_iter().collect());
}
