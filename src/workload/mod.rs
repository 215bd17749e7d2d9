//! What name servers and brokers have in common as workloads: their pods, their storage, the script that starts and
//! stops RocketMQ in them, and when a StatefulSet may be written.

pub mod claims;
pub mod content;
pub mod env;
pub mod fields;
pub mod grow;
pub mod pin;
pub mod remake;
pub mod replace;
pub mod set;
pub mod storage;
pub mod template;
pub mod texts;

/// The script that starts RocketMQ in every pod, under `sh`, and stops it cleanly.
pub const START_SCRIPT: &str = include_str!("start.sh");
/// The key of [`START_SCRIPT`] in its ConfigMap.
pub const START_SCRIPT_KEY: &str = "start.sh";
/// Where the start script is mounted.
pub const START_PATH: &str = "/etc/rocketmq-operator/start";
/// Where the configuration parts of a broker are mounted; `start.sh` reads them there.
pub const CONFIG_PATH: &str = "/etc/rocketmq-operator/config";
/// `user.home` of every JVM, and the parent of every data mount.
pub const HOME: &str = "/rocketmq";
/// Where a broker's message store is mounted.
pub const STORE_PATH: &str = "/rocketmq/store";
/// Where logs are mounted.
pub const LOGS_PATH: &str = "/rocketmq/logs";
/// Where a name server keeps its key-value configuration (`kvConfigPath` below `user.home`).
pub const NAMESRV_PATH: &str = "/rocketmq/namesrv";
/// A writable folder that lives as long as the pod.
pub const RUN_PATH: &str = "/rocketmq/run";
/// Where the Go operator mounted a broker's message store: the same data, so paths below it in a user's
/// configuration mean [`STORE_PATH`].
pub const GO_STORE_PATH: &str = "/root/store";
/// Where the Go operator mounted logs.
pub const GO_LOGS_PATH: &str = "/root/logs";
/// Seconds a pod is given to stop: RocketMQ 5.5.0 needs 15 for a clean stop with a small store.
pub const TERMINATION_GRACE_SECONDS: i64 = 120;
