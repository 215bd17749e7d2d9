//! What holds for a transfer whatever is remembered and whatever is seen.

use proptest::prelude::*;

use super::machine::TRANSITIONS;
use super::machine_tests::{Broker, START, TIMEOUT, TOPIC, World, at};
use super::request::Request;
use crate::admin::{TopicConfig, perm};
use crate::api::{FirstSettings, TransferCause, TransferPhase, UnderWay};

fn any_broker(has_topic: f64) -> impl Strategy<Value = Broker> {
    let topic = (
        prop_oneof![4 => Just(4), 1 => Just(6)],
        prop_oneof![8 => Just(12), 1 => Just(4)],
    );
    let topic = topic.prop_map(|(perm, queues)| TopicConfig {
        perm,
        ..TopicConfig::new(TOPIC, queues)
    });
    (
        prop::option::weighted(has_topic, topic),
        prop_oneof![6 => Just(10i64), 1 => 0i64..20],
        prop_oneof![6 => Just(10i64), 1 => 0i64..20],
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(topic, written, consumed, group, answers)| Broker {
            topic,
            written,
            consumed: consumed.min(written),
            group,
            answers,
            ahead: vec![],
            begun: false,
        })
}

prop_compose! {
    /// Any two clusters, with anything remembered of them, the kind of thing that is most dangerous more often.
    fn any_world()(
        sources in prop::collection::vec(any_broker(0.8), 0..3),
        targets in prop::collection::vec(any_broker(0.9), 1..3),
        target_perm in prop_oneof![6 => Just(6), 1 => Just(4)],
        phase in prop_oneof![
            1 => prop::sample::select(TransferPhase::ALL.to_vec()),
            3 => Just(TransferPhase::Draining),
            6 => Just(TransferPhase::Removing),
        ],
        quiet in prop::option::weighted(0.9, -10i64..300),
        started in -10i64..2 * TIMEOUT,
        written in prop_oneof![6 => Just(10i64), 1 => 0i64..20],
        retried in prop_oneof![6 => Just(0i64), 1 => Just(-1i64), 1 => Just(3i64)],
        removed in prop::bool::weighted(0.3),
        lingers in any::<bool>(),
        deleted in prop::bool::weighted(0.1),
    ) -> World {
        let mut world = World::new();
        world.source = sources.into_iter().enumerate().map(|(n, broker)| (format!("orders-{n}"), broker)).collect();
        world.target = targets.into_iter().enumerate().map(|(n, broker)| (format!("stock-{n}"), broker)).collect();
        for broker in world.target.values_mut() {
            if let Some(topic) = &mut broker.topic {
                topic.perm = target_perm;
            }
        }
        world.deleted = deleted;
        let memory = &mut world.memory;
        memory.phase = Some(phase);
        memory.started_at = Some(at(START - started));
        memory.quiet_since = quiet.map(|ago| at(START - ago));
        for name in world.source.keys() {
            memory.source.push(FirstSettings { broker: name.clone(), read_queues: 12, write_queues: 12, perm: 6 });
            memory.written.insert(name.clone(), written);
            memory.under_way.push(UnderWay {
                broker: name.clone(),
                at: at(START - 100),
                retried,
                delayed: [].into(),
                popped: [].into(),
            });
        }
        if removed {
            memory.removed.extend(world.source.keys().next().cloned());
        }
        if lingers {
            world.lingering.extend(world.source.keys().cloned());
        }
        world
    }
}

/// Said anew, apart from the machine: whether a topic may be deleted at the source now.
fn may_delete(world: &World) -> bool {
    let whole = world
        .source
        .values()
        .chain(world.target.values())
        .all(|broker| broker.answers);
    // A group that no broker keeps any more was deleted by its user: it neither moves nor waits.
    let kept = world.source.values().any(|broker| broker.group);
    let mut holders = world.source.iter().filter(|(_, broker)| broker.topic.is_some());
    let drained = holders.all(|(name, broker)| {
        let closed = broker
            .topic
            .as_ref()
            .is_some_and(|topic| topic.perm & perm::WRITE == 0);
        closed
            && (broker.consumed == broker.written || !kept)
            && world.memory.written.get(name) == Some(&broker.written)
    });
    let quiet = world.memory.quiet_since.as_ref();
    let quiet = quiet.is_some_and(|since| world.now - since.0.as_second() >= 60);
    let served = world.target.values().all(|broker| {
        let is_it =
            |topic: &TopicConfig| topic.perm == 6 && topic.write_queues == 12 && topic.read_queues == 12;
        (broker.group || !kept) && broker.topic.as_ref().is_some_and(is_it)
    });
    let again = world.memory.under_way.iter().all(|one| one.retried == 0);
    whole
        && drained
        && quiet
        && served
        && again
        && !world.target.is_empty()
        && world.phase() == TransferPhase::Removing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_is_deleted_unless_all_is_seen_consumed_still_and_at_the_target(world in any_world()) {
        let decision = world.decide(&world.seen());
        if let Some(Request::Delete { broker, .. }) = &decision.request {
            prop_assert!(may_delete(&world), "{broker}: {world:#?}");
            prop_assert!(decision.memory.removed.contains(broker), "deleted before it is remembered");
        }
        if matches!(decision.request, Some(Request::Forget { .. })) {
            let left = world.source.values().any(|broker| broker.topic.is_some() || !broker.answers);
            prop_assert!(!left, "a name server forgets what a broker has: {world:#?}");
        }
    }

    #[test]
    fn a_phase_changes_only_as_the_diagram_shows_and_an_end_is_an_end(world in any_world()) {
        let decision = world.decide(&world.seen());
        let (from, to) = (world.phase(), decision.memory.phase.unwrap_or_default());
        prop_assert!(from == to || TRANSITIONS.contains(&(from, to)), "{from:?} to {to:?}");
        if from.is_final() {
            prop_assert_eq!(decision.request, None);
            prop_assert_eq!(to, from);
        }
        if from != to && to == TransferPhase::Succeeded {
            prop_assert!(world.source.values().all(|broker| broker.topic.is_none()));
        }
    }

    #[test]
    fn the_source_is_changed_only_to_be_read_only_or_as_it_was(world in any_world()) {
        let decision = world.decide(&world.seen());
        if let Some(Request::ChangeTopic { broker, topic }) = &decision.request {
            let now = world.source[broker].topic.clone().unwrap();
            let phase = decision.memory.phase.unwrap_or_default();
            if phase == TransferPhase::Undoing {
                prop_assert_eq!((topic.perm, topic.read_queues, topic.write_queues), (6, 12, 12));
            } else {
                prop_assert_eq!(phase, TransferPhase::Fencing);
                prop_assert_eq!(topic, &TopicConfig { perm: now.perm & !perm::WRITE, ..now });
            }
        }
    }

    /// Messages come, consumers work, requests are lost and brokers hang, for a while and in any order.
    #[test]
    fn every_transfer_ends_at_the_target_or_as_it_was(
        troubles in prop::collection::vec((0usize..2, 0u8..7), 0..60),
        deleted_at in prop::option::weighted(0.3, 0usize..60),
        late in prop::bool::weighted(0.3),
    ) {
        let mut world = World::new();
        let first = world.source.clone();
        let mut looks = 0;
        while !world.phase().is_final() {
            let mut heard = true;
            for broker in world.source.values_mut().chain(world.target.values_mut()) {
                broker.answers = true;
            }
            if let Some((which, trouble)) = troubles.get(looks) {
                let name = format!("orders-{which}");
                let broker = world.source.get_mut(&name).unwrap();
                let open = broker.topic.is_some();
                match trouble {
                    0 if open => broker.written += 3,
                    1 => broker.answers = false,
                    2 => world.target.get_mut("stock-0").unwrap().answers = false,
                    3 => heard = false,
                    _ => {}
                }
            }
            if looks % 3 == 0 {
                for broker in world.source.values_mut() {
                    broker.consumed = broker.written.min(broker.consumed + 2);
                }
            }
            world.deleted |= deleted_at == Some(looks);
            if late && looks == 40 {
                world.now += TIMEOUT;
            }
            let decision = world.look(heard);
            looks += 1;
            prop_assert!(looks < 400, "has no end: {world:#?}");
            if decision.release {
                break;
            }
        }
        let settings = |brokers: &std::collections::BTreeMap<String, Broker>| -> Vec<_> {
            brokers.values().map(|broker| broker.topic.clone()).collect()
        };
        if world.phase() == TransferPhase::Succeeded {
            prop_assert!(world.source.values().all(|broker| broker.topic.is_none()));
            prop_assert_eq!(&world.target["stock-0"].topic, &first["orders-0"].topic);
        } else if world.memory.cause == Some(TransferCause::NotUndone) {
            // The hour passed while the source was given back what it had, and a broker was silent at its end.
            prop_assert!(late);
        } else if world.memory.removed.is_empty() {
            prop_assert_eq!(settings(&world.source), settings(&first));
        } else {
            // Deleted after removal had begun, and too late to end it: it is let go as it is.
            prop_assert!(world.deleted && late);
        }
    }
}
