//! What can go wrong in a reconcile, and the closed set of classes that metrics, events and backoff use.

use std::time::Duration;

use crate::admin;

/// Why a reconcile did not finish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused or failed a request.
    #[error("cannot {action}: {}", said(source))]
    Kube {
        /// What was being done, in words: "apply StatefulSet default/broker-0-master".
        action: String,
        /// What the API server, or the way to it, said.
        source: Box<kube::Error>,
    },
    /// RocketMQ could not be asked, or answered with an error.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// An object the API server handed out lacks a field that every stored object has.
    #[error("{object} has no {field}")]
    Incomplete {
        /// The kind and name of the object.
        object: String,
        /// The field that is missing.
        field: &'static str,
    },
    /// A reconcile took longer than it may.
    #[error("did not finish within {0:?}")]
    Deadline(Duration),
    /// A reconcile panicked: a bug, contained to the object it happened on.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// What the API server said, without what surrounds it; any other failure in its own words.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if is_unknown_to_schema(&status.message) => format!(
            "{} ({}); the definitions in the cluster are older than this operator: apply its crds/",
            status.message, status.code
        ),
        kube::Error::Api(status) => format!("{} ({} {})", status.message, status.code, status.reason),
        other => other.to_string(),
    }
}

/// Whether the API server does not know a field that this operator writes; it says so as an error of its own (500).
fn is_unknown_to_schema(message: &str) -> bool {
    message.contains("field not declared in schema")
}

/// The closed set of error classes: a metric label, an event reason, and what the backoff goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody else wrote first; read again and repeat.
    Conflict,
    /// The API server or the network has a passing fault.
    Transient,
    /// The operator's service account may not do this.
    Forbidden,
    /// The API server calls our object invalid.
    Invalid,
    /// RocketMQ did not answer, or answered with an error.
    Remote,
    /// A deadline passed.
    Timeout,
    /// Our own fault.
    Bug,
}

impl Class {
    /// The class as it appears in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::Remote => "remote",
            Self::Timeout => "timeout",
            Self::Bug => "bug",
        }
    }
}

impl Error {
    /// Wraps an API error with what was being done, for use in `map_err`.
    pub fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube {
            action,
            source: Box::new(source),
        }
    }

    /// The class of this error.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
                    Class::Conflict
                }
                kube::Error::Api(status) if status.is_forbidden() => Class::Forbidden,
                kube::Error::Api(status) if status.is_invalid() || is_unknown_to_schema(&status.message) => {
                    Class::Invalid
                }
                _ => Class::Transient,
            },
            Self::Admin(_) => Class::Remote,
            Self::Deadline(_) => Class::Timeout,
            Self::Incomplete { .. } | Self::Panicked(_) => Class::Bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn definitions_that_are_older_than_the_operator_are_told_with_the_remedy() {
        let status = Status::failure(".status.opening: field not declared in schema", "").with_code(500);
        let error = Error::kube("write the status")(kube::Error::Api(Box::new(status)));
        assert_eq!(error.class(), Class::Invalid);
        assert!(error.to_string().contains("apply its crds/"), "{error}");
    }
}
