//! How one broker leaves for good: its StatefulSet is deleted, its pod stops and unregisters, then what was made for it goes.
//! Its volume is kept or not as the spec says.

use k8s_openapi::api::core::v1::Pod;

use super::observe::{Observed, Seen};
use super::valid::{Member, Valid};
use crate::k8s::pod;

/// The next step of a broker that leaves. Each follows from what is there, so a crash between any two loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    /// Its StatefulSet is deleted.
    Stop,
    /// Its pod is on its way out, or a name server still lists it.
    Wait,
    /// Its Service and its configuration are deleted.
    Remove,
    /// Nothing is left of it.
    Gone,
}

/// The next step of a broker that may stop now.
#[must_use]
pub fn step(valid: &Valid, observed: &Observed, seen: &Seen) -> Retire {
    if seen.set.is_some() {
        Retire::Stop
    } else if seen.pod.is_some() || observed.may_be_listed(valid, seen.member) {
        Retire::Wait
    } else if seen.has_belongings {
        Retire::Remove
    } else {
        Retire::Gone
    }
}

/// The replicas that are too many, with the next step of each. A replica stops only when its master is known not to count on
/// it any more; its messages are all on the master.
#[must_use]
pub fn replicas(
    valid: &Valid,
    observed: &Observed,
    counted_on: impl Fn(i32) -> bool,
) -> Vec<(Member, Retire)> {
    let surplus = observed
        .members
        .iter()
        .filter(|seen| seen.member.replica > valid.asked.replicas);
    surplus
        .map(|seen| {
            let step = match step(valid, observed, seen) {
                Retire::Stop if counted_on(seen.member.group) => Retire::Wait,
                step => step,
            };
            (seen.member, step)
        })
        .collect()
}

/// Whether its pod is on its way: made anew, and not ready yet. One that something keeps from coming is not waited for: what
/// leaves may be what it needs the room of.
#[must_use]
pub fn comes(seen: &Seen) -> bool {
    let fields = pod::Fields {
        image: "",
        storage_class: None,
    };
    let on_its_way =
        |pod: &Pod| pod::deleting(pod) || !pod::was_ready(pod) && pod::trouble(pod, fields).is_none();
    seen.set.is_some() && seen.pod.as_deref().is_none_or(on_its_way)
}

/// One that serves does not leave while another is restarted: never are two away.
pub fn wait_for_others(observed: &Observed, leaving: &mut [(Member, Retire)]) {
    for (member, step) in leaving {
        let mut serving = observed.members.iter().filter(|seen| seen.pod_ready());
        if *step == Retire::Stop && serving.any(|seen| seen.member == *member) {
            *step = Retire::Wait;
        }
    }
}
