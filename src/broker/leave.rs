//! A group leaves: what to do next, decided from what is remembered and what was just seen. Pure.
//!
//! Every step may be taken again, and what is remembered is stored before what follows from it is done: a process that ends
//! anywhere in between loses nothing. What is not known never counts as good.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backlog::{Backlog, messages};
use super::leave_gates::{Drained, creating, some_of, unquiet};
use super::order_topics::OrderTopics;
use crate::admin::TopicConfig;
use crate::api::{ScaleInPhase, ScaleInPolicy, ScaleInStatus};

/// When name servers should have struck off a broker by themselves, and 30 s more.
const STRUCK_OFF_SECONDS: i64 = 150;

/// What is there of a broker, or of several, in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A StatefulSet.
    Kept,
    /// No StatefulSet any more, and still a pod.
    Ending,
    /// Neither.
    Gone,
}

/// What was seen of the group, just now. An error says why something is not known.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The topics that producers can write to in this group only: [`super::homes::homeless`].
    pub homeless: Result<Vec<TopicConfig>, String>,
    /// The order topics that send to it: [`super::order_topics`].
    pub order_topics: Result<OrderTopics, String>,
    /// `brokerPermission` as the master itself tells it.
    pub permission: Result<i32, String>,
    /// Whether every name server shows the group as read-only: [`super::leave_gates::fenced`].
    pub fenced: Result<bool, String>,
    /// What the master holds: [`super::backlog::look`].
    pub backlog: Result<Backlog, String>,
    /// Why the master's pod does not run, where Kubernetes tells.
    pub broken: Option<String>,
    /// The group's replicas; `Gone` if it has none.
    pub replicas: Presence,
    /// Its master.
    pub master: Presence,
    /// Whether any name server lists any of its brokers.
    pub listed: Result<bool, String>,
    /// Whether any of its Services, ConfigMaps and disruption budgets is there.
    pub objects: bool,
}

/// A group that is to leave, or was to.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// `brokerName`, for words.
    pub broker_name: &'a str,
    /// The group.
    pub group: i32,
    /// How many groups the spec asks for now.
    pub asked: i32,
    /// What is stored.
    pub memory: Option<&'a ScaleInStatus>,
    /// `spec.scaleIn.policy`.
    pub policy: ScaleInPolicy,
    /// `spec.scaleIn.timeoutSeconds`.
    pub timeout_seconds: i64,
    /// Now, in whole seconds.
    pub now: &'a Time,
    /// What was seen.
    pub seen: &'a Seen,
}

/// Which StatefulSets are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Those of the replicas.
    Replicas,
    /// The master's.
    Master,
}

/// What is done next. What is not said is not done.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a thing to do by itself, and none follows from another"
)]
pub struct Step {
    /// What is to be remembered; none once the group is gone, or stays after all.
    pub memory: Option<ScaleInStatus>,
    /// Whether the master is to be read-only, `brokerPermission` 4. Otherwise it is to have its own permission.
    pub fence: bool,
    /// Whether the topics and subscription groups that only it has are made on masters that stay.
    pub carry: bool,
    /// Whether the group is put back into the queues of order topics. Otherwise, as long as it is remembered, it is taken out.
    pub restore: bool,
    /// Sets to be deleted now.
    pub stop: Option<Stop>,
    /// Whether name servers are told to strike the group's brokers off.
    pub unregister: bool,
    /// Whether the group's Services, ConfigMaps and disruption budget are deleted.
    pub remove: bool,
    /// Nothing is left of the group.
    pub gone: bool,
    /// The group stays after all, and its master was stopped already: it is made anew, as one that joins.
    pub anew: bool,
    /// Whether it is decided now that messages go with the group which somebody has still to consume.
    pub drops: bool,
    /// What is done or waited for, for people.
    pub progress: String,
    /// What is wrong and what the user can do: a reason and words.
    pub degraded: Option<(&'static str, String)>,
}

/// The group to be looked at: the one that is leaving already, also if the spec asks for it again; else the highest of
/// `groups`, if that is one too many.
#[must_use]
pub fn next_group(asked: i32, groups: i32, memory: Option<&ScaleInStatus>) -> Option<i32> {
    match memory {
        Some(memory) => Some(memory.group),
        None => (groups > 1 && asked < groups).then_some(groups - 1),
    }
}

/// Whether the group's sets are kept, and made again where they are missing: in every phase before they are stopped.
#[must_use]
pub fn keeps_sets(phase: ScaleInPhase) -> bool {
    phase < ScaleInPhase::Stopping
}

/// What is to be done next. It changes the phase by one at most: what it says is remembered is stored first.
#[must_use]
pub fn step(leaving: &Leaving<'_>) -> Step {
    if leaving.asked > leaving.group || leaving.group < 1 {
        return leaving.stays();
    }
    let memory = leaving.heard(leaving.remembered());
    let mut step = match memory.phase {
        ScaleInPhase::Moving => leaving.moving(memory),
        ScaleInPhase::Fencing => leaving.fencing(memory),
        ScaleInPhase::Draining => leaving.draining(memory),
        ScaleInPhase::Stopping => leaving.stopping(memory),
        ScaleInPhase::Removing => leaving.removing(memory),
    };
    step.fence = step
        .memory
        .as_ref()
        .is_some_and(|memory| memory.phase >= ScaleInPhase::Fencing);
    step.degraded = leaving.degraded(&step);
    step
}

impl Leaving<'_> {
    /// What is stored, if it is of this group, with no time that is yet to come; else that it begins now.
    fn remembered(&self) -> ScaleInStatus {
        let past = |time: Time| {
            if time.0 > self.now.0 {
                self.now.clone()
            } else {
                time
            }
        };
        match self.memory.filter(|memory| memory.group == self.group) {
            Some(memory) => {
                let memory = memory.clone();
                ScaleInStatus {
                    started_at: past(memory.started_at),
                    unordered_since: memory.unordered_since.map(past),
                    silent_since: memory.silent_since.map(past),
                    quiet_since: memory.quiet_since.map(past),
                    stopped_at: memory.stopped_at.map(past),
                    ..memory
                }
            }
            None => ScaleInStatus::begun(self.group, self.now.clone()),
        }
    }

    pub(super) fn seconds_since(&self, time: &Time) -> i64 {
        self.now.0.as_second().saturating_sub(time.0.as_second())
    }

    pub(super) fn is_stored(&self) -> bool {
        self.memory.is_some_and(|stored| stored.group == self.group)
    }

    pub(super) fn is_immediate(&self) -> bool {
        self.policy == ScaleInPolicy::Immediate
    }

    /// The group stays: the spec asks for it, or it is the last one.
    fn stays(&self) -> Step {
        let name = self.broker_name;
        let anew = self.is_stored() && self.seen.master != Presence::Kept;
        let progress = match (self.asked > self.group, anew) {
            (false, _) => format!("group {name} is the last one and stays"),
            (true, true) => {
                format!("group {name} is asked for again after its master was stopped: it is made anew")
            }
            (true, false) => format!("group {name} is asked for again: producers may write to it"),
        };
        if !anew && let Some(step) = self.restoring(&progress) {
            return step;
        }
        Step {
            anew,
            progress,
            ..Step::default()
        }
    }

    /// It is remembered as long as there are order topics to put it back into.
    fn restoring(&self, progress: &str) -> Option<Step> {
        let memory = self
            .memory
            .filter(|memory| memory.group == self.group && !memory.order_topics.is_empty())?;
        let why = match &self.seen.order_topics {
            Ok(topics) if topics.again.is_empty() => return None,
            Ok(_) => "putting it back into the queues of order topics".to_owned(),
            Err(why) => format!("the queues of order topics are not known: {why}"),
        };
        Some(Step {
            memory: Some(memory.clone()),
            restore: true,
            progress: format!("{progress}; {why}"),
            ..Step::default()
        })
    }

    fn moving(&self, memory: ScaleInStatus) -> Step {
        if self.given_up(&memory) {
            let words = "policy Immediate: its master does not answer and is not waited for";
            return self.to(memory, ScaleInPhase::Fencing, words);
        }
        let (memory, known) = self.known_to_producers(memory);
        match self.at_home().and(known) {
            // The first look is remembered before anything follows from it.
            Ok(()) if self.is_stored() => {
                let words = "its topics can be written elsewhere; making it read-only";
                self.to(memory, ScaleInPhase::Fencing, words)
            }
            Ok(()) => self.wait(memory, "looking for topics that are nowhere else"),
            Err(why) => self.wait(memory, &why),
        }
    }

    fn fencing(&self, memory: ScaleInStatus) -> Step {
        let memory = unquiet(memory);
        if self.given_up(&memory) {
            return self.hurry(memory);
        }
        if let Err(why) = self.at_home() {
            return self.wait(memory, &why);
        }
        match self.read_only() {
            Err(why) => self.wait(memory, &format!("making it read-only; {why}")),
            Ok(false) => self.wait(memory, "making it read-only; its master takes writes still"),
            Ok(true) if self.is_immediate() => self.hurry(memory),
            Ok(true) => match &self.seen.fenced {
                Err(why) => self.wait(memory, &format!("its master is read-only; {why}")),
                Ok(false) => self.wait(memory, "its master is read-only; not every name server shows it"),
                Ok(true) => self.to(
                    memory,
                    ScaleInPhase::Draining,
                    "every name server shows it as read-only",
                ),
            },
        }
    }

    fn draining(&self, memory: ScaleInStatus) -> Step {
        let ready = self.is_immediate() && self.read_only() == Ok(true) && self.at_home().is_ok();
        if ready || self.given_up(&memory) {
            return self.hurry(memory);
        }
        let (memory, drained) = self.drained(memory);
        match drained {
            Drained::Yes => self.to(
                memory,
                ScaleInPhase::Stopping,
                "nothing is left in it; stopping its brokers",
            ),
            Drained::Open => self.to(
                memory,
                ScaleInPhase::Fencing,
                "it takes writes again; making it read-only",
            ),
            Drained::No(why) | Drained::Unknown(why) => self.wait(memory, &why),
        }
    }

    fn stopping(&self, memory: ScaleInStatus) -> Step {
        match (self.seen.master, self.seen.replicas) {
            (Presence::Gone, Presence::Gone) => {
                let stopped_at = Some(self.now.clone());
                let memory = ScaleInStatus { stopped_at, ..memory };
                return self.to(memory, ScaleInPhase::Removing, "its brokers are stopped");
            }
            // Replicas go first; who deletes the master before them does not know what is in it.
            (Presence::Gone | Presence::Ending, Presence::Kept) => {
                let words = "its master was deleted before its replicas; starting it again to look";
                return self.to(unquiet(memory), ScaleInPhase::Draining, words);
            }
            (Presence::Gone | Presence::Ending, _) => {
                return self.wait(memory, "waiting for its pods to end");
            }
            (Presence::Kept, _) => {}
        }
        let (memory, drained) = if self.is_immediate() {
            match &self.seen.homeless {
                Ok(topics) if !topics.is_empty() => return self.wait(memory, &creating(topics)),
                _ => (self.counted(memory), Drained::Yes),
            }
        } else {
            self.drained(memory)
        };
        match drained {
            Drained::Yes => self.stop(memory),
            Drained::Open => self.to(
                memory,
                ScaleInPhase::Fencing,
                "it takes writes again; making it read-only",
            ),
            Drained::No(_) if self.seen.homeless.as_ref().is_ok_and(|topics| !topics.is_empty()) => {
                let words = self.at_home().err().unwrap_or_default();
                self.wait(memory, &words)
            }
            Drained::No(why) => self.to(memory, ScaleInPhase::Draining, &format!("not stopped: {why}")),
            Drained::Unknown(why) => self.wait(memory, &format!("not stopped: {why}")),
        }
    }

    fn stop(&self, memory: ScaleInStatus) -> Step {
        let (stop, words) = match self.seen.replicas {
            Presence::Kept => (Some(Stop::Replicas), "stopping its replicas"),
            Presence::Ending => (None, "waiting for its replicas to end"),
            Presence::Gone => (Some(Stop::Master), "stopping its master"),
        };
        let dropped = self.dropped(&memory);
        let waiting = self.wait(memory, &format!("{words}{dropped}"));
        Step { stop, ..waiting }
    }

    fn removing(&self, memory: ScaleInStatus) -> Step {
        let there = [self.seen.master, self.seen.replicas];
        if there.contains(&Presence::Kept) {
            let words = "a StatefulSet of it is there again; looking what is in it";
            return self.to(unquiet(memory), ScaleInPhase::Draining, words);
        }
        if there.contains(&Presence::Ending) {
            return self.wait(memory, "waiting for its pods to end");
        }
        let since = memory.stopped_at.clone().unwrap_or_else(|| self.now.clone());
        let memory = ScaleInStatus {
            stopped_at: Some(since.clone()),
            ..memory
        };
        match &self.seen.listed {
            Err(why) => self.wait(memory, &format!("waiting for name servers to forget it; {why}")),
            Ok(true) => {
                let unregister = self.seconds_since(&since) >= STRUCK_OFF_SECONDS;
                let words = "waiting for name servers to forget it";
                let told = if unregister {
                    "; telling them to strike it off"
                } else {
                    ""
                };
                let step = self.wait(memory, &format!("{words}{told}"));
                Step { unregister, ..step }
            }
            Ok(false) if self.seen.objects => {
                let step = self.wait(memory, "deleting its Services, ConfigMaps and disruption budget");
                Step { remove: true, ..step }
            }
            Ok(false) => Step {
                gone: true,
                progress: format!("group {} is gone", self.broker_name),
                ..Step::default()
            },
        }
    }

    /// Goes on without waiting, as the user asked.
    fn hurry(&self, memory: ScaleInStatus) -> Step {
        if let Some(why) = self.silence(&memory) {
            // What was counted before says little of what is lost now.
            let (backlog, blockers) = (None, Vec::new());
            let memory = ScaleInStatus {
                backlog,
                blockers,
                ..memory
            };
            let dropped = self.dropped(&memory);
            let words = format!(
                "policy Immediate: its master does not answer ({why}), stopping its brokers{dropped}; topics that only it has are \
                 made nowhere else"
            );
            let step = self.to(memory, ScaleInPhase::Stopping, &words);
            return Step { drops: true, ..step };
        }
        let memory = self.counted(memory);
        let dropped = self.dropped(&memory);
        let homeless = self.seen.order_topics.iter().flat_map(|topics| &topics.homeless);
        let homeless = some_of(homeless.map(String::as_str));
        let ordered = if homeless.is_empty() {
            String::new()
        } else {
            format!("; producers of order topics have no other group: {homeless}")
        };
        let words = format!("policy Immediate: it is read-only, stopping its brokers{dropped}{ordered}");
        let drops = memory.backlog != Some(0);
        Step {
            drops,
            ..self.to(memory, ScaleInPhase::Stopping, &words)
        }
    }

    /// What is lost to consumers, where the user does not wait for them.
    fn dropped(&self, memory: &ScaleInStatus) -> String {
        match memory.backlog {
            _ if !self.is_immediate() => String::new(),
            Some(0) => "; nothing is left in it".to_owned(),
            Some(number) => format!(
                ", dropping {} that somebody has still to consume",
                messages(number)
            ),
            None => ", dropping an unknown number of messages".to_owned(),
        }
    }

    fn to(&self, memory: ScaleInStatus, phase: ScaleInPhase, words: &str) -> Step {
        self.wait(ScaleInStatus { phase, ..memory }, words)
    }

    /// Waits, and makes what has no home, as long as there is somebody to ask: topics and subscription groups can come to be in
    /// every phase.
    fn wait(&self, mut memory: ScaleInStatus, words: &str) -> Step {
        for (topic, queues) in self.seen.order_topics.iter().flat_map(|topics| &topics.naming) {
            let known = memory.order_topics.entry(topic.clone());
            known.or_insert_with(|| queues.clone());
        }
        Step {
            memory: Some(memory),
            carry: self.is_stored() && self.seen.master == Presence::Kept,
            progress: format!("group {} leaves: {words}", self.broker_name),
            ..Step::default()
        }
    }

    /// What keeps the group, once that is worth a user's attention: its master does not run, or it takes too long.
    fn degraded(&self, step: &Step) -> Option<(&'static str, String)> {
        let memory = step.memory.as_ref()?;
        if self.seen.master != Presence::Kept || memory.phase == ScaleInPhase::Removing {
            return None;
        }
        let (name, progress) = (self.broker_name, &step.progress);
        if let Some(why) = self.seen.broken.as_ref().filter(|_| !self.is_immediate()) {
            return Some((
                "LeavingMasterDown",
                format!(
                    "group {name} cannot leave as long as its master does not run: {why}; let it start, so that its \
                     topics and messages can be seen, or raise spec.size to {} to keep it; nothing is deleted",
                    self.group + 1
                ),
            ));
        }
        let late = self.seconds_since(&memory.started_at) >= self.timeout_seconds;
        if !late || step.stop.is_some() {
            return None;
        }
        let blocked = match memory.blockers.as_slice() {
            some @ [_, ..] if step.fence => {
                format!("group {name} is read-only and waits: {}", some.join("; "))
            }
            _ => progress.clone(),
        };
        let remedies = if self.is_immediate() {
            "let the masters answer, its own and those that stay"
        } else {
            "consume what is left, name abandoned groups, or TOPIC@GROUP, in spec.scaleIn.ignoreConsumerGroups, set \
             spec.scaleIn.policy to Immediate to drop it, raise spec.scaleIn.timeoutSeconds to wait on"
        };
        Some((
            "DrainTimeout",
            format!(
                "{blocked}; that is longer than {} s, nothing is deleted: {remedies}, or raise spec.size to {} to keep the \
                 group",
                self.timeout_seconds,
                self.group + 1
            ),
        ))
    }
}

#[cfg(test)]
#[path = "leave_properties.rs"]
mod properties;
#[cfg(test)]
#[path = "leave_tests.rs"]
pub(super) mod tests;
