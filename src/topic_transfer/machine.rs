//! A topic moves: what to do next, decided from what is remembered and what was just seen. Pure.
//!
//! A step is at most one request to RocketMQ, which may be told again, and whether it was heard is seen by the next look.
//! What is remembered is stored before what follows from it is done: a process that ends anywhere in between loses nothing.
//! What is not known never counts as good: without an answer of every broker and every name server nothing goes on.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::drain::{Blocked, count};
use super::order;
use super::request::{Request, Side};
use super::seen::{Cluster, Seen, Unknown};
use crate::admin::{TopicConfig, perm};
use crate::api::{FirstSettings, TopicTransferStatus, TransferCause, TransferPhase};

/// How long no message must arrive: two polls of a producer for routes, of 30 s each.
pub const QUIET_SECONDS: i64 = 60;
/// How long it is tried to give the source its settings back, and to end a removal whose transfer is deleted.
pub const BOUND_SECONDS: i64 = 600;

/// Every change of phase there is.
pub const TRANSITIONS: [(TransferPhase, TransferPhase); 14] = {
    use TransferPhase::{Copying, Draining, Failed, Fencing, Pending, Removing, Succeeded, Undoing, Undone};
    [
        (Pending, Copying),
        (Pending, Failed),
        (Copying, Fencing),
        (Copying, Failed),
        (Fencing, Draining),
        (Fencing, Undoing),
        (Draining, Removing),
        (Draining, Fencing),
        (Draining, Undoing),
        (Removing, Succeeded),
        (Removing, Draining),
        (Removing, Undoing),
        (Undoing, Undone),
        (Undoing, Failed),
    ]
};

/// A transfer.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// The topic.
    pub topic: &'a str,
    /// `spec.consumerGroups`.
    pub groups: Option<&'a [String]>,
    /// `spec.timeoutSeconds`.
    pub timeout_seconds: i64,
    /// Whether its user deleted it.
    pub deleted: bool,
    /// What is stored.
    pub memory: &'a TopicTransferStatus,
    /// Now, in whole seconds.
    pub now: &'a Time,
    /// What was seen.
    pub seen: &'a Seen,
}

/// What is done next. What is not said is not done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What is to be remembered, and stored before anything else is done.
    pub memory: TopicTransferStatus,
    /// What is told to RocketMQ then.
    pub request: Option<Request>,
    /// What keeps it from going on that its user can mend: a reason and words.
    pub degraded: Option<(&'static str, String)>,
    /// Whether a transfer that its user deleted may go.
    pub release: bool,
}

/// What is to be done next. It changes the phase by one at most.
#[must_use]
pub fn step(transfer: &Transfer<'_>) -> Decision {
    let mut memory = transfer.remembered();
    let phase = memory.phase.unwrap_or_default();
    transfer.forget_refused_deletes(&mut memory, phase);
    if phase.is_final() {
        let release = transfer.deleted;
        return Decision {
            memory,
            release,
            ..Decision::default()
        };
    }
    if transfer.deleted && !memory.removed.is_empty() {
        memory.ending_since.get_or_insert_with(|| transfer.now.clone());
    }
    if let Some(decision) = transfer.ended_by_user(&memory, phase) {
        return decision;
    }
    if let Some(decision) = transfer.ended_by_time(&memory, phase) {
        return decision;
    }
    if phase == TransferPhase::Undoing {
        return transfer.undoing(memory);
    }
    let (source, target) = match transfer.whole(&memory) {
        Ok(both) => both,
        Err(Hidden::Told(unknown)) => return wait_for_user(memory, (unknown.reason, unknown.message)),
        Err(Hidden::Silent(why)) => return wait(memory, why),
    };
    match phase {
        TransferPhase::Pending => transfer.pending(memory, source, target),
        TransferPhase::Copying => transfer.copying(memory, source, target),
        TransferPhase::Fencing => transfer.fencing(memory, source, target),
        TransferPhase::Draining => transfer.draining(memory, source, target),
        _ => transfer.removing(memory, source, target),
    }
}

/// Why not everything is seen.
enum Hidden {
    /// Its user can mend that.
    Told(Unknown),
    /// Somebody does not answer.
    Silent(String),
}

pub(super) fn wait(mut memory: TopicTransferStatus, words: impl Into<String>) -> Decision {
    memory.step = Some(words.into());
    Decision {
        memory,
        ..Decision::default()
    }
}

pub(super) fn wait_for_user(memory: TopicTransferStatus, why: (&'static str, String)) -> Decision {
    Decision {
        degraded: Some(why.clone()),
        ..wait(memory, why.1)
    }
}

pub(super) fn ask(memory: TopicTransferStatus, words: String, request: Request) -> Decision {
    Decision {
        request: Some(request),
        ..wait(memory, words)
    }
}

pub(super) fn to(
    mut memory: TopicTransferStatus,
    phase: TransferPhase,
    words: impl Into<String>,
) -> Decision {
    memory.phase = Some(phase);
    wait(memory, words)
}

pub(super) fn fails(mut memory: TopicTransferStatus, (cause, why): (TransferCause, String)) -> Decision {
    memory.cause = Some(cause);
    memory.cause_message = Some(why.clone());
    to(memory, TransferPhase::Failed, why)
}

fn unquiet(mut memory: TopicTransferStatus) -> TopicTransferStatus {
    memory.quiet_since = None;
    memory.under_way.clear();
    memory
}

impl Transfer<'_> {
    /// What is stored, with no time that is yet to come.
    fn remembered(&self) -> TopicTransferStatus {
        let mut memory = self.memory.clone();
        memory.phase.get_or_insert_default();
        let times = [
            &mut memory.started_at,
            &mut memory.quiet_since,
            &mut memory.ending_since,
        ];
        for time in times.into_iter().flatten() {
            if time.0 > self.now.0 {
                *time = self.now.clone();
            }
        }
        memory
    }

    /// A broker that has the topic although its deletion was asked for refused that: once it is waited for again, it can
    /// be given its settings back like any other. While it is being removed, a request that was lost is told again.
    fn forget_refused_deletes(&self, memory: &mut TopicTransferStatus, phase: TransferPhase) {
        let waits = matches!(phase, TransferPhase::Fencing | TransferPhase::Draining);
        if let (true, Ok(source)) = (waits, &self.seen.source) {
            let has_it = |name: &String| source.holders().any(|(broker, ..)| broker == name);
            memory.removed.retain(|broker| !has_it(broker));
        }
    }

    pub(super) fn seconds_since(&self, time: &Time) -> i64 {
        self.now.0.as_second().saturating_sub(time.0.as_second())
    }

    /// Both clusters, if every broker and name server of both answers.
    fn whole(&self, memory: &TopicTransferStatus) -> Result<(&Cluster, &Cluster), Hidden> {
        let source = self
            .seen
            .source
            .as_ref()
            .map_err(|why| Hidden::Told(why.clone()))?;
        let target = self
            .seen
            .target
            .as_ref()
            .map_err(|why| Hidden::Told(why.clone()))?;
        if let Some(why) = source.unseen().or_else(|| target.unseen()) {
            return Err(Hidden::Silent(format!("waiting: {why}")));
        }
        let lost = memory
            .source
            .iter()
            .find(|first| !source.masters.contains_key(&first.broker));
        match lost {
            Some(first) => Err(Hidden::Silent(format!(
                "waiting: broker {} of cluster {} is listed by no name server",
                first.broker, source.name
            ))),
            None => Ok((source, target)),
        }
    }

    fn pending(&self, mut memory: TopicTransferStatus, source: &Cluster, target: &Cluster) -> Decision {
        if let Some(rival) = &self.seen.rival {
            let why = format!("{rival}; nothing was done: delete one of the two");
            return fails(memory, (TransferCause::AnotherTransfer, why));
        }
        if let Some(why) = self.not_possible(source, target) {
            return wait_for_user(memory, why);
        }
        memory.source = source
            .holders()
            .map(|(broker, _, topic)| first_settings(broker, topic))
            .collect();
        if let Err(why) = self.next_copy(&memory, source, target) {
            return fails(memory, why);
        }
        memory.started_at = Some(self.now.clone());
        to(memory, TransferPhase::Copying, "the target gets groups and topic")
    }

    /// What its user has to mend before it can begin.
    fn not_possible(&self, source: &Cluster, target: &Cluster) -> Option<(&'static str, String)> {
        let empty = |cluster: &Cluster, field: &str| {
            cluster.masters.is_empty().then(|| {
                let name = &cluster.name;
                let why = format!("{field}: no broker of cluster {name:?} is listed by its name servers");
                ("UnknownCluster", format!("{why}; name another, or start it"))
            })
        };
        let unknown = empty(source, "spec.sourceCluster").or_else(|| empty(target, "spec.targetCluster"));
        if unknown.is_some() {
            return unknown;
        }
        let addresses: BTreeSet<_> = source.answering().map(|(_, master)| &master.address).collect();
        if target
            .answering()
            .any(|(_, master)| addresses.contains(&master.address))
        {
            let why = "spec.targetCluster: both clusters have the same brokers; name another cluster";
            return Some(("SameCluster", why.to_owned()));
        }
        if source.holders().next().is_none() {
            let (topic, name) = (self.topic, &source.name);
            let why = format!("spec.topic: no broker of cluster {name:?} has topic {topic:?}; name another");
            return Some(("TopicNotFound", why));
        }
        let missing = self
            .groups
            .into_iter()
            .flatten()
            .find(|group| source.group(group).is_none());
        missing.map(|group| {
            let why = format!(
                "spec.consumerGroups: no broker of cluster {:?} has group {group:?}",
                source.name
            );
            (
                "GroupNotFound",
                format!("{why}; name those that consume the topic, or none for all"),
            )
        })
    }

    fn copying(&self, memory: TopicTransferStatus, source: &Cluster, target: &Cluster) -> Decision {
        match self.next_copy(&memory, source, target) {
            Err(why) => fails(memory, why),
            Ok(Some((words, request))) => ask(memory, words, request),
            Ok(None) => match self.served(&memory, target) {
                Err(why) => wait(memory, format!("waiting: {why}")),
                Ok(()) => to(
                    memory,
                    TransferPhase::Fencing,
                    "the target has all; the source becomes read-only",
                ),
            },
        }
    }

    /// Whether every name server of the target sends clients to every master of it.
    pub(super) fn served(&self, memory: &TopicTransferStatus, target: &Cluster) -> Result<(), String> {
        let settings = super::copy::numbers(self.topic, &memory.source);
        target.not_served_by(&settings).map_or(Ok(()), Err)
    }

    fn fencing(&self, memory: TopicTransferStatus, source: &Cluster, _: &Cluster) -> Decision {
        let mut memory = with_newcomers(memory, source);
        if let Some((broker, _, topic)) = source.holders().find(|(_, _, topic)| is_open(topic)) {
            let words = format!("making the topic read-only at broker {broker}");
            let request = Request::ChangeTopic {
                broker: broker.clone(),
                topic: TopicConfig {
                    perm: topic.perm & !perm::WRITE,
                    ..topic.clone()
                },
            };
            return ask(unquiet(memory), words, request);
        }
        if let Some(server) = source.open_at() {
            let words = format!("waiting: name server {server} does not show the topic as read-only yet");
            return wait(unquiet(memory), words);
        }
        let held = self.held(source);
        count(&mut memory, &held);
        match self.quiet(&mut memory, source, &held) {
            Err(why) => wait(memory, why),
            Ok(()) => to(
                memory,
                TransferPhase::Draining,
                "no message arrives any more; waiting for consumers",
            ),
        }
    }

    fn draining(&self, memory: TopicTransferStatus, source: &Cluster, target: &Cluster) -> Decision {
        // Who began to consume meanwhile moves too, and masters of the target that are new get all.
        match self.next_copy(&memory, source, target) {
            Ok(None) => {}
            Ok(Some((words, request))) => return ask(memory, words, request),
            Err((cause, why)) => return wait_for_user(memory, (cause.as_str(), why)),
        }
        let mut memory = with_newcomers(memory, source);
        match self.settled(&mut memory, source, target) {
            Ok(()) => {
                let words = self.farewell(&memory, source);
                to(memory, TransferPhase::Removing, words)
            }
            Err(Blocked::Open) => to(
                unquiet(memory),
                TransferPhase::Fencing,
                "the source takes messages again; making it read-only",
            ),
            Err(Blocked::Wait(why)) => wait(memory, why),
        }
    }

    fn removing(&self, mut memory: TopicTransferStatus, source: &Cluster, target: &Cluster) -> Decision {
        if let Some((broker, ..)) = source.holders().next() {
            let broker = broker.clone();
            if let Err(blocked) = self.settled(&mut memory, source, target) {
                let why = match blocked {
                    Blocked::Open => "the source takes messages again".to_owned(),
                    Blocked::Wait(why) => why,
                };
                return to(memory, TransferPhase::Draining, why);
            }
            let written = memory.written.get(&broker).copied().unwrap_or_default();
            if !memory.removed.contains(&broker) {
                memory.removed.push(broker.clone());
            }
            let words = format!("deleting the topic at broker {broker} of the source");
            return ask(memory, words, Request::Delete { broker, written });
        }
        if let Some(server) = source.listed_at() {
            let words = format!("name server {} of the source forgets the topic", server.name);
            return match server.address.clone() {
                Some(name_server) => ask(memory, words, Request::Forget { name_server }),
                None => wait(memory, words),
            };
        }
        if let Some((words, request)) = left_over_order(source) {
            return ask(memory, words, request);
        }
        if let Err(why) = self.served(&memory, target) {
            return wait(memory, format!("waiting: {why}"));
        }
        memory.lag = Some(0);
        to(
            memory,
            TransferPhase::Succeeded,
            "the topic is at the target only",
        )
    }
}

pub(super) fn is_open(topic: &TopicConfig) -> bool {
    topic.perm & perm::WRITE != 0
}

fn first_settings(broker: &str, topic: &TopicConfig) -> FirstSettings {
    FirstSettings {
        broker: broker.to_owned(),
        read_queues: topic.read_queues,
        write_queues: topic.write_queues,
        perm: topic.perm,
    }
}

/// A broker that joined the source meanwhile has the topic as another one had it then: read-only, perhaps.
fn with_newcomers(mut memory: TopicTransferStatus, source: &Cluster) -> TopicTransferStatus {
    let permitted = memory.source.iter().fold(0, |all, first| all | first.perm);
    for (broker, _, topic) in source.holders() {
        if memory.source.iter().all(|first| first.broker != *broker) {
            let mut first = first_settings(broker, topic);
            first.perm |= permitted;
            memory.source.push(first);
        }
    }
    memory
}

/// The first name server whose order topics still send consumers to the source.
fn left_over_order(source: &Cluster) -> Option<(String, Request)> {
    source.told().find_map(|(server, told)| {
        let entry = told.order.as_deref()?;
        let left = order::without(Some(entry), source.masters.keys());
        let name_server = server.address.clone()?;
        let changes = left.as_deref() != Some(entry);
        changes.then(|| {
            let words = format!("name server {} forgets the order of the source", server.name);
            let request = Request::Order {
                side: Side::Source,
                name_server,
                entry: left,
            };
            (words, request)
        })
    })
}
