//! What is on its way to consumers and stands in none of their queues: messages that wait for their next try or for an
//! acknowledgement.
//!
//! When everything was consumed, at two looks one after the other, it is noted where each delay level and each queue of the
//! revive log ends. What comes in behind that is not of this topic, unless one more message is to be retried: then all is
//! noted anew. So a cluster in which others use delays and POP all the time is no hindrance.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::machine::QUIET_SECONDS;
use super::seen::Held;
use crate::api::{TopicTransferStatus, UnderWay};

/// Stands for a number of retried messages that was not seen twice.
const SEEN_ONCE: i64 = -1;

/// Whether all that was on its way has arrived. To be asked when nothing is left in any queue.
pub(super) fn delivered(
    memory: &mut TopicTransferStatus,
    held: &BTreeMap<String, Held>,
    now: &Time,
) -> Result<(), String> {
    let known: BTreeMap<_, _> = memory.under_way.iter().map(|one| (&one.broker, one)).collect();
    let is_of_all = held.keys().all(|broker| known.contains_key(broker));
    let unsure = known.values().any(|one| one.retried == SEEN_ONCE);
    let still =
        |broker: &String, held: &Held| known.get(broker).is_some_and(|one| one.retried == held.retried);
    if is_of_all && !unsure && held.iter().all(|(broker, held)| still(broker, held)) {
        let left = held.iter().find_map(|(broker, held)| {
            let one = known.get(broker)?;
            Some((broker, left(one, held, now)?))
        });
        return match left {
            None => Ok(()),
            Some((broker, what)) => Err(format!(
                "waiting: {what} at broker {broker}, perhaps of this topic"
            )),
        };
    }
    let note = if is_of_all && unsure { note } else { note_once };
    memory.under_way = held
        .iter()
        .map(|(broker, held)| note(broker, held, now))
        .collect();
    Err("waiting: all is consumed; looking for what is to be retried".to_owned())
}

fn note_once(broker: &str, _: &Held, now: &Time) -> UnderWay {
    UnderWay {
        broker: broker.to_owned(),
        at: now.clone(),
        retried: SEEN_ONCE,
        delayed: BTreeMap::new(),
        popped: BTreeMap::new(),
    }
}

fn note(broker: &str, held: &Held, now: &Time) -> UnderWay {
    let ends = |queues: &BTreeMap<i32, (i64, i64)>| {
        let open = queues.iter().filter(|(_, (done, end))| done < end);
        open.map(|(id, (_, end))| (id.to_string(), *end)).collect()
    };
    UnderWay {
        broker: broker.to_owned(),
        at: now.clone(),
        retried: held.retried,
        delayed: ends(&held.delayed),
        popped: ends(&held.popped),
    }
}

/// What of that has not arrived. The revive log is never worked off to its end (its offset is that of the last check point,
/// not of the acknowledgements behind it), so a queue of it is done too when nothing came into it for a while.
fn left(one: &UnderWay, held: &Held, now: &Time) -> Option<&'static str> {
    let find = |queues: &BTreeMap<i32, (i64, i64)>, id: &str| {
        let id: i32 = id.parse().ok()?;
        queues.get(&id).copied()
    };
    let delayed = one.delayed.iter();
    let mut delayed = delayed.map(|(level, end)| (find(&held.delayed, level), end));
    if delayed.any(|(now, end)| now.is_none_or(|(done, _)| done < *end)) {
        return Some("delayed messages are to be delivered");
    }
    let waited = now.0.as_second().saturating_sub(one.at.0.as_second()) >= QUIET_SECONDS;
    let popped = one.popped.iter();
    let mut popped = popped.map(|(queue, end)| (find(&held.popped, queue), end));
    let open = popped.any(|(now, end)| now.is_none_or(|(done, max)| done < *end && !(waited && max == *end)));
    open.then_some("popped messages are to be acknowledged")
}
