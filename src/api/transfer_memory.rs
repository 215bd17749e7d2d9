//! What a TopicTransfer remembers from one look to the next and through restarts of the operator.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lenient::null_is_default;
use super::schema::{brief, plain_enum};

/// How far a transfer is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(transform = plain_enum)]
pub enum TransferPhase {
    /// Nothing is done yet.
    #[default]
    Pending,
    /// The target gets groups and topic.
    Copying,
    /// The source becomes read-only, until every name server says so and nothing arrives any more.
    Fencing,
    /// The source's messages are consumed.
    Draining,
    /// The source forgets the topic.
    Removing,
    /// The topic is at the target only.
    Succeeded,
    /// The source gets its settings back.
    Undoing,
    /// The source is as it was.
    Undone,
    /// It was refused, or could not be undone in time.
    Failed,
}

impl TransferPhase {
    /// All of them, in the order of a transfer that goes well, then the others.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Copying,
        Self::Fencing,
        Self::Draining,
        Self::Removing,
        Self::Succeeded,
        Self::Undoing,
        Self::Undone,
        Self::Failed,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Copying => "Copying",
            Self::Fencing => "Fencing",
            Self::Draining => "Draining",
            Self::Removing => "Removing",
            Self::Succeeded => "Succeeded",
            Self::Undoing => "Undoing",
            Self::Undone => "Undone",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing will ever be done again.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Undone | Self::Failed)
    }
}

/// Why a transfer did not reach its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = plain_enum)]
pub enum TransferCause {
    /// Another transfer has the topic.
    AnotherTransfer,
    /// The target has a topic of that name with other settings.
    TargetDiffers,
    /// The target has a group of that name with other settings.
    GroupDiffers,
    /// The target's version does not know settings of the topic.
    TargetTooOld,
    /// It took longer than it may.
    TimedOut,
    /// Its user deleted it.
    Deleted,
    /// The source could not be given back all of its settings.
    NotUndone,
}

impl TransferCause {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnotherTransfer => "AnotherTransfer",
            Self::TargetDiffers => "TargetDiffers",
            Self::GroupDiffers => "GroupDiffers",
            Self::TargetTooOld => "TargetTooOld",
            Self::TimedOut => "TimedOut",
            Self::Deleted => "Deleted",
            Self::NotUndone => "NotUndone",
        }
    }
}

/// What a group has still to consume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupLag {
    /// The consumer group.
    pub name: String,
    /// Messages that it has still to consume at the source, those to be retried included.
    #[serde(default, deserialize_with = "null_is_default")]
    pub lag: i64,
}

/// The topic at a broker of the source as it was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirstSettings {
    /// `brokerName`.
    pub broker: String,
    /// `readQueueNums`.
    pub read_queues: i32,
    /// `writeQueueNums`.
    pub write_queues: i32,
    /// `perm`.
    pub perm: i32,
}

/// What was on its way to consumers at a broker when everything in its queues was consumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnderWay {
    /// `brokerName`.
    pub broker: String,
    /// When that was.
    #[schemars(transform = brief)]
    pub at: Time,
    /// How many messages were ever to be retried by the groups. One more, and all of it is looked at anew.
    #[serde(default, deserialize_with = "null_is_default")]
    pub retried: i64,
    /// The end of each delay level that was used.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub delayed: BTreeMap<String, i64>,
    /// The end of each queue of the revive log.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub popped: BTreeMap<String, i64>,
}
