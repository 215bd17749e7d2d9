//! What a broker keeps beside its queues, of which it tells no numbers.

use std::fmt;

use crate::admin::BrokerConfig;

/// Messages that are in no queue and no number that a broker tells, as long as a switch of its configuration is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// The switch.
    pub key: &'static str,
    /// What is kept there.
    pub what: &'static str,
}

/// All of them, each from the version on that knows the switch (`RocketMQ` 5.3.2 to 5.5.0 `BrokerConfig`,
/// `MessageStoreConfig`).
pub const UNCOUNTED: [Uncounted; 3] = [
    Uncounted {
        key: "transRocksDBEnable",
        what: "messages of open transactions",
    },
    Uncounted {
        key: "popConsumerKVServiceEnable",
        what: "messages that were popped and not acknowledged",
    },
    Uncounted {
        key: "timerRocksDBEnable",
        what: "messages that wait for their time",
    },
];

/// What a broker with that configuration keeps uncounted.
#[must_use]
pub fn of(config: &BrokerConfig) -> Vec<Uncounted> {
    let is_on = |one: &Uncounted| config.get(one.key).is_some_and(|value| value.trim() == "true");
    UNCOUNTED.into_iter().filter(is_on).collect()
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, what } = self;
        write!(f, "it cannot be told whether {what} are left ({key}=true)")
    }
}
