//! All of kube-runtime's machinery.

/// Every metric of the process.
#[derive(Debug, Default)]
pub struct Metrics;
