//! What keeps a server from answering.

use crate::admin::Error;
use crate::admin::client::Deadlines;
use crate::admin::message::Code;
use crate::admin::message::codes::NOT_SUPPORTED;

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whom, as `host:port`.
    pub address: String,
    /// What, such as `GET_BROKER_CONFIG`.
    pub request: &'static str,
}

impl Asked {
    /// Whether the request changes something.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let verbs = ["DELETE_", "PUT_", "UNREGISTER_", "UPDATE_"];
        verbs.iter().any(|verb| self.request.starts_with(verb))
    }
}

/// When a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the request took effect.
    Before,
    /// After it took effect and before the answer.
    After,
}

/// A request to come that fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    left: usize,
    only_changes: bool,
    moment: Moment,
}

impl Failing {
    pub(super) fn at_any(nth: usize, moment: Moment) -> Self {
        Self {
            left: nth,
            only_changes: false,
            moment,
        }
    }

    pub(super) fn at_change(nth: usize, moment: Moment) -> Self {
        Self {
            only_changes: true,
            ..Self::at_any(nth, moment)
        }
    }

    /// Counts a request, and tells whether it fails.
    pub(super) fn counts(&mut self, change: bool) -> Option<Moment> {
        if self.left == 0 || (self.only_changes && !change) {
            return None;
        }
        self.left -= 1;
        (self.left == 0).then_some(self.moment)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Trouble {
    Unreachable,
    Deaf,
    Refuses { code: i32, remark: String },
}

impl Trouble {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Unreachable => Fault::Unreachable("no route to host"),
            Self::Deaf => Fault::Silent,
            Self::Refuses { code, remark } => Fault::Refused(*code, remark.clone()),
        }
    }
}

/// Why there is no answer to a request.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Unreachable(&'static str),
    Silent,
    Closed,
    /// As a server of 5.x says to a request that it does not know.
    NotSupported,
    Refused(i32, String),
}

impl Fault {
    pub(super) fn refused(code: i32, remark: &str) -> Self {
        Self::Refused(code, remark.to_owned())
    }

    pub(super) fn error(self, address: &str, code: Code) -> Error {
        let (address, request) = (address.to_owned(), code.name);
        let refused = |address, code, remark| Error::Refused {
            address,
            request,
            code,
            remark,
        };
        match self {
            Self::Unreachable(reason) => Error::Connect {
                address,
                reason: reason.to_owned(),
            },
            Self::Silent => Error::Timeout {
                address,
                request,
                after: Deadlines::default().of(code.pace),
            },
            Self::Closed => Error::Closed { address, request },
            Self::NotSupported => {
                let remark = format!(" request type {} not supported", code.number);
                refused(address, NOT_SUPPORTED, remark)
            }
            Self::Refused(code, remark) => refused(address, code, remark),
        }
    }
}
