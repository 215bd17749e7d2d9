//! All of kube-runtime's machinery, and the process around it.

pub mod go_operator;
mod guard;
pub mod http;
pub mod lease;
pub mod logging;
pub mod metrics;
mod mirrors;
pub mod prune;
mod reconciler;
pub mod run;
mod streams;
mod triggers;

pub use metrics::{Kind, Metrics};
