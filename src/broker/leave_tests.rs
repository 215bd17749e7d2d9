use k8s_openapi::jiff::Timestamp;

use super::super::backlog::Blocker;
use super::*;

use Presence::{Ending, Gone, Kept};
use ScaleInPhase::{Draining, Fencing, Moving, Removing, Stopping};

pub(in crate::broker) const NOW: i64 = 1_000_000;
pub(in crate::broker) const TIMEOUT: i64 = 3600;

pub(in crate::broker) fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

/// Group 2 as it is remembered: it began ten minutes ago.
pub(in crate::broker) fn memory(phase: ScaleInPhase) -> ScaleInStatus {
    ScaleInStatus {
        phase,
        ..ScaleInStatus::begun(2, at(NOW - 600))
    }
}

/// Nothing was written to it for that many seconds.
pub(in crate::broker) fn quiet(phase: ScaleInPhase, seconds: i64) -> ScaleInStatus {
    ScaleInStatus {
        quiet_since: Some(at(NOW - seconds)),
        written: Some(500),
        backlog: Some(0),
        ..memory(phase)
    }
}

/// Nothing keeps the group: it is read-only, all of it is consumed, and its brokers run.
pub(in crate::broker) fn drained() -> Seen {
    Seen {
        homeless: Ok(Vec::new()),
        order_topics: Ok(OrderTopics::default()),
        permission: Ok(4),
        fenced: Ok(true),
        backlog: Ok(holding(0)),
        broken: None,
        replicas: Kept,
        master: Kept,
        listed: Ok(true),
        objects: true,
    }
}

pub(in crate::broker) fn holding(unconsumed: i64) -> Backlog {
    let blocker = Blocker {
        group: "billing".to_owned(),
        topic: "payments".to_owned(),
        messages: unconsumed,
        last_commit_ms: Some((NOW - 3 * 3600) * 1000),
        turned_away: false,
    };
    Backlog {
        written: 500,
        unconsumed,
        blockers: (unconsumed > 0).then_some(blocker).into_iter().collect(),
        ..Backlog::default()
    }
}

pub(in crate::broker) fn unknown<T>() -> Result<T, String> {
    Err("198.18.0.3:10911 did not answer".to_owned())
}

pub(in crate::broker) fn payments() -> Vec<TopicConfig> {
    vec![TopicConfig::new("payments", 4)]
}

pub(in crate::broker) fn leaving<'a>(
    memory: Option<&'a ScaleInStatus>,
    seen: &'a Seen,
    now: &'a Time,
) -> Leaving<'a> {
    Leaving {
        broker_name: "orders-2",
        group: 2,
        asked: 2,
        memory,
        policy: ScaleInPolicy::Drain,
        timeout_seconds: TIMEOUT,
        now,
        seen,
    }
}

pub(in crate::broker) fn next(memory: &ScaleInStatus, seen: &Seen) -> Step {
    step(&leaving(Some(memory), seen, &at(NOW)))
}

pub(in crate::broker) fn immediately(memory: &ScaleInStatus, seen: &Seen) -> Step {
    step(&Leaving {
        policy: ScaleInPolicy::Immediate,
        ..leaving(Some(memory), seen, &at(NOW))
    })
}

pub(in crate::broker) fn phase(step: &Step) -> ScaleInPhase {
    step.memory.as_ref().unwrap().phase
}

#[test]
fn that_a_group_leaves_is_remembered_before_anything_is_done() {
    let seen = Seen {
        homeless: Ok(payments()),
        ..drained()
    };
    for seen in [&drained(), &seen] {
        let step = step(&leaving(None, seen, &at(NOW)));
        let memory = step.memory.clone().unwrap();
        assert_eq!(
            (memory.group, memory.phase, memory.started_at),
            (2, Moving, at(NOW))
        );
        assert!(!step.fence && !step.carry && step.stop.is_none(), "{step:?}");
    }
}

#[test]
fn a_topic_without_another_home_is_made_elsewhere_before_the_group_is_read_only() {
    let seen = Seen {
        homeless: Ok(payments()),
        ..drained()
    };
    let step = next(&memory(Moving), &seen);
    assert_eq!((phase(&step), step.fence, step.carry), (Moving, false, true));
    assert!(step.progress.contains("1 topic"), "{}", step.progress);
    let step = next(&memory(Moving), &drained());
    assert_eq!((phase(&step), step.fence), (Fencing, true));
}

#[test]
fn a_topic_that_is_made_while_the_group_leaves_gets_another_home_too() {
    let seen = Seen {
        homeless: Ok(payments()),
        ..drained()
    };
    for before in [memory(Fencing), quiet(Draining, 90), quiet(Stopping, 90)] {
        for step in [next(&before, &seen), immediately(&before, &seen)] {
            assert_eq!((phase(&step), step.stop), (before.phase, None), "{step:?}");
            assert!(step.fence && step.carry, "{step:?}");
        }
    }
}

#[test]
fn replicas_are_stopped_before_the_master() {
    let looks = |replicas, master| Seen {
        replicas,
        master,
        ..drained()
    };
    let before = quiet(Stopping, 90);
    let stopped = |replicas, master| next(&before, &looks(replicas, master)).stop;
    assert_eq!(stopped(Kept, Kept), Some(Stop::Replicas));
    assert_eq!(stopped(Ending, Kept), None);
    assert_eq!(stopped(Gone, Kept), Some(Stop::Master));
    assert_eq!(stopped(Gone, Ending), None);
    let step = next(&before, &looks(Gone, Gone));
    assert_eq!((phase(&step), step.stop), (Removing, None));
    assert_eq!(step.memory.unwrap().stopped_at, Some(at(NOW)));
}

#[test]
fn right_before_it_is_stopped_it_is_looked_at_again() {
    let growth = Backlog {
        written: 501,
        ..holding(0)
    };
    let looks = |change: fn(&mut Seen, Backlog)| {
        let mut seen = drained();
        change(&mut seen, growth.clone());
        seen
    };
    for (seen, expected) in [
        (looks(|seen, growth| seen.backlog = Ok(growth)), Draining),
        (looks(|seen, _| seen.backlog = unknown()), Stopping),
        (looks(|seen, _| seen.fenced = unknown()), Stopping),
        (looks(|seen, _| seen.permission = unknown()), Stopping),
        (looks(|seen, _| seen.homeless = unknown()), Stopping),
        (looks(|seen, _| seen.fenced = Ok(false)), Fencing),
        (looks(|seen, _| seen.permission = Ok(6)), Fencing),
    ] {
        for replicas in [Kept, Gone] {
            let seen = Seen {
                replicas,
                ..seen.clone()
            };
            let step = next(&quiet(Stopping, 90), &seen);
            assert_eq!((phase(&step), step.stop), (expected, None), "{seen:?}");
        }
    }
}

#[test]
fn whoever_deletes_the_master_first_is_not_followed() {
    for (phase_before, master, replicas) in [
        (Stopping, Gone, Kept),
        (Stopping, Ending, Kept),
        (Removing, Kept, Gone),
        (Removing, Gone, Kept),
    ] {
        let seen = Seen {
            replicas,
            master,
            ..drained()
        };
        let step = next(&quiet(phase_before, 90), &seen);
        assert_eq!((phase(&step), step.stop, step.remove), (Draining, None, false));
        assert_eq!(step.memory.unwrap().quiet_since, None);
    }
}

#[test]
fn what_belongs_to_the_group_is_deleted_when_no_name_server_lists_it() {
    let looks = |listed, objects| Seen {
        replicas: Gone,
        master: Gone,
        listed,
        objects,
        ..drained()
    };
    let before = |seconds| ScaleInStatus {
        stopped_at: Some(at(NOW - seconds)),
        ..memory(Removing)
    };
    for (seen, seconds, unregister, remove) in [
        (looks(Ok(true), true), 149, false, false),
        (looks(Ok(true), true), 150, true, false),
        (looks(unknown(), true), 900, false, false),
        (looks(Ok(false), true), 1, false, true),
    ] {
        let step = next(&before(seconds), &seen);
        assert_eq!((step.unregister, step.remove), (unregister, remove), "{step:?}");
        assert!(!step.gone && phase(&step) == Removing);
    }
    let step = next(&before(1), &looks(Ok(false), false));
    assert_eq!((step.gone, step.memory, step.fence), (true, None, false));
}

#[test]
fn a_group_that_is_asked_for_again_takes_writes_again() {
    for phase in [Moving, Fencing, Draining, Stopping] {
        let before = quiet(phase, 90);
        let step = step(&Leaving {
            asked: 3,
            ..leaving(Some(&before), &drained(), &at(NOW))
        });
        assert_eq!(
            (&step.memory, step.fence, step.anew),
            (&None, false, false),
            "{phase:?}"
        );
        assert_eq!(
            step.progress,
            "group orders-2 is asked for again: producers may write to it"
        );
    }
}

#[test]
fn a_group_that_is_asked_for_again_too_late_is_made_anew() {
    for (phase, master) in [(Stopping, Ending), (Stopping, Gone), (Removing, Gone)] {
        let seen = Seen {
            master,
            replicas: Gone,
            ..drained()
        };
        let before = quiet(phase, 90);
        let step = step(&Leaving {
            asked: 3,
            ..leaving(Some(&before), &seen, &at(NOW))
        });
        assert_eq!(
            (&step.memory, step.anew, step.remove),
            (&None, true, false),
            "{phase:?}"
        );
    }
}

#[test]
fn the_last_group_never_leaves() {
    let before = ScaleInStatus {
        group: 0,
        ..quiet(Stopping, 90)
    };
    let step = step(&Leaving {
        group: 0,
        asked: 0,
        ..leaving(Some(&before), &drained(), &at(NOW))
    });
    assert_eq!((&step.memory, step.stop, step.fence), (&None, None, false));
    assert_eq!(next_group(0, 1, None), None);
}

#[test]
fn groups_leave_one_at_a_time_the_highest_first() {
    assert_eq!(next_group(1, 4, None), Some(3));
    assert_eq!(next_group(1, 4, Some(&memory(Draining))), Some(2));
    assert_eq!(next_group(4, 4, Some(&memory(Draining))), Some(2));
    assert_eq!(next_group(4, 4, None), None);
    assert_eq!(next_group(5, 4, None), None);
}

#[test]
fn what_is_remembered_of_another_group_does_not_count() {
    let other = ScaleInStatus {
        group: 3,
        ..quiet(Stopping, 90)
    };
    let step = next(&other, &drained());
    assert_eq!((phase(&step), step.stop, step.fence), (Moving, None, false));
    assert_eq!(step.memory.unwrap().group, 2);
}

#[test]
fn a_drain_that_takes_too_long_names_who_it_waits_for_and_what_helps() {
    let before = ScaleInStatus {
        started_at: at(NOW - TIMEOUT),
        ..quiet(Draining, 90)
    };
    let seen = Seen {
        backlog: Ok(holding(120)),
        ..drained()
    };
    let late = next(&before, &seen);
    let (reason, words) = late.degraded.unwrap();
    assert_eq!(reason, "DrainTimeout");
    for part in [
        "group orders-2 is read-only and waits: group billing on topic payments: 120 messages",
        "longer than 3600 s",
        "nothing is deleted",
        "consume",
        "spec.scaleIn.ignoreConsumerGroups",
        "Immediate",
        "spec.scaleIn.timeoutSeconds",
        "raise spec.size to 3",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words:?}");
    }
    assert!(late.fence && late.stop.is_none());
    assert_eq!(late.memory.unwrap().phase, Draining);
    let raised = step(&Leaving {
        timeout_seconds: TIMEOUT + 1,
        ..leaving(Some(&before), &seen, &at(NOW))
    });
    assert_eq!((raised.degraded, raised.fence), (None, true));
    assert_eq!(phase(&next(&before, &drained())), Stopping, "consumed after all");
}

#[test]
fn a_group_whose_master_does_not_answer_waits_and_says_why() {
    let seen = Seen {
        homeless: unknown(),
        permission: unknown(),
        backlog: unknown(),
        broken: Some("pod orders-2-master-0 cannot pull image \"rocketmq:none\"".to_owned()),
        ..drained()
    };
    for before in [
        memory(Moving),
        memory(Fencing),
        quiet(Draining, 90),
        quiet(Stopping, 90),
    ] {
        let step = next(&before, &seen);
        assert_eq!((phase(&step), step.stop), (before.phase, None));
        let (reason, words) = step.degraded.unwrap();
        assert_eq!(reason, "LeavingMasterDown");
        assert!(
            words.contains("cannot pull image") && words.contains("raise spec.size to 3"),
            "{words}"
        );
    }
}

#[test]
fn a_master_that_is_not_there_is_started_before_its_group_leaves() {
    for before in [memory(Moving), memory(Fencing)] {
        let seen = Seen {
            master: Gone,
            ..drained()
        };
        let step = next(&before, &seen);
        assert_eq!(phase(&step), before.phase);
        assert!(
            step.progress.ends_with("its master is started first"),
            "{}",
            step.progress
        );
    }
}

#[test]
fn immediately_means_that_topics_are_moved_and_nothing_is_waited_for() {
    let full = Seen {
        fenced: unknown(),
        backlog: Ok(holding(120)),
        ..drained()
    };
    let homeless = Seen {
        homeless: Ok(payments()),
        ..full.clone()
    };
    assert!(immediately(&memory(Moving), &homeless).carry);
    assert_eq!(phase(&immediately(&memory(Moving), &full)), Fencing);
    let writable = Seen {
        permission: Ok(6),
        ..full.clone()
    };
    let step = immediately(&memory(Fencing), &writable);
    assert_eq!(
        (phase(&step), step.fence),
        (Fencing, true),
        "it is read-only first"
    );
    for permission in [Ok(6), unknown()] {
        let seen = Seen {
            permission,
            ..full.clone()
        };
        assert!(
            phase(&immediately(&quiet(Draining, 90), &seen)) < Stopping,
            "{seen:?}"
        );
    }
    for before in [memory(Fencing), quiet(Draining, 0)] {
        let step = immediately(&before, &full);
        assert_eq!((phase(&step), step.stop), (Stopping, None));
        assert!(
            step.progress.contains("dropping 120 messages"),
            "{}",
            step.progress
        );
    }
    let step = immediately(&memory(Stopping), &full);
    assert_eq!(step.stop, Some(Stop::Replicas));
    assert!(
        step.progress.contains("dropping 120 messages"),
        "{}",
        step.progress
    );
}

#[test]
fn who_thinks_better_of_immediately_gets_a_drain() {
    let step = next(&memory(Stopping), &drained());
    assert_eq!((phase(&step), step.stop), (Draining, None));
}

#[test]
fn times_that_are_yet_to_come_do_not_keep_a_group_for_ever() {
    let before = ScaleInStatus {
        started_at: at(NOW + 1_000_000),
        ..quiet(Draining, -1_000_000)
    };
    let after = next(&before, &drained()).memory.unwrap();
    assert_eq!((after.started_at, after.quiet_since), (at(NOW), Some(at(NOW))));
}
