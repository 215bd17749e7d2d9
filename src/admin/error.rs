//! What can go wrong when RocketMQ is asked.

use std::time::Duration;

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
    /// No answer came in time. Name servers before 5.0 and brokers before 4.9.1 never answer a request they do not know,
    /// so for a request that came with a later version this may mean "not supported"; ask [`super::Version`] first.
    #[error("{address} did not answer {request} within {after:?}")]
    Timeout {
        /// Whom we asked.
        address: String,
        /// What we asked.
        request: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// The connection ended before the answer came. The request may have taken effect.
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
    /// Another broker than the one that was meant answers there: a pod's address went on to another pod.
    #[error("{address} is {found}, not {expected}")]
    AnotherBroker {
        /// Whom we asked.
        address: String,
        /// Who was meant, such as `orders-0 id 1`.
        expected: String,
        /// Who answered.
        found: String,
    },
}
