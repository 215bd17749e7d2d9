//! How soon an object is looked at again when nothing happens before.

use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;

/// One that serves: RocketMQ tells nobody when a broker leaves a list, so it is asked.
const SERVING: Duration = Duration::from_secs(10);
/// One that is starting or recovering.
const STARTING: Duration = Duration::from_secs(1);
/// One that waits for its user; watches tell when what it waits for changes.
const REJECTED: Duration = Duration::from_mins(1);

/// When to look again at an object that was reconciled.
pub fn next<K: Resource>(object: &K, serving: bool) -> Action {
    Action::requeue(spread(object, if serving { SERVING } else { STARTING }))
}

/// When to look again at an object whose spec was refused.
pub fn rejected<K: Resource>(object: &K) -> Action {
    Action::requeue(spread(object, REJECTED))
}

/// Up to a fifth more, by the object's UID, so that thousands of objects do not all wake at once.
fn spread<K: Resource>(object: &K, base: Duration) -> Duration {
    let uid = object.meta().uid.as_deref().unwrap_or_default();
    let seed = uid.bytes().fold(7u32, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    base + base * (seed % 200) / 1000
}
