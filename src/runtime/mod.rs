//! All of kube-runtime's machinery, and the process around it.

pub mod http;
pub mod logging;
pub mod metrics;

pub use metrics::{Kind, Metrics};
