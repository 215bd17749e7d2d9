//! A Kubernetes operator for Apache RocketMQ.
//!
//! The map of the house:
//!
//! | Room | What is in it |
//! |---|---|
//! | [`api`] | the custom resources, one file a kind |
//! | [`name_service`], [`broker`], [`topic_transfer`] | one reconciler a kind: observe, plan (pure), apply, report |
//! | [`admin`] | what we ask of RocketMQ, in domain words; the remoting client behind it; a fake of it |
//! | [`workload`] | what name servers and brokers have in common: pods, storage, the start script, when a set may be written |
//! | [`k8s`] | server-side apply, labels, conditions, what a pod tells about its troubles |
//! | [`runtime`] | all of kube-runtime's machinery: watches, guards, the lease, metrics, logs |
//! | [`properties`] | Java properties, the format of `broker.conf` and of live changes to it |
//! | [`settings`], [`context`], [`error`] | what the process was told, what a reconcile holds, what can go wrong |
//!
//! Arrows point one way: a reconciler knows `api`, `admin` and `k8s`; none of those knows a reconciler.

pub mod admin;
#[allow(unreachable_pub, reason = "KubeSchema repeats each struct in a private scope")]
pub mod api;
pub mod broker;
pub mod context;
pub mod error;
pub mod k8s;
pub mod name_service;
pub mod properties;
#[allow(clippy::disallowed_methods, reason = "waiting is what this room is for")]
pub mod runtime;
pub mod settings;
pub mod topic_transfer;
pub mod workload;
