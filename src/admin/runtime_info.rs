//! What a broker says of itself: its present state, and its configuration.

use std::collections::BTreeMap;

use super::Version;

/// What a broker says of its present state: `RocketMQ` 4.5.0 to 5.5.0 `AdminBrokerProcessor.prepareRuntimeInfo`, all
/// values as text. What is not there, or is `null` or blank as averages are at first, reads as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInfo(pub BTreeMap<String, String>);

/// Messages of a delay level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delayed {
    /// How many were delivered.
    pub delivered: i64,
    /// How many there are.
    pub max: i64,
}

impl Delayed {
    /// How many are still to be delivered.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.max.saturating_sub(self.delivered).max(0)
    }
}

/// What the timer of RocketMQ 5.x (messages with a delivery time of their own) has still to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerBacklog {
    /// `timerReadBehind`: seconds by which delivery is late.
    pub read_behind_seconds: i64,
    /// `timerOffsetBehind`: messages that wait to get into the timer.
    pub offset_behind: i64,
    /// `timerCongestNum`: messages in the timer, whose time is to come.
    pub congested: i64,
}

impl RuntimeInfo {
    /// The version as text, such as `V5_5_0`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.get("brokerVersionDesc").map(String::as_str)
    }

    /// The version, of which [`Version`] tells what it can do.
    #[must_use]
    pub fn release(&self) -> Option<Version> {
        self.version()?.parse().ok()
    }

    /// When the broker's process started, milliseconds since 1970.
    #[must_use]
    pub fn boot_timestamp(&self) -> Option<i64> {
        self.number("bootTimestamp")
    }

    /// Messages that came in each second, on average of the last ten seconds. None in the first seconds.
    #[must_use]
    pub fn put_tps(&self) -> Option<f64> {
        let all = self.0.get("putTps")?;
        all.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The end of the commit log, in bytes: it grows with every message.
    #[must_use]
    pub fn commit_log_max_offset(&self) -> Option<i64> {
        self.number("commitLogMaxOffset")
    }

    /// The beginning of the commit log, in bytes.
    #[must_use]
    pub fn commit_log_min_offset(&self) -> Option<i64> {
        self.number("commitLogMinOffset")
    }

    /// Bytes of the commit log whose messages do not stand in their queues yet.
    #[must_use]
    pub fn dispatch_behind_bytes(&self) -> Option<i64> {
        self.number("dispatchBehindBytes")
    }

    /// `scheduleMessageOffset_LEVEL`: the levels that were ever used, if [`Version::tells_levels_that_wait`]; otherwise those
    /// of which a message was delivered.
    #[must_use]
    pub fn delayed(&self) -> BTreeMap<i32, Delayed> {
        let all = self.0.iter();
        all.filter_map(|(key, value)| {
            let level = key.strip_prefix("scheduleMessageOffset_")?.parse().ok()?;
            let (delivered, max) = value.split_once(',')?;
            let (delivered, max) = (delivered.trim().parse().ok()?, max.trim().parse().ok()?);
            Some((level, Delayed { delivered, max }))
        })
        .collect()
    }

    /// What the timer has still to do; none before 5.0.0.
    #[must_use]
    pub fn timer(&self) -> Option<TimerBacklog> {
        Some(TimerBacklog {
            read_behind_seconds: self.number("timerReadBehind")?,
            offset_behind: self.number("timerOffsetBehind")?,
            congested: self.number("timerCongestNum")?,
        })
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.0.get(key)?.trim().parse().ok()
    }
}

/// The configuration that a broker runs with: file, defaults and live changes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerConfig(pub BTreeMap<String, String>);

impl BrokerConfig {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// `brokerName`: the group.
    #[must_use]
    pub fn broker_name(&self) -> Option<&str> {
        self.get("brokerName")
    }

    /// `brokerId`: 0 is the master.
    #[must_use]
    pub fn broker_id(&self) -> Option<i64> {
        self.get("brokerId")?.trim().parse().ok()
    }

    /// `brokerPermission`, in bits of [`super::perm`]: what the broker takes away from its topics in routes.
    #[must_use]
    pub fn broker_permission(&self) -> Option<i32> {
        self.get("brokerPermission")?.trim().parse().ok()
    }
}
