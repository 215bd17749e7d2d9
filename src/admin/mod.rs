//! What we ask of RocketMQ, in domain words, and the remoting client that asks it.

pub mod client;
mod connection;
pub mod fake;
pub mod frame;
pub mod json;
mod message;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod fixture_tests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;

pub use client::TcpAdmin;

/// Why RocketMQ could not be asked, or what it answered instead. Every variant names whom we asked, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("{address} cannot be reached: {reason}")]
    Connect {
        /// Whom we asked.
        address: String,
        /// What the operating system said.
        reason: String,
    },
    /// No answer came in time. Name servers before 5.0 and brokers before 4.9.1 never answer a request they do not know.
    #[error("{address} did not answer {request} within {after:?}")]
    Timeout {
        /// Whom we asked.
        address: String,
        /// What we asked.
        request: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The connection ended before the answer came.
    #[error("{address} closed the connection before it answered {request}")]
    Closed {
        /// Whom we asked.
        address: String,
        /// What we asked.
        request: &'static str,
    },
    /// The answer is not one that RocketMQ gives.
    #[error("{address} answered {request} with what cannot be read: {reason}")]
    Malformed {
        /// Whom we asked.
        address: String,
        /// What we asked.
        request: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// RocketMQ refused the request.
    #[error("{address} refused {request}: code {code}, {remark}")]
    Refused {
        /// Whom we asked.
        address: String,
        /// What we asked.
        request: &'static str,
        /// RocketMQ's `ResponseCode`.
        code: i32,
        /// RocketMQ's words.
        remark: String,
    },
}

/// What the operator asks of RocketMQ. Addresses are `host:port`; name servers are asked on their only port, brokers on
/// `listenPort`.
pub trait Admin: Send + Sync {
    /// The brokers that a name server lists (`GET_BROKER_CLUSTER_INFO`, 106).
    fn cluster_info<'a>(&'a self, name_server: &'a str) -> BoxFuture<'a, Result<ClusterInfo, Error>>;

    /// What a broker says of its present state (`GET_BROKER_RUNTIME_INFO`, 28).
    fn runtime_info<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<RuntimeInfo, Error>>;

    /// The configuration that a broker runs with (`GET_BROKER_CONFIG`, 26).
    fn broker_config<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<BrokerConfig, Error>>;
}

/// The brokers that one name server lists. Name servers do not talk to each other: each must be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// By `brokerName`.
    pub brokers: BTreeMap<String, BrokerData>,
}

/// One group of brokers as a name server lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerData {
    /// `brokerClusterName`.
    pub cluster: String,
    /// The registered addresses by `brokerId`; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
}

/// What a broker says of its present state: `RocketMQ` 4.5.0 to 5.5.0 `AdminBrokerProcessor.prepareRuntimeInfo`, all
/// values as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInfo(pub BTreeMap<String, String>);

impl RuntimeInfo {
    /// The version as text, such as `V5_5_0`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.get("brokerVersionDesc").map(String::as_str)
    }

    /// When the broker's process started, milliseconds since 1970.
    #[must_use]
    pub fn boot_timestamp(&self) -> Option<i64> {
        self.0.get("bootTimestamp")?.trim().parse().ok()
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
}
