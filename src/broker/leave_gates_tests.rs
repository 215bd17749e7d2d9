use super::super::leave::tests::*;
use super::super::leave::{Seen, Stop, step};
use super::super::order_topics::OrderTopics;
use super::*;
use crate::admin::{QueueData, RoutedBroker};
use crate::api::ScaleInPhase::{Draining, Fencing, Moving, Stopping};
use crate::api::ScaleInPolicy;
use crate::broker::uncounted::UNCOUNTED;

#[test]
fn the_group_drains_when_its_master_and_every_name_server_say_that_it_is_read_only() {
    let looks = |permission, fenced| Seen {
        permission,
        fenced,
        ..drained()
    };
    for seen in [
        looks(Ok(6), Ok(true)),
        looks(Ok(0), Ok(true)),
        looks(Ok(4), Ok(false)),
        looks(unknown(), Ok(true)),
        looks(Ok(4), unknown()),
    ] {
        let step = next(&memory(Fencing), &seen);
        assert_eq!((phase(&step), step.fence), (Fencing, true), "{seen:?}");
    }
    assert_eq!(phase(&next(&memory(Fencing), &drained())), Draining);
}

#[test]
fn it_becomes_read_only_when_producers_of_order_topics_know_its_queues_no_more() {
    let queues = || ("parcels".to_owned(), "orders-2:4".to_owned());
    let named = Seen {
        order_topics: Ok(OrderTopics {
            naming: [queues()].into(),
            ..OrderTopics::default()
        }),
        ..drained()
    };
    let before = |ago: Option<i64>| ScaleInStatus {
        order_topics: [queues()].into(),
        unordered_since: ago.map(|ago| at(NOW - ago)),
        ..memory(Moving)
    };
    let first = next(&before(None), &drained());
    assert_eq!((phase(&first), first.fence), (Moving, false));
    assert!(first.progress.contains("30 s"), "{}", first.progress);
    assert_eq!(first.memory.unwrap().unordered_since, Some(at(NOW)));
    assert_eq!(phase(&next(&before(Some(29)), &drained())), Moving);
    assert_eq!(phase(&next(&before(Some(30)), &drained())), Fencing);
    let again = next(&before(Some(90)), &named);
    assert_eq!((phase(&again), again.fence), (Moving, false));
    assert_eq!(again.memory.unwrap().unordered_since, None, "it counts anew");
    assert_eq!(
        phase(&next(&memory(Moving), &drained())),
        Fencing,
        "there was none"
    );
    assert_eq!(phase(&immediately(&before(None), &drained())), Fencing);
}

#[test]
fn it_stops_after_a_minute_without_a_write_and_without_a_backlog() {
    let first = next(&memory(Draining), &drained());
    let first = first.memory.unwrap();
    assert_eq!((first.written, &first.quiet_since), (Some(500), &None));
    let second = next(&first, &drained()).memory.unwrap();
    assert_eq!(second.quiet_since, Some(at(NOW)));
    assert_eq!(phase(&next(&quiet(Draining, 59), &drained())), Draining);
    let step = next(&quiet(Draining, 60), &drained());
    assert_eq!((phase(&step), step.stop, step.fence), (Stopping, None, true));
}

#[test]
fn any_write_starts_the_minute_anew() {
    for written in [499, 501] {
        let seen = Seen {
            backlog: Ok(Backlog {
                written,
                ..holding(0)
            }),
            ..drained()
        };
        let after = next(&quiet(Draining, 90), &seen).memory.unwrap();
        assert_eq!((after.phase, after.quiet_since), (Draining, None));
        assert_eq!(after.written, Some(written));
    }
}

#[test]
fn what_nobody_can_count_is_waited_for_and_is_not_known_to_be_nothing() {
    for (unconsumed, counted) in [(0, None), (3, Some(3))] {
        let seen = Seen {
            backlog: Ok(Backlog {
                uncounted: vec![UNCOUNTED[0]],
                ..holding(unconsumed)
            }),
            ..drained()
        };
        let step = next(&quiet(Draining, 90), &seen);
        assert_eq!(phase(&step), Draining);
        assert_eq!(step.memory.unwrap().backlog, counted);
        let told = "(transRocksDBEnable=true)";
        assert!(step.progress.contains(told), "{}", step.progress);
    }
}

#[test]
fn it_waits_for_what_is_to_be_consumed_delayed_undecided_or_on_its_way() {
    for backlog in [
        holding(120),
        Backlog {
            delayed: 1,
            ..holding(0)
        },
        Backlog {
            half: 1,
            ..holding(0)
        },
        Backlog {
            undispatched: 1,
            ..holding(0)
        },
    ] {
        let seen = Seen {
            backlog: Ok(backlog.clone()),
            ..drained()
        };
        let step = next(&quiet(Draining, 90), &seen);
        assert_eq!(phase(&step), Draining, "{backlog:?}");
        assert_eq!(step.memory.unwrap().backlog, Some(backlog.total()));
        let step = next(&quiet(Stopping, 90), &seen);
        assert_eq!((phase(&step), step.stop), (Draining, None), "{backlog:?}");
    }
}

#[test]
fn who_is_waited_for_is_named_with_numbers() {
    let seen = Seen {
        backlog: Ok(holding(120)),
        ..drained()
    };
    let step = next(&quiet(Draining, 90), &seen);
    let words = "group billing on topic payments: 120 messages, last commit 3 h ago";
    assert_eq!(step.memory.unwrap().blockers, [words]);
    assert_eq!(
        step.progress,
        format!("group orders-2 leaves: 120 messages left; {words}")
    );
    assert_eq!(step.degraded, None);
}

#[test]
fn a_master_that_did_not_answer_for_a_while_must_be_quiet_for_another_minute() {
    let silent = Seen {
        permission: unknown(),
        backlog: unknown(),
        ..drained()
    };
    let after = next(&quiet(Draining, 90), &silent).memory.unwrap();
    assert_eq!((after.phase, after.quiet_since), (Draining, None));
}

#[test]
fn name_servers_that_do_not_answer_for_a_while_do_not_prolong_the_wait() {
    let deaf = Seen {
        fenced: unknown(),
        ..drained()
    };
    let after = next(&quiet(Draining, 90), &deaf).memory.unwrap();
    assert_eq!(after, quiet(Draining, 90));
    assert_eq!(phase(&next(&after, &drained())), Stopping);
}

#[test]
fn an_order_topic_that_has_nowhere_to_go_is_named_with_what_helps_and_not_waited_for_with_immediate() {
    let entry = || ("parcels".to_owned(), "orders-2:4".to_owned());
    let seen = Seen {
        order_topics: Ok(OrderTopics {
            naming: [entry()].into(),
            homeless: [entry().0].into(),
            ..OrderTopics::default()
        }),
        ..drained()
    };
    let step = next(&memory(Moving), &seen);
    assert_eq!((phase(&step), step.fence), (Moving, false));
    for part in [
        "this group only",
        "parcels",
        "mqadmin updateTopic",
        "deleteKvConfig -s ORDER_TOPIC_CONFIG",
    ] {
        assert!(
            step.progress.contains(part),
            "{part:?} is not in {}",
            step.progress
        );
    }
    assert_eq!(phase(&immediately(&memory(Moving), &seen)), Fencing);
    let step = immediately(&memory(Fencing), &seen);
    assert_eq!(phase(&step), Stopping);
    assert!(
        step.progress
            .ends_with("producers of order topics have no other group: parcels"),
        "{}",
        step.progress
    );
}

#[test]
fn immediately_means_that_a_master_that_does_not_answer_is_not_waited_for() {
    let silent = Seen {
        homeless: unknown(),
        permission: unknown(),
        fenced: unknown(),
        backlog: unknown(),
        ..drained()
    };
    let broken = Seen {
        broken: Some("pod orders-2-master-0 does not run".to_owned()),
        ..silent.clone()
    };
    let since = |seconds: i64, phase| ScaleInStatus {
        silent_since: Some(at(NOW - seconds)),
        ..quiet(phase, 90)
    };
    for (before, seen) in [
        (quiet(Moving, 90), &broken),
        (since(60, Moving), &silent),
        (quiet(Fencing, 90), &broken),
        (since(60, Fencing), &silent),
        (quiet(Draining, 90), &broken),
        (since(60, Draining), &silent),
    ] {
        let step = immediately(&before, seen);
        let after = if before.phase == Moving { Fencing } else { Stopping };
        assert_eq!((phase(&step), step.stop, &step.degraded), (after, None, &None));
        if after == Stopping {
            assert!(step.drops);
            for part in ["does not answer", "an unknown number of messages", "topics"] {
                assert!(
                    step.progress.contains(part),
                    "{part:?} is not in {}",
                    step.progress
                );
            }
            assert_eq!(step.memory.as_ref().unwrap().backlog, None, "nobody knows");
            let step = immediately(&step.memory.unwrap(), seen);
            assert_eq!(step.stop, Some(Stop::Replicas));
        }
        let step = next(&before, seen);
        assert_eq!((phase(&step), step.stop), (before.phase, None), "Drain waits");
    }
    for phase_before in [Moving, Fencing, Draining] {
        let step = immediately(&since(59, phase_before), &silent);
        assert_eq!(phase(&step), phase_before, "it may be starting");
    }
    let answers = immediately(&since(90, Draining), &drained()).memory.unwrap();
    assert_eq!(answers.silent_since, None);
    let first = step(&Leaving {
        policy: ScaleInPolicy::Immediate,
        ..leaving(None, &broken, &at(NOW))
    });
    assert_eq!(phase(&first), Moving, "it is remembered first");
}

fn route(broker: &str, perm: i32) -> Route {
    let queues = QueueData {
        perm,
        ..QueueData::default()
    };
    let routed = RoutedBroker {
        queues,
        ..RoutedBroker::default()
    };
    Route {
        brokers: [(broker.to_owned(), routed)].into(),
        order: None,
    }
}

#[test]
fn a_group_is_read_only_when_every_name_server_shows_it_in_every_route() {
    let view = |name: &str, routes: Vec<Result<Option<Route>, String>>| (name.to_owned(), routes);
    let closed = || Ok(Some(route("orders-2", 4)));
    let open = || Ok(Some(route("orders-2", 6)));
    let elsewhere = || Ok(Some(route("orders-0", 6)));
    let judged = |views: Vec<_>| fenced::<String>("orders-2", &views);
    assert_eq!(
        judged(vec![
            view("a", vec![closed(), elsewhere(), Ok(None)]),
            view("b", vec![])
        ]),
        Ok(true)
    );
    assert_eq!(
        judged(vec![view("a", vec![closed()]), view("b", vec![closed(), open()])]),
        Ok(false)
    );
    let why = judged(vec![view("a", vec![closed()]), view("b", vec![unknown()])]).unwrap_err();
    assert!(why.starts_with("b does not tell its routes (198.18.0.3"), "{why}");
    assert_eq!(
        judged(vec![view("a", vec![unknown()]), view("b", vec![open()])]),
        Ok(false)
    );
    assert!(judged(vec![]).is_err());
}
