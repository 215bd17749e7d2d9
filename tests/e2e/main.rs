//! End-to-end tests: the real operator, real RocketMQ, a real API server. `README.md` beside this file tells how they are made.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test crate: nothing depends on it, a failure is a panic with a reason, and its report is print"
)]

mod access_control;
mod alone;
mod bad_input;
mod children;
mod clean_stop;
mod evictions;
mod examples;
mod harness;
mod isolation;
mod ledger;
mod readiness;
mod replication;
mod rolling;
mod scaling;
mod storage;
mod takeover;
mod transfer;
mod versions;
mod volumes;
