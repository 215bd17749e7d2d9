//! What tests stand on: a Kubernetes in memory, and words for what happens in it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses a part of it; the names say what they are"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails the test that uses it"
)]

mod answers;
pub mod api;
pub mod fixtures;
pub mod go_operator;
pub mod kubelet;
mod merge;
pub mod names;
pub mod objects;
mod pods;
pub mod request;
pub mod rolling;
pub mod transfer;
mod validate;
pub mod world;
