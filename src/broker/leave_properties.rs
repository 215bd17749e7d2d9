use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::order_topics::{Entry, OrderTopics};
use super::super::uncounted::UNCOUNTED;

use super::tests::{NOW, TIMEOUT, at, holding, leaving, payments, unknown};
use super::*;

use Presence::{Ending, Gone, Kept};
use ScaleInPhase::{Draining, Fencing, Moving, Removing, Stopping};

fn any_result<T: std::fmt::Debug + Clone + 'static>(
    known: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Result<T, String>> {
    prop_oneof![3 => known.prop_map(Ok), 1 => Just(unknown())]
}

fn any_presence() -> impl Strategy<Value = Presence> {
    prop_oneof![3 => Just(Kept), 1 => Just(Ending), 2 => Just(Gone)]
}

fn any_backlog() -> impl Strategy<Value = Backlog> {
    let few = || prop_oneof![3 => Just(0i64), 1 => 1i64..9];
    let uncounted = prop_oneof![9 => Just(vec![]), 1 => Just(vec![UNCOUNTED[0]])];
    (499i64..502, few(), few(), few(), few(), uncounted).prop_map(
        |(written, unconsumed, delayed, half, undispatched, uncounted)| Backlog {
            written,
            delayed,
            half,
            undispatched,
            uncounted,
            ..holding(unconsumed)
        },
    )
}

fn naming() -> BTreeMap<String, String> {
    BTreeMap::from([("parcels".to_owned(), "orders-0:4;orders-2:4".to_owned())])
}

fn any_order_topics() -> impl Strategy<Value = OrderTopics> {
    let entry = || Entry {
        name_server: "198.18.0.2:9876".to_owned(),
        topic: "parcels".to_owned(),
        queues: String::new(),
    };
    prop_oneof![
        3 => Just(OrderTopics::default()),
        1 => Just(OrderTopics { naming: naming(), without: vec![entry()], ..OrderTopics::default() }),
        1 => Just(OrderTopics { naming: naming(), homeless: naming().into_keys().collect(), ..OrderTopics::default() }),
        1 => Just(OrderTopics { again: vec![entry()], ..OrderTopics::default() }),
    ]
}

prop_compose! {
    fn any_seen()(
        homeless in any_result(prop_oneof![4 => Just(Vec::new()), 1 => Just(payments())]),
        order_topics in any_result(any_order_topics()),
        permission in any_result(prop_oneof![4 => Just(4), 1 => Just(6), 1 => Just(0)]),
        fenced in any_result(prop::bool::weighted(0.8)),
        backlog in any_result(any_backlog()),
        broken in prop::option::weighted(0.1, Just("it cannot be scheduled".to_owned())),
        replicas in any_presence(),
        master in any_presence(),
        listed in any_result(any::<bool>()),
        objects in any::<bool>(),
    ) -> Seen {
        Seen { homeless, order_topics, permission, fenced, backlog, broken, replicas, master, listed, objects }
    }
}

fn any_phase() -> impl Strategy<Value = ScaleInPhase> {
    prop_oneof![
        1 => Just(Moving),
        1 => Just(Fencing),
        1 => Just(Draining),
        4 => Just(Stopping),
        1 => Just(Removing),
    ]
}

prop_compose! {
    fn any_stored()(
        group in prop_oneof![1 => Just(1), 6 => Just(2), 1 => Just(3)],
        phase in any_phase(),
        started in -10i64..2 * TIMEOUT,
        unordered in prop::option::of(-10i64..60),
        silent in prop::option::of(-10i64..120),
        quiet in prop::option::weighted(0.8, -10i64..200),
        stopped in prop::option::of(-10i64..400),
        written in prop::option::weighted(0.9, 499i64..502),
        backlog in prop::option::of(0i64..9),
        ordered in any::<bool>(),
    ) -> ScaleInStatus {
        ScaleInStatus {
            phase,
            unordered_since: unordered.map(|ago| at(NOW - ago)),
            silent_since: silent.map(|ago| at(NOW - ago)),
            quiet_since: quiet.map(|ago| at(NOW - ago)),
            stopped_at: stopped.map(|ago| at(NOW - ago)),
            written,
            backlog,
            order_topics: ordered.then(naming).unwrap_or_default(),
            ..ScaleInStatus::begun(group, at(NOW - started))
        }
    }
}

fn any_memory() -> impl Strategy<Value = Option<ScaleInStatus>> {
    prop::option::weighted(0.95, any_stored())
}

fn any_policy() -> impl Strategy<Value = ScaleInPolicy> {
    prop_oneof![3 => Just(ScaleInPolicy::Drain), 1 => Just(ScaleInPolicy::Immediate)]
}

/// A group as it would be: it does what it is told, in its own time.
struct World {
    seen: Seen,
    stored: Option<ScaleInStatus>,
    written: i64,
    left: i64,
    now: i64,
}

impl World {
    /// One look and what follows from it, ten seconds later. Consumers take seven messages meanwhile.
    fn turn(&mut self, policy: ScaleInPolicy) -> bool {
        let backlog = Backlog {
            written: self.written,
            ..holding(self.left)
        };
        let runs = self.seen.master == Kept;
        let known = |good: bool| if good { Ok(()) } else { unknown() };
        self.seen.backlog = known(runs).map(|()| backlog);
        let now = at(self.now);
        let step = step(&Leaving {
            policy,
            ..leaving(self.stored.as_ref(), &self.seen, &now)
        });
        if step.carry && self.seen.homeless.is_ok() {
            self.seen.homeless = Ok(Vec::new());
        }
        // Only what is remembered is taken out.
        let stored = self.stored.as_ref();
        let remembered = |topics: &OrderTopics| {
            let mut naming = topics.naming.keys();
            naming.all(|topic| stored.is_some_and(|stored| stored.order_topics.contains_key(topic)))
        };
        if self.seen.order_topics.as_ref().map_or(true, remembered) {
            self.seen.order_topics = Ok(OrderTopics::default());
        }
        let may_stop = policy == ScaleInPolicy::Immediate || self.left == 0;
        assert!(step.stop.is_none() || may_stop, "{} messages are left", self.left);
        match step.stop {
            Some(Stop::Replicas) => self.seen.replicas = Ending,
            Some(Stop::Master) => self.seen.master = Ending,
            None => {}
        }
        self.age(&step);
        self.stored = step.memory;
        step.gone
    }

    fn age(&mut self, step: &Step) {
        let keeps = step
            .memory
            .as_ref()
            .is_some_and(|memory| keeps_sets(memory.phase));
        for presence in [&mut self.seen.master, &mut self.seen.replicas] {
            match presence {
                Ending if step.stop.is_none() => *presence = Gone,
                Gone if keeps => *presence = Kept,
                _ => {}
            }
        }
        // Name servers show what the master says one turn later.
        let runs = self.seen.master == Kept;
        let permission = if step.fence { 4 } else { 6 };
        self.seen.fenced = Ok(!runs || self.seen.permission == Ok(4));
        self.seen.permission = if runs { Ok(permission) } else { unknown() };
        if self.seen.homeless.is_err() && runs {
            self.seen.homeless = Ok(payments());
        }
        if step.unregister {
            self.seen.listed = Ok(false);
        } else if self.seen.listed.is_err() || runs {
            self.seen.listed = Ok(true);
        }
        if step.remove {
            self.seen.objects = false;
        }
        self.left = (self.left - 7).max(0);
        self.now += 10;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_stopped_but_what_was_seen_to_be_empty_and_remembered_as_to_be_stopped(
        stored in any_memory(), seen in any_seen(), policy in any_policy(), asked in 1i32..4,
    ) {
        let now = at(NOW);
        let step = step(&Leaving { asked, policy, ..leaving(stored.as_ref(), &seen, &now) });
        if let Some(stop) = step.stop {
            let stored = stored.clone().unwrap();
            prop_assert_eq!((stored.group, stored.phase, asked < 3), (2, Stopping, true));
            prop_assert_eq!(seen.master, Kept);
            prop_assert_eq!(stop == Stop::Master, seen.replicas == Gone);
            if policy == ScaleInPolicy::Drain {
                let backlog = seen.backlog.clone().unwrap();
                prop_assert!(backlog.is_empty() && stored.written == Some(backlog.written));
                prop_assert!(stored.quiet_since.unwrap() <= at(NOW - 60));
                prop_assert_eq!((seen.permission.unwrap(), seen.fenced.unwrap()), (4, true));
                prop_assert_eq!(seen.homeless.unwrap(), vec![]);
            }
        }
        if step.remove || step.gone {
            prop_assert_eq!((seen.master, seen.replicas, seen.listed), (Gone, Gone, Ok(false)));
            prop_assert_eq!(stored.unwrap().phase, Removing);
        }
    }

    #[test]
    fn it_is_read_only_in_every_phase_from_fencing_on(
        stored in any_memory(), seen in any_seen(), policy in any_policy(),
    ) {
        let now = at(NOW);
        let step = step(&Leaving { policy, ..leaving(stored.as_ref(), &seen, &now) });
        let after = step.memory.as_ref().map(|memory| memory.phase);
        let fenced_before = stored.as_ref().is_some_and(|stored| stored.group == 2 && stored.phase != Moving);
        let waits = |topics: &OrderTopics| topics.naming.len() > topics.homeless.len() || policy == ScaleInPolicy::Drain;
        let ordered = seen.order_topics.is_ok_and(|topics| topics.naming.is_empty() || !waits(&topics));
        let given_up = policy == ScaleInPolicy::Immediate && seen.permission.is_err();
        let ordered = ordered || given_up;
        prop_assert!(ordered || fenced_before || !step.fence, "an order topic sends to it");
        let known = stored.as_ref().filter(|stored| stored.group == 2 && !stored.order_topics.is_empty());
        let left = known.is_none_or(|stored| stored.unordered_since.as_ref().is_some_and(|since| *since <= at(NOW - 30)));
        let drains = policy == ScaleInPolicy::Drain;
        prop_assert!(left || fenced_before || !drains || !step.fence, "a producer may still go by the old queues");
        prop_assert_eq!(step.fence, after.is_some_and(|phase| phase != Moving));
        let before = stored.filter(|stored| stored.group == 2).map(|stored| stored.phase);
        prop_assert!(step.gone || before.is_none_or(|before| before == Moving || step.fence));
        prop_assert!(step.memory.is_none_or(|memory| memory.blockers.len() <= 5));
    }

    #[test]
    fn a_group_that_is_asked_for_before_its_master_is_stopped_takes_writes_and_loses_nothing(
        stored in any_stored(), seen in any_seen(), policy in any_policy(), asked in 3i32..9,
    ) {
        let seen = Seen { master: Kept, ..seen };
        let stored = ScaleInStatus { group: 2, ..stored };
        let now = at(NOW);
        let step = step(&Leaving { asked, policy, ..leaving(Some(&stored), &seen, &now) });
        // It is remembered only as long as it is to be put back into order topics, or that is not known.
        let ordered = seen.order_topics.is_ok_and(|topics| topics.again.is_empty()) || stored.order_topics.is_empty();
        let memory = (!ordered).then_some(stored);
        let nothing = Step { memory, restore: !ordered, progress: step.progress.clone(), ..Step::default() };
        prop_assert_eq!(step, nothing);
    }

    #[test]
    fn whatever_was_seen_before_a_group_that_is_consumed_is_gone_in_the_end(
        stored in any_memory(), seen in any_seen(), policy in any_policy(), left in 0i64..300,
        troubles in prop::collection::vec(any_seen(), 0..6),
    ) {
        let mut stored = stored;
        for trouble in troubles {
            let now = at(NOW);
            let step = step(&Leaving { policy, ..leaving(stored.as_ref(), &trouble, &now) });
            stored = step.memory;
        }
        let mut world = World { seen, stored, written: 500, left, now: NOW };
        // 43 turns to consume, 16 until name servers are told, and a few for each phase.
        let turns = (1..=100).find(|_| world.turn(policy));
        prop_assert!(turns.is_some(), "{:?} {:?}", world.stored, world.seen);
    }
}
