//! Which pods live on, and which were replaced in what order.

use std::collections::BTreeMap;
use std::future::Future;

use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::{name_of, text, uid_of};
use super::node;
use super::rocketmq::Rocketmq;
use super::wait::seconds;
use super::wire;

/// One life of a pod: while it is equal, nothing in it was restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    uid: String,
    restarts: u64,
    /// When a broker's JVM says that it started; empty for name servers.
    boot: String,
}

/// The lives of a cluster's pods, by the pods' names.
pub type Lives = BTreeMap<String, Life>;

impl Rocketmq {
    /// The lives of all brokers now. A pod that goes while it is asked is no life.
    pub async fn broker_lives(&self) -> Lives {
        self.space
            .wait_for("every broker tells since when it runs", seconds(60), async || {
                let mut lives = Lives::new();
                for pod in self.broker_pods().await {
                    let address = format!("{}:10911", text(&pod, "/status/podIP"));
                    let runtime = wire::runtime(&address).await?;
                    let boot = runtime["bootTimestamp"].as_str().unwrap_or_default();
                    lives.insert(name_of(&pod).to_owned(), life(&pod, boot.to_owned()));
                }
                Ok(lives)
            })
            .await
    }

    /// The lives of all name servers now.
    pub async fn name_server_lives(&self) -> Lives {
        let pods = self.name_server_pods().await;
        let lives = pods
            .iter()
            .map(|pod| (name_of(pod).to_owned(), life(pod, String::new())));
        lives.collect()
    }

    /// Every broker that lived then lives on as it did; there may be others.
    pub async fn no_broker_was_restarted(&self, before: &Lives) {
        let mut now = self.broker_lives().await;
        now.retain(|pod, _| before.contains_key(pod));
        assert_eq!(&now, before, "{}: brokers were restarted", self.space.name);
    }

    /// Runs a part of a story and tells which brokers' pods that were there before were replaced during it.
    pub async fn replaced_during<T>(&self, story: impl Future<Output = T>) -> (T, Replaced) {
        let mut uids: BTreeMap<String, String> = uids(&self.broker_pods().await);
        let mut replaced = Replaced::default();
        let mut tick = interval(seconds(1) / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut story = Box::pin(story.fuse());
        loop {
            tokio::select! {
                told = &mut story => return (told, replaced),
                _ = tick.tick() => {
                    let pods = self.broker_pods().await;
                    let ready: Vec<&str> = pods.iter().filter(|pod| node::is_ready(pod)).map(name_of).collect();
                    let away = uids.keys().filter(|pod| !ready.contains(&pod.as_str())).count();
                    replaced.most_away = replaced.most_away.max(away);
                    for (pod, uid) in self::uids(&pods) {
                        if let Some(known) = uids.get_mut(&pod) && *known != uid {
                            replaced.order.push(pod);
                            *known = uid;
                        }
                    }
                }
            }
        }
    }
}

/// Which pods were replaced.
#[derive(Debug, Default)]
pub struct Replaced {
    /// Their names, the first one first.
    pub order: Vec<String>,
    /// How many of those that were there at first were away, or not ready, at the same time.
    pub most_away: usize,
}

fn uids(pods: &[Value]) -> BTreeMap<String, String> {
    let uids = pods
        .iter()
        .map(|pod| (name_of(pod).to_owned(), uid_of(pod).to_owned()));
    uids.collect()
}

fn life(pod: &Value, boot: String) -> Life {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let restarts = containers
        .into_iter()
        .flatten()
        .filter_map(|c| c["restartCount"].as_u64());
    Life {
        uid: uid_of(pod).to_owned(),
        restarts: restarts.sum(),
        boot,
    }
}
