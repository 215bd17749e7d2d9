//! Kubernetes as the reconcilers use it: how objects are written, labelled, owned and judged.

pub mod apply;
pub mod cadence;
pub mod conditions;
pub mod labels;
pub mod pod;
pub mod service;
pub mod status;

pub use apply::{Applied, Ensured, Target, ensure};

/// The field manager of every server-side apply. Renaming it would orphan the fields that it owns.
pub const FIELD_MANAGER: &str = "rocketmq-operator";
