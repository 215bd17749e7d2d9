//! Status conditions: those that the kinds have, and how one is set without touching what did not change.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Everything the spec asks for is serving, proven by asking RocketMQ.
pub const READY: &str = "Ready";
/// What is being done or waited for now.
pub const PROGRESSING: &str = "Progressing";
/// What is wrong, and what the user can do.
pub const DEGRADED: &str = "Degraded";
/// The reason of [`DEGRADED`] where a volume cannot become as large as it is to be.
pub const NOT_GROWN: &str = "VolumeNotGrown";
/// Whether the configuration is taken as it was written.
pub const CONFIG_ACCEPTED: &str = "ConfigAccepted";

/// Whether something that is done once is done.
pub const COMPLETE: &str = "Complete";

/// The longest message the API server accepts in a condition.
const MESSAGE_LIMIT: usize = 32_000;

/// What a condition says now: its status, a `CamelCase` reason, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// `True` or `False`.
    pub holds: bool,
    /// One word for machines; stable as long as the cause is the same.
    pub reason: &'static str,
    /// For people, with numbers; the same words as long as nothing changed.
    pub message: String,
}

impl Says {
    /// The condition holds.
    pub fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: true,
            reason,
            message: message.into(),
        }
    }

    /// The condition does not hold.
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            holds: false,
            reason,
            message: message.into(),
        }
    }

    /// `True` or `False`, as the API writes it.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }
}

/// The conditions that follow `before` when each of `says` is so; transition times change only with the status.
#[must_use]
pub fn next(
    before: &[Condition],
    generation: Option<i64>,
    now: &Time,
    says: Vec<(&'static str, Says)>,
) -> Vec<Condition> {
    says.into_iter()
        .map(|(kind, says)| {
            let status = says.status();
            let since = before
                .iter()
                .find(|condition| condition.type_ == kind && condition.status == status)
                .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
            let mut message = says.message;
            if message.len() > MESSAGE_LIMIT {
                let cut = (0..=MESSAGE_LIMIT)
                    .rev()
                    .find(|at| message.is_char_boundary(*at))
                    .unwrap_or(0);
                message.truncate(cut);
            }
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: says.reason.to_owned(),
                message,
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// The condition of that type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = next(
            &[],
            Some(1),
            &at(1),
            vec![(READY, Says::no("Starting", "0 of 2"))],
        );
        let same = next(
            &first,
            Some(1),
            &at(2),
            vec![(READY, Says::no("Starting", "1 of 2"))],
        );
        assert_eq!(same[0].last_transition_time, at(1));
        let flipped = next(
            &same,
            Some(1),
            &at(3),
            vec![(READY, Says::yes("Serving", "2 of 2"))],
        );
        assert_eq!(flipped[0].last_transition_time, at(3));
    }

    #[test]
    fn a_message_is_cut_at_a_character_to_what_the_api_accepts() {
        let long = "ü".repeat(MESSAGE_LIMIT);
        let cut = next(&[], None, &at(1), vec![(DEGRADED, Says::yes("Long", long))]);
        assert_eq!(cut[0].message.len(), MESSAGE_LIMIT);
    }
}
