//! Subscription groups: what a broker keeps of them, and who of them is connected.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DataVersion, Version};

/// All subscription groups of a broker, its own ones included (`SubscriptionGroupWrapper`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionGroups {
    /// By name.
    pub groups: BTreeMap<String, SubscriptionGroup>,
    /// Grows with every change.
    pub version: DataVersion,
}

/// A subscription group with every setting that the broker told, those of versions to come included, so that what is
/// written elsewhere loses none. Two are equal if all settings are; what is `null`, and an empty `attributes`, counts as
/// absent, and the order of `subscriptionDataSet`, which is random, does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionGroup {
    /// `groupName`.
    pub name: String,
    /// All other settings, such as `retryMaxTimes`, by name.
    pub settings: BTreeMap<String, Value>,
}

/// The setting with what RocketMQ 5.x added to groups later, such as `priority.factor`.
pub const ATTRIBUTES: &str = "attributes";
/// The setting with what its consumers are to subscribe to (5.x).
const SUBSCRIPTIONS: &str = "subscriptionDataSet";

impl SubscriptionGroup {
    /// A group for which a broker's defaults hold.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            settings: BTreeMap::new(),
        }
    }

    /// As it is, with one more setting.
    #[must_use]
    pub fn with(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(setting.to_owned(), value.into());
        self
    }

    /// The settings of a group that a broker makes for a consumer that comes before anybody made it there, by version
    /// (`SubscriptionGroupConfig`): those of 4.x, and with what 5.x added.
    pub(super) fn defaults(with_those_of_5: bool) -> BTreeMap<String, Value> {
        let common = [
            ("brokerId", json!(0)),
            ("consumeBroadcastEnable", json!(true)),
            ("consumeEnable", json!(true)),
            ("consumeFromMinEnable", json!(true)),
            ("notifyConsumerIdsChangedEnable", json!(true)),
            ("retryMaxTimes", json!(16)),
            ("retryQueueNums", json!(1)),
            ("whichBrokerWhenConsumeSlowly", json!(1)),
        ];
        let added = [
            ("consumeMessageOrderly", json!(false)),
            ("consumeTimeoutMinute", json!(15)),
            ("groupRetryPolicy", json!({"type": "CUSTOMIZED"})),
            ("groupSysFlag", json!(0)),
        ];
        let all = common
            .into_iter()
            .chain(added.into_iter().filter(|_| with_those_of_5));
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Whether the broker made it by itself, for a consumer that came before the group was copied there: nothing but defaults,
    /// where the original has something else. A setting that the broker does not tell does not count, for it would not keep it; but
    /// for those that are told only where there are any, if its version keeps them.
    #[must_use]
    pub fn is_placeholder_of(&self, original: &Self, version: Option<Version>) -> bool {
        let defaults = Self::defaults(true);
        let mut settings = self.settings.iter();
        let keeps = |name: &str| match name {
            ATTRIBUTES => version.is_some_and(Version::has_group_attributes),
            SUBSCRIPTIONS => version.is_some_and(Version::keeps_subscriptions_of_groups),
            _ => false,
        };
        let differs = |(name, meant): (&String, &Value)| match self.settings.get(name) {
            Some(value) => value != meant,
            None => keeps(name),
        };
        original.settings.iter().any(differs)
            && settings.all(|(name, value)| defaults.get(name) == Some(value))
    }

    /// The settings that a copy has otherwise or not at all. A broker of an older version drops those it does not know.
    #[must_use]
    pub fn lost_in(&self, copy: &Self) -> BTreeSet<&str> {
        let settings = self.settings.iter();
        settings
            .filter(|(name, value)| copy.settings.get(*name) != Some(*value))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Brings what a broker told, without the name, into the form in which equal settings are equal.
    pub(super) fn told(name: String, mut settings: BTreeMap<String, Value>) -> Self {
        let is_none = |name: &str, value: &Value| {
            value.is_null()
                || (name == ATTRIBUTES && value.as_object().is_some_and(serde_json::Map::is_empty))
        };
        settings.retain(|name, value| !is_none(name, value));
        if let Some(Value::Array(set)) = settings.get_mut(SUBSCRIPTIONS) {
            set.sort_by_cached_key(Value::to_string);
        }
        Self { name, settings }
    }
}

/// The consumers of a group that are connected to a broker (`ConsumerConnection`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerConnection {
    /// By `clientId`.
    pub clients: BTreeMap<String, Client>,
    /// The topics they subscribe to.
    pub topics: BTreeSet<String>,
    /// `messageModel`: `CLUSTERING`, or `BROADCASTING`, where the clients and not the broker keep the offsets.
    pub message_model: Option<String>,
}

/// A client that is connected to a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Where it connected from, as `ip:port`.
    pub address: String,
    /// `language`, such as `JAVA`.
    pub language: String,
    /// `version`: an ordinal of its `MQVersion`.
    pub version: i32,
}
