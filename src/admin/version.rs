//! Which version a broker is of, and what it can do.

use std::fmt;
use std::str::FromStr;

/// A version of RocketMQ, as `brokerVersionDesc` tells it. Those before a release (`V5_0_0_SNAPSHOT`, `V5_0_0_PREVIEW`) are
/// less than it. Source of the gates: RocketMQ 4.5.0 to 5.5.0, the tags between which the code changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
    released: bool,
}

impl Version {
    /// A release.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
            released: true,
        }
    }

    /// 5 of 5.3.1.
    #[must_use]
    pub const fn major(self) -> u16 {
        self.major
    }

    fn since(self, major: u16, minor: u16, patch: u16) -> bool {
        self >= Self::new(major, minor, patch)
    }

    /// Whether a change of `namesrvAddr` takes effect while the broker runs, within 120 s. Others need a restart, though
    /// their configuration shows the new value.
    #[must_use]
    pub fn takes_name_servers_live(self) -> bool {
        let early = Self::new(5, 0, 0);
        let is_early =
            !self.released && (self.major, self.minor, self.patch) == (early.major, early.minor, early.patch);
        self.since(4, 9, 4) && !is_early
    }

    /// Whether the broker has a topic when it says so. Those before 4.7.1 answer first: read the topic back.
    #[must_use]
    pub fn answers_after_topic_is_put(self) -> bool {
        self.since(4, 7, 1)
    }

    /// Whether the broker takes `order` of a topic that is put. Others follow the name servers' namespace
    /// `ORDER_TOPIC_CONFIG` only.
    #[must_use]
    pub fn honours_order(self) -> bool {
        self.since(5, 1, 0)
    }

    /// Whether topics have attributes.
    #[must_use]
    pub fn has_attributes(self) -> bool {
        self.since(5, 0, 0)
    }

    /// Whether subscription groups may have attributes. 5.0.0 to 5.3.3 refuse any (`SubscriptionGroupAttributes` has none),
    /// older ones drop them.
    #[must_use]
    pub fn has_group_attributes(self) -> bool {
        self.since(5, 4, 0)
    }

    /// Whether a consumer whose offset is beyond the end of a queue that still has its first message begins with that one. Later
    /// versions send it to the end (`DefaultMessageStore.getMessage`).
    #[must_use]
    pub fn sends_back_from_beyond_the_end(self) -> bool {
        !self.since(4, 9, 4)
    }

    /// Whether subscription groups keep their `subscriptionDataSet` (`SubscriptionGroupConfig`).
    #[must_use]
    pub fn keeps_subscriptions_of_groups(self) -> bool {
        self.since(5, 0, 0)
    }

    /// Whether the broker knows `GET_BROKER_HA_STATUS`.
    #[must_use]
    pub fn has_ha_status(self) -> bool {
        self.since(5, 0, 0)
    }

    /// Whether a broker has the topic in which messages of delay levels wait (`SCHEDULE_TOPIC_XXXX`). Others have its queues
    /// alone.
    #[must_use]
    pub fn has_schedule_topic(self) -> bool {
        self.since(4, 7, 1)
    }

    /// Whether a delay level is told with the broker's state as soon as a message waits in it. 4.9.3 to 4.9.8 tell of a level
    /// only when the first of its messages was delivered (`ScheduleMessageService`, `DeliverDelayedMessageTimerTask`).
    #[must_use]
    pub fn tells_levels_that_wait(self) -> bool {
        !self.since(4, 9, 3) || self.since(5, 0, 0)
    }

    /// Whether a broker answers a request that it does not know. Others stay silent.
    #[must_use]
    pub fn answers_unknown_codes(self) -> bool {
        self.since(4, 9, 1)
    }

    /// Whether a name server of this version answers a request that it does not know. Others stay silent.
    #[must_use]
    pub fn name_server_answers_unknown_codes(self) -> bool {
        self.since(5, 0, 0)
    }

    /// Whether a group that is deleted loses its offsets if asked to. With others they stay.
    #[must_use]
    pub fn deletes_offsets_with_group(self) -> bool {
        self.since(4, 9, 0)
    }

    /// Whether a topic that is deleted loses its consumers' offsets. With others they stay.
    #[must_use]
    pub fn deletes_offsets_with_topic(self) -> bool {
        self.since(5, 0, 0)
    }

    /// Whether a slave refuses topics. Others take them and lose them to their master's with the next synchronization.
    #[must_use]
    pub fn slave_refuses_topics(self) -> bool {
        self.since(4, 9, 4) && !self.since(5, 1, 4)
    }

    /// Whether ACL 1.0 (`aclEnable`, `plain_acl.yml`) is there.
    #[must_use]
    pub fn has_acl_1(self) -> bool {
        self.since(4, 4, 0) && !self.since(5, 3, 3)
    }

    /// Whether ACL 2.0 (`authenticationEnabled`, `authorizationEnabled`) is there.
    #[must_use]
    pub fn has_acl_2(self) -> bool {
        self.since(5, 3, 0)
    }
}

impl FromStr for Version {
    type Err = String;

    /// `V5_3_1`, `V5_0_0_SNAPSHOT`, `5.3.1`, `5.0.0-ALPHA`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no version");
        let plain = text.trim();
        let mut parts = plain
            .strip_prefix('V')
            .unwrap_or(plain)
            .splitn(4, ['.', '_', '-']);
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(bad);
        let (major, minor, patch) = (number()?, number()?, number()?);
        Ok(Self {
            major,
            minor,
            patch,
            released: parts.next().is_none(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.released { "" } else { "-SNAPSHOT" };
        write!(f, "{}.{}.{}{suffix}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_stand_in_their_order_and_early_ones_before_their_release() {
        let order = [
            "V4_5_0",
            "V4_9_7",
            "V4_9_10",
            "V5_0_0_SNAPSHOT",
            "V5_0_0",
            "5.3.3-SNAPSHOT",
            "5.3.3",
            "V5_5_0",
        ];
        for pair in order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("V5_3_1"), Version::new(5, 3, 1));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "V", "V5", "V5_0", "HIGHER_VERSION", "V5_x_0", "null"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn name_servers_change_live_from_4_9_4_but_not_in_what_came_before_5_0_0() {
        for (text, live) in [
            ("V4_5_0", false),
            ("V4_9_3", false),
            ("V4_9_4", true),
            ("V4_9_8", true),
            ("5.0.0-ALPHA", false),
            ("V5_0_0_PREVIEW", false),
            ("V5_0_0", true),
            ("V5_0_1_SNAPSHOT", true),
            ("V5_5_0", true),
        ] {
            assert_eq!(version(text).takes_name_servers_live(), live, "{text}");
        }
    }

    #[test]
    fn levels_of_which_nothing_was_delivered_are_not_told_from_4_9_3_to_4_9_8() {
        for (text, told) in [
            ("4.5.0", true),
            ("4.9.2", true),
            ("4.9.3", false),
            ("4.9.8", false),
            ("5.0.0", true),
        ] {
            assert_eq!(version(text).tells_levels_that_wait(), told, "{text}");
        }
    }

    #[test]
    fn every_gate_opens_with_its_version() {
        type Gate = fn(Version) -> bool;
        let gates: [(Gate, &str, &str); 10] = [
            (Version::has_schedule_topic, "4.7.0", "4.7.1"),
            (Version::answers_after_topic_is_put, "4.7.0", "4.7.1"),
            (Version::deletes_offsets_with_group, "4.8.0", "4.9.0"),
            (Version::answers_unknown_codes, "4.9.0", "4.9.1"),
            (Version::has_attributes, "4.9.8", "5.0.0"),
            (Version::has_ha_status, "4.9.8", "5.0.0"),
            (Version::deletes_offsets_with_topic, "4.9.8", "5.0.0"),
            (Version::honours_order, "5.0.0", "5.1.0"),
            (Version::has_group_attributes, "5.3.3", "5.4.0"),
            (Version::has_acl_2, "5.2.0", "5.3.0"),
        ];
        for (gate, before, from) in gates {
            assert!(!gate(version(before)) && gate(version(from)), "{from}");
        }
    }
}
