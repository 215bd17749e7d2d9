//! What we ask of RocketMQ, in domain words.

use futures::future::BoxFuture;

/// Why RocketMQ could not be asked, or what it answered instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {reason}")]
pub struct Error {
    /// Whom we asked, `host:port`.
    pub address: String,
    /// What went wrong, for people.
    pub reason: String,
}

/// What the operator asks of RocketMQ. Addresses are `host:port`.
pub trait Admin: Send + Sync {
    /// A placeholder that keeps the trait's shape.
    fn ping<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<(), Error>>;
}
