//! The keys of `broker.conf` that every supported version takes while it runs: `docs/live_configuration.md` is this table.
//!
//! `UPDATE_BROKER_CONFIG` sets any key in the broker's memory and always says yes. What counts is whether the code that uses a
//! key reads it each time, or keeps what it found when it started. Only keys of which that was read in the source of
//! `RocketMQ` 4.5.0, 4.9.4, 4.9.8, 5.0.0 and 5.3.3 are here; a change of any other restarts brokers.

/// A key that a running broker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveKey {
    /// The key of `broker.conf`.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What the broker takes where nobody says: the same in all versions.
    pub default: &'static str,
    /// The version that has it first; none: all that are supported.
    pub since: Option<&'static str>,
    /// Where `RocketMQ` reads it each time.
    pub source: &'static str,
}

/// What a value has to be so that a broker takes it: what it cannot read it silently ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number,
    /// Hours of the day, as `04` or `02;14`.
    Hours,
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    since: Option<&'static str>,
    source: &'static str,
) -> LiveKey {
    LiveKey {
        name,
        kind,
        default,
        since,
        source,
    }
}

/// All of them, by name.
pub const TABLE: [LiveKey; 14] = [
    key(
        "autoCreateSubscriptionGroup",
        Kind::Boolean,
        "true",
        None,
        "SubscriptionGroupManager.findSubscriptionGroupConfig",
    ),
    key(
        "brokerFastFailureEnable",
        Kind::Boolean,
        "true",
        None,
        "BrokerFastFailure.start",
    ),
    key(
        "brokerPermission",
        Kind::Number,
        "6",
        None,
        "AdminBrokerProcessor.updateBrokerConfig",
    ),
    key(
        "deleteWhen",
        Kind::Hours,
        "04",
        None,
        "DefaultMessageStore.CleanCommitLogService.isTimeToDelete",
    ),
    key(
        "diskMaxUsedSpaceRatio",
        Kind::Number,
        "75",
        None,
        "DefaultMessageStore.CleanCommitLogService.isSpaceToDelete",
    ),
    key(
        "enableAutoInSyncReplicas",
        Kind::Boolean,
        "false",
        Some("5.0.0"),
        "CommitLog.asyncPutMessage",
    ),
    key(
        "fileReservedTime",
        Kind::Number,
        "72",
        None,
        "DefaultMessageStore.CleanCommitLogService.deleteExpiredFiles",
    ),
    key(
        "inSyncReplicas",
        Kind::Number,
        "1",
        Some("5.0.0"),
        "CommitLog.asyncPutMessage",
    ),
    key(
        "minInSyncReplicas",
        Kind::Number,
        "1",
        Some("5.0.0"),
        "CommitLog.asyncPutMessage",
    ),
    key(
        "slaveReadEnable",
        Kind::Boolean,
        "false",
        None,
        "PullMessageProcessor.processRequest",
    ),
    key(
        "transactionCheckMax",
        Kind::Number,
        "15",
        None,
        "TransactionalMessageCheckService.onWaitEnd",
    ),
    key(
        "transactionTimeOut",
        Kind::Number,
        "6000",
        None,
        "TransactionalMessageCheckService.onWaitEnd",
    ),
    key(
        "waitTimeMillsInPullQueue",
        Kind::Number,
        "5000",
        None,
        "BrokerFastFailure.cleanExpiredRequest",
    ),
    key(
        "waitTimeMillsInSendQueue",
        Kind::Number,
        "200",
        None,
        "BrokerFastFailure.cleanExpiredRequest",
    ),
];

/// The key of that name, if a running broker takes it.
#[must_use]
pub fn find(name: &str) -> Option<&'static LiveKey> {
    TABLE.iter().find(|key| key.name == name)
}

/// Whether a running broker takes that value of that key.
#[must_use]
pub fn takes(name: &str, value: &str) -> bool {
    find(name).is_some_and(|key| key.kind.reads(value.trim()))
}

/// Whether a broker that says `told` runs with `wanted`: numbers may be written in more ways than one.
#[must_use]
pub fn same(name: &str, told: &str, wanted: &str) -> bool {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    let is_number = find(name).is_some_and(|key| key.kind == Kind::Number);
    told == wanted || is_number && number(told).is_some() && number(told) == number(wanted)
}

impl Kind {
    fn reads(self, value: &str) -> bool {
        match self {
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Number => value.parse::<i32>().is_ok(),
            Self::Hours => value
                .split(';')
                .all(|hour| hour.len() <= 2 && hour.parse::<u8>().is_ok_and(|hour| hour < 24)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_this_table() {
        let docs = include_str!("../../docs/live_configuration.md");
        let rows: Vec<_> = docs.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> = TABLE
            .iter()
            .map(|key| {
                format!(
                    "| `{}` | {} | {} | `{}` |",
                    key.name,
                    key.since
                        .map_or("all".to_owned(), |since| format!("{since} and later")),
                    key.default,
                    key.source
                )
            })
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_value_that_a_broker_would_silently_ignore_is_not_live() {
        assert!(takes("fileReservedTime", " 72 ") && takes("slaveReadEnable", "true"));
        assert!(takes("deleteWhen", "04") && takes("deleteWhen", "02;14"));
        for (key, value) in [
            ("fileReservedTime", "three days"),
            ("slaveReadEnable", "yes"),
            ("deleteWhen", "24"),
            ("deleteWhen", ""),
            ("listenPort", "10911"),
        ] {
            assert!(!takes(key, value), "{key}={value}");
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        assert!(same("fileReservedTime", "72", "072") && !same("fileReservedTime", "72", "48"));
        assert!(!same("deleteWhen", "4", "04") && same("deleteWhen", "04", "04"));
    }
}
