//! Kubernetes, as the reconcilers use it.

/// What was last applied, so that nothing is written twice.
#[derive(Debug, Default)]
pub struct Applied;
