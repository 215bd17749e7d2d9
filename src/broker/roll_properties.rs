//! What holds of a rolling restart whatever happens while it goes on.
//!
//! A model of a cluster is moved by the planner's steps, ten seconds each, while pods die, brokers do not answer, replicas fall
//! behind, producers write and the user changes their mind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::admin::{BrokerConfig, ClusterInfo, RuntimeInfo};
use crate::api::Broker;
use crate::broker::backlog::Backlog;
use crate::broker::missing::Missing;
use crate::broker::observe::{Answer, Facts, View};
use crate::broker::tables::{Noted, Tables};
use crate::k8s::apply::hash;

/// After this tick nothing disturbs any more.
const CALM: usize = 60;
/// A pod is away for so many ticks.
const AWAY: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Disturbance {
    /// The JVM of a broker dies; its pod starts another one.
    Dies,
    /// A broker does not answer for a while.
    Silent,
    /// A replica falls behind.
    Behind,
    /// Topics cannot be read for a while.
    Topics,
}

#[derive(Clone, Debug)]
struct Case {
    groups: i32,
    replicas: i32,
    lasting: bool,
    elsewhere: bool,
    disturbed: Vec<(usize, usize, Disturbance)>,
    change_of_mind: Option<usize>,
    writes_until: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let disturbance = prop_oneof![
        Just(Disturbance::Dies),
        Just(Disturbance::Silent),
        Just(Disturbance::Behind),
        Just(Disturbance::Topics)
    ];
    let disturbed = prop::collection::vec((0..CALM, 0..9_usize, disturbance), 0..12);
    let change = prop::option::of(1..CALM);
    (
        1..3_i32,
        0..3_i32,
        any::<bool>(),
        any::<bool>(),
        disturbed,
        change,
        0..CALM,
    )
        .prop_map(
            |(groups, replicas, lasting, elsewhere, disturbed, change_of_mind, writes_until)| Case {
                groups,
                replicas,
                lasting,
                elsewhere: elsewhere && groups > 1,
                disturbed,
                change_of_mind,
                writes_until,
            },
        )
}

#[derive(Clone, Debug)]
struct One {
    member: Member,
    set: usize,
    pod: usize,
    uid: usize,
    away: usize,
    /// Whether it served since its pod was made.
    served: bool,
    silent: usize,
    end: i64,
    fenced: bool,
    /// Messages that are still to be consumed.
    backlog: i64,
    lacks_topics: bool,
}

struct Model {
    case: Case,
    valid: Valid,
    all: Vec<One>,
    target: usize,
    tick: usize,
    topics_unknown: usize,
    written: i64,
    last_write: usize,
    noted: BTreeMap<i32, Noted>,
    memory: Option<RolloutStatus>,
    uids: usize,
}

fn tables() -> Tables {
    Tables {
        topics: vec![TopicConfig::new("payments", 4)],
        ..Tables::default()
    }
}

fn time(tick: usize) -> Time {
    Time(Timestamp::from_second(1_700_000_000 + i64::try_from(tick).unwrap() * 10).unwrap())
}

impl Model {
    fn new(case: Case) -> Self {
        let storage = if case.lasting {
            json!({"storageMode": "StorageClass", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]})
        } else {
            json!({"storageMode": "EmptyDir"})
        };
        let mut spec = json!({"size": case.groups, "replicaPerGroup": case.replicas, "brokerImage": "i"});
        spec.as_object_mut()
            .unwrap()
            .extend(storage.as_object().unwrap().clone());
        let broker: Broker = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "mq", "uid": "u"}, "spec": spec}))
        .unwrap();
        let valid = Valid::check(&broker).unwrap().unwrap();
        let all = valid.shape.members().enumerate();
        let all = all.map(|(uid, member)| One {
            member,
            set: 0,
            pod: 0,
            uid,
            away: 0,
            served: true,
            silent: 0,
            end: 1000,
            fenced: false,
            backlog: 5,
            lacks_topics: false,
        });
        Self {
            all: all.collect(),
            case,
            valid,
            target: 1,
            tick: 0,
            topics_unknown: 0,
            written: 0,
            last_write: 0,
            noted: BTreeMap::new(),
            memory: None,
            uids: 100,
        }
    }

    fn seen(one: &One) -> Seen {
        let up = one.away == 0;
        let ready = if up { "True" } else { "False" };
        let (start, later) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
        let changed = if one.served { later } else { start };
        let pod = json!({
            "metadata": {"name": one.member.pod_name("orders"), "uid": one.uid.to_string()},
            "status": {"podIP": "198.18.0.1", "startTime": start,
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": changed}]}});
        let permission = if one.fenced { "4" } else { "6" };
        let facts = (up && one.silent == 0).then(|| Facts {
            address: "198.18.0.1:10911".to_owned(),
            runtime: RuntimeInfo([("commitLogMaxOffset".to_owned(), one.end.to_string())].into()),
            config: BrokerConfig([("brokerPermission".to_owned(), permission.to_owned())].into()),
        });
        Seen {
            member: one.member,
            set: None,
            pod: Some(Arc::new(serde_json::from_value(pod).unwrap())),
            service_ip: None,
            has_belongings: true,
            config_notes: None,
            answer: if facts.is_some() {
                Answer::Serves
            } else {
                Answer::NotAsked
            },
            facts,
        }
    }

    fn observed(&self) -> Observed {
        Observed {
            members: self.all.iter().map(Self::seen).collect(),
            views: vec![View {
                name: "names-0".to_owned(),
                address: None,
                lists: Ok(ClusterInfo::default()),
            }],
            name_server_list: None,
            live_hash: None,
            openings: BTreeMap::new(),
            budgets: BTreeSet::new(),
            tables: self.noted.clone(),
            drain: None,
        }
    }

    fn topics(&self, observed: &Observed) -> Result<Topics, String> {
        if self.topics_unknown > 0 {
            return Err("no answer".to_owned());
        }
        let store = if let Some(seen) = volatile::emptied(observed) {
            let one = self.one(seen.member);
            let lacks = if one.lacks_topics { tables().topics } else { vec![] };
            Some(Store::Empty {
                missing: Ok(Missing {
                    topics: lacks,
                    ..Missing::default()
                }),
                ahead: Ok(vec![]),
            })
        } else {
            None
        };
        Ok(Topics {
            elsewhere: Some(self.case.elsewhere),
            fenced: true,
            store,
        })
    }

    /// What is seen of the store of the master that is next.
    fn store(&self, master: Option<Member>) -> Option<Store> {
        let one = self.one(master?);
        Some(Store::Full {
            backlog: Ok(Backlog {
                written: self.written,
                unconsumed: one.backlog,
                ..Backlog::default()
            }),
            tables: Ok(tables()),
        })
    }

    fn one(&self, member: Member) -> &One {
        self.all.iter().find(|one| one.member == member).unwrap()
    }

    fn one_mut(&mut self, member: Member) -> &mut One {
        self.all.iter_mut().find(|one| one.member == member).unwrap()
    }

    fn master_of(&self, member: Member) -> &One {
        self.one(Member {
            group: member.group,
            replica: 0,
        })
    }

    /// The world goes on for ten seconds.
    fn passes(&mut self) {
        let disturbed = self.case.disturbed.clone();
        let now = disturbed.into_iter().filter(|(tick, ..)| *tick == self.tick);
        for (_, which, what) in now {
            let which = which % self.all.len();
            let one = &mut self.all[which];
            match what {
                Disturbance::Dies if one.away == 0 => one.away = AWAY,
                Disturbance::Silent => one.silent = 2,
                Disturbance::Behind if !one.member.is_master() => one.end -= 5_000_000,
                Disturbance::Topics => self.topics_unknown = 2,
                Disturbance::Dies | Disturbance::Behind => {}
            }
        }
        if self.case.change_of_mind == Some(self.tick) {
            self.target = 2;
        }
        self.topics_unknown = self.topics_unknown.saturating_sub(1);
        let ends: BTreeMap<i32, i64> = self.masters().map(|one| (one.member.group, one.end)).collect();
        let in_hand = self.memory.clone().filter(|memory| !memory.writable);
        let emptied = volatile::emptied(&self.observed()).map(|seen| seen.member);
        for one in &mut self.all {
            one.away = one.away.saturating_sub(1);
            one.served |= one.away == 0;
            one.silent = one.silent.saturating_sub(1);
            if !one.member.is_master() && one.away == 0 {
                let end = ends[&one.member.group];
                // It catches up; a store that is not its master's it does not give up.
                one.end = one.end.max((one.end + 2_000_000).min(end));
            }
            let is_it = in_hand
                .as_ref()
                .is_some_and(|memory| memory.pod == one.member.pod_name("orders"));
            one.fenced = is_it || emptied == Some(one.member);
            if one.member.is_master() {
                one.lacks_topics &= !(one.fenced && one.away == 0 && emptied == Some(one.member));
                if self.tick < self.case.writes_until && !one.fenced && one.away == 0 {
                    one.backlog += 1;
                    one.end += 100;
                    self.written += 1;
                    self.last_write = self.tick;
                } else {
                    one.backlog = (one.backlog - 2).max(0);
                }
            }
        }
        self.tick += 1;
    }

    fn masters(&self) -> impl Iterator<Item = &One> {
        self.all.iter().filter(|one| one.member.is_master())
    }

    /// One step of the planner, carried out; whether all is done.
    fn step(&mut self) -> Result<bool, TestCaseError> {
        let observed = self.observed();
        let candidates: Vec<_> = observed
            .members
            .iter()
            .filter_map(|seen| {
                let one = self.one(seen.member);
                let why = match (one.set == self.target, one.pod == one.set) {
                    (false, _) => Outdated::Set,
                    (true, false) => Outdated::Pod,
                    (true, true) => return None,
                };
                Some(Candidate {
                    seen,
                    why,
                    claims: Claims::Same,
                })
            })
            .collect();
        let unserving = observed.members.iter().filter(|seen| seen.facts.is_none());
        let not_serving: BTreeMap<String, String> = unserving
            .map(|seen| (seen.member.pod_name("orders"), "it does not answer".to_owned()))
            .collect();
        let serves = |seen: &Seen| seen.facts.is_some();
        let master = next(&self.valid, &candidates, serves).map(|next| next.seen.member);
        let mut topics = self.topics(&observed);
        if let Ok(topics) = &mut topics
            && topics.store.is_none()
            && !self.case.lasting
        {
            topics.store = self.store(master.filter(|member| member.is_master()));
        }
        let mut valid = self.valid.clone();
        valid.rollout = self.memory.clone();
        let now = time(self.tick);
        let known = Known {
            valid: &valid,
            observed: &observed,
            candidates: &candidates,
            not_serving: &not_serving,
            topics: &topics,
            refused: None,
            now: &now,
        };
        let (roll, memory) = super::step(&known);
        let done = roll == Roll::Done && candidates.is_empty();
        self.memory = memory;
        match roll {
            Roll::Restart(member) => self.restart(member)?,
            Roll::Note(member) => {
                let noted = Noted {
                    uid: self.one(member).uid.to_string(),
                    hash: hash(&tables()),
                };
                self.noted.insert(member.group, noted);
            }
            Roll::Refilled(member) => {
                prop_assert!(!self.one(member).lacks_topics, "opened without its topics");
                let end = self.one(member).end;
                let group = self.all.iter().filter(|one| one.member.group == member.group);
                prop_assert!(
                    group.into_iter().all(|one| one.end <= end),
                    "a replica has the old store"
                );
                self.noted.remove(&member.group);
            }
            Roll::Done | Roll::Wait { .. } | Roll::Drains { .. } | Roll::Held { .. } => {}
        }
        Ok(done && self.noted.is_empty())
    }

    fn restart(&mut self, member: Member) -> Result<(), TestCaseError> {
        let target = self.target;
        let others = self.all.iter().filter(|one| one.member != member);
        let unwell: Vec<_> = others.filter(|one| one.away > 0 || one.silent > 0).collect();
        prop_assert!(
            unwell.is_empty(),
            "{member:?} is restarted while others are away or unknown: {unwell:?}"
        );
        let one = self.one(member).clone();
        if one.away == 0 {
            prop_assert_eq!(one.silent, 0, "restarted without knowing anything of it");
            self.is_spared(&one)?;
        } else if !self.case.lasting && one.member.is_master() && !self.noted.contains_key(&member.group) {
            prop_assert!(!one.served, "what it holds is lost");
        }
        let one = self.one_mut(member);
        if one.set != target {
            one.set = target;
            return Ok(());
        }
        self.uids += 1;
        let (uid, lasting) = (self.uids, self.case.lasting);
        let masters = self.master_of(member).end;
        let one = self.one_mut(member);
        let old_store = !lasting && !member.is_master() && one.end > masters;
        prop_assert!(
            one.pod != target || old_store,
            "{member:?} is restarted twice for one change"
        );
        (one.pod, one.away, one.uid, one.served) = (one.set, AWAY, uid, false);
        if !lasting {
            (one.end, one.lacks_topics) = (0, member.is_master());
        }
        Ok(())
    }

    /// Nobody misses anything while a broker that runs is restarted.
    fn is_spared(&self, one: &One) -> Result<(), TestCaseError> {
        if !one.member.is_master() {
            return Ok(());
        }
        if self.case.lasting {
            let allowed = if self.case.elsewhere { 0 } else { BEHIND };
            let replicas = self
                .all
                .iter()
                .filter(|other| other.member.group == one.member.group && !other.member.is_master());
            for replica in replicas {
                prop_assert!(one.end - replica.end <= allowed, "{replica:?} is behind {one:?}");
            }
            prop_assert!(!self.case.elsewhere || one.fenced, "not read-only");
            return Ok(());
        }
        prop_assert_eq!(one.backlog, 0, "messages are lost");
        prop_assert!(one.fenced, "it takes messages while it is restarted");
        prop_assert!(self.tick - self.last_write > 5, "a write came just now");
        prop_assert!(self.noted.contains_key(&one.member.group), "its topics are lost");
        prop_assert_eq!(self.topics_unknown, 0, "its topics are not known");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_roll_ends_whatever_happens_and_at_no_step_harms_anybody(case in case()) {
        let brokers = usize::try_from(case.groups * (case.replicas + 1)).unwrap();
        let mut model = Model::new(case);
        let bound = 2 * CALM + 60 * brokers;
        let mut done = false;
        for tick in 0..bound {
            done = model.step()?;
            if done && tick > CALM {
                break;
            }
            model.passes();
        }
        prop_assert!(done, "not done: {:?} {:?}", model.all, model.memory);
        prop_assert!(model.all.iter().all(|one| one.pod == model.target && !one.lacks_topics), "{:?}", model.all);
        prop_assert!(model.memory.is_none());
    }
}
