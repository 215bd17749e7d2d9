//! A RocketMQ in memory, for tests of what asks it: name servers with a list each, brokers that register on them, and
//! the troubles of both.
//!
//! ```
//! use rocketmq_operator::admin::fake::{FakeBroker, FakeRocketMq};
//! use rocketmq_operator::admin::Admin;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let rocketmq = FakeRocketMq::default();
//! rocketmq
//!     .name_server("198.18.0.2:9876")
//!     .broker(FakeBroker::master("orders-0").at("198.18.0.3:10911").registers_as("198.19.0.3:10911"))
//!     .broker(FakeBroker::replica("orders-0", 1).at("198.18.0.4:10911"));
//! let listed = rocketmq.cluster_info("198.18.0.2:9876").await.unwrap();
//! assert_eq!(listed.brokers["orders-0"].addresses[&0], "198.19.0.3:10911");
//!
//! rocketmq.deaf("198.18.0.3:10911");
//! assert!(rocketmq.broker_config("198.18.0.3:10911").await.is_err());
//! # });
//! ```
//!
//! Nothing happens by itself: no time passes, and brokers register when they start, when a name server starts, and when
//! [`FakeRocketMq::register_all`] says so. All clones are the same RocketMQ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, FutureExt, ready};

use super::client::Deadlines;
use super::message::{GET_BROKER_CLUSTER_INFO, GET_BROKER_CONFIG, GET_BROKER_RUNTIME_INFO, Request};
use super::{Admin, BrokerConfig, ClusterInfo, Error, RuntimeInfo};

/// `ResponseCode.REQUEST_CODE_NOT_SUPPORTED`: what a server of 5.x answers to a request that it does not know.
pub(super) const NOT_SUPPORTED: i32 = 3;

/// A RocketMQ in memory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FakeRocketMq(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By the address they are asked on: the list of each.
    name_servers: BTreeMap<String, ClusterInfo>,
    /// By the address they are asked on.
    brokers: BTreeMap<String, FakeBroker>,
    /// By address, whether or not a process is there.
    troubles: BTreeMap<String, Trouble>,
    asked: Vec<Asked>,
}

#[derive(Clone, Debug)]
enum Trouble {
    Unreachable,
    Deaf,
    Refuses { code: i32, remark: String },
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whom, as `host:port`.
    pub address: String,
    /// What, such as `GET_BROKER_CONFIG`.
    pub request: &'static str,
}

/// A broker: one process, that answers on one address and registers another, or the same.
#[derive(Clone, Debug)]
pub struct FakeBroker {
    name: String,
    id: i64,
    cluster: String,
    asked_on: String,
    registered: Option<String>,
    name_servers: Option<BTreeSet<String>>,
    config: BTreeMap<String, String>,
    runtime: BTreeMap<String, String>,
}

impl FakeBroker {
    /// The master of a group, of RocketMQ 5.5.0 in `DefaultCluster`, that answers on `127.0.0.1:10911` and registers
    /// that on every name server.
    #[must_use]
    pub fn master(name: &str) -> Self {
        Self::replica(name, 0)
    }

    /// As [`FakeBroker::master`], with another broker id.
    #[must_use]
    pub fn replica(name: &str, id: i64) -> Self {
        let broker = Self {
            name: name.to_owned(),
            id,
            cluster: "DefaultCluster".to_owned(),
            asked_on: "127.0.0.1:10911".to_owned(),
            registered: None,
            name_servers: None,
            config: BTreeMap::new(),
            runtime: BTreeMap::new(),
        };
        broker.version("V5_5_0").booted_at(1_700_000_000_000)
    }

    /// `brokerClusterName`.
    #[must_use]
    pub fn cluster(mut self, cluster: &str) -> Self {
        cluster.clone_into(&mut self.cluster);
        self
    }

    /// The address that it answers on: its pod's, as `host:port`.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.asked_on);
        self
    }

    /// The address that name servers list, where it is not the one that it answers on: its Service's, as `host:port`.
    #[must_use]
    pub fn registers_as(mut self, address: &str) -> Self {
        self.registered = Some(address.to_owned());
        self
    }

    /// Registers on these name servers only, not on every one.
    #[must_use]
    pub fn registers_on(mut self, name_servers: &[&str]) -> Self {
        self.name_servers = Some(name_servers.iter().copied().map(ToOwned::to_owned).collect());
        self
    }

    /// `brokerVersionDesc`, such as `V4_9_7`.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        self.runtime("brokerVersionDesc", version)
    }

    /// `bootTimestamp`, milliseconds since 1970.
    #[must_use]
    pub fn booted_at(self, millis: i64) -> Self {
        self.runtime("bootTimestamp", &millis.to_string())
    }

    /// An entry of its configuration. Those of its identity, role and addresses are there from the start.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// An entry of its runtime information.
    #[must_use]
    pub fn runtime(mut self, key: &str, value: &str) -> Self {
        self.runtime.insert(key.to_owned(), value.to_owned());
        self
    }

    fn registered(&self) -> &str {
        self.registered.as_deref().unwrap_or(&self.asked_on)
    }

    fn registers_with(&self, name_server: &str) -> bool {
        self.name_servers
            .as_ref()
            .is_none_or(|some| some.contains(name_server))
    }

    fn whole_config(&self) -> BrokerConfig {
        let (host, port) = self.registered().rsplit_once(':').unwrap_or_default();
        let role = if self.id == 0 { "ASYNC_MASTER" } else { "SLAVE" };
        let own = [
            ("brokerClusterName", self.cluster.clone()),
            ("brokerId", self.id.to_string()),
            ("brokerIP1", host.to_owned()),
            ("brokerName", self.name.clone()),
            ("brokerPermission", "6".to_owned()),
            ("brokerRole", role.to_owned()),
            ("listenPort", port.to_owned()),
        ];
        let mut whole: BTreeMap<_, _> = own
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        whole.extend(self.config.clone());
        BrokerConfig(whole)
    }
}

impl FakeRocketMq {
    /// Starts a name server, or restarts it: its list is empty but for the brokers that register on it, which all do
    /// at once.
    pub fn name_server(&self, address: &str) -> &Self {
        let mut state = self.state();
        state
            .name_servers
            .insert(address.to_owned(), ClusterInfo::default());
        state.register();
        self
    }

    /// Starts a broker, or another one at the same address, which ends the first one as [`FakeRocketMq::kill`] does.
    pub fn broker(&self, broker: FakeBroker) -> &Self {
        let mut state = self.state();
        state.end(&broker.asked_on);
        for (name_server, list) in &mut state.name_servers {
            list_broker(list, name_server, &broker);
        }
        state.brokers.insert(broker.asked_on.clone(), broker);
        self
    }

    /// Every broker registers, as they do every 30 s: what was struck off a list is on it again.
    pub fn register_all(&self) -> &Self {
        self.state().register();
        self
    }

    /// Ends the process that is asked on `address`. Every name server strikes a broker off its list at once, as it does
    /// when the broker says goodbye or its connection breaks. Nobody answers there any more.
    pub fn kill(&self, address: &str) -> &Self {
        self.state().end(address);
        self
    }

    /// One name server does not list that broker (any more), until it registers again.
    pub fn strike_off(&self, name_server: &str, name: &str, id: i64) -> &Self {
        if let Some(list) = self.state().name_servers.get_mut(name_server) {
            remove(list, name, id, None);
        }
        self
    }

    /// Nobody can connect to that address. Name servers still list it: they notice after 120 s.
    pub fn unreachable(&self, address: &str) -> &Self {
        self.trouble(address, Trouble::Unreachable)
    }

    /// The process there takes connections and never answers. Requests time out at once, without waiting.
    pub fn deaf(&self, address: &str) -> &Self {
        self.trouble(address, Trouble::Deaf)
    }

    /// The process there refuses every request with that `ResponseCode`.
    pub fn refuses(&self, address: &str, code: i32, remark: &str) -> &Self {
        let remark = remark.to_owned();
        self.trouble(address, Trouble::Refuses { code, remark })
    }

    /// Ends the trouble at that address.
    pub fn heal(&self, address: &str) -> &Self {
        self.state().troubles.remove(address);
        self
    }

    /// Every request that was made, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Forgets which requests were made.
    pub fn forget_asked(&self) -> &Self {
        self.state().asked.clear();
        self
    }

    fn trouble(&self, address: &str, trouble: Trouble) -> &Self {
        self.state().troubles.insert(address.to_owned(), trouble);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(
        &self,
        address: &str,
        request: Request,
        answer: impl FnOnce(&State) -> Option<T>,
    ) -> BoxFuture<'static, Result<T, Error>>
    where
        T: Send + 'static,
    {
        let mut state = self.state();
        state.asked.push(Asked {
            address: address.to_owned(),
            request: request.name,
        });
        let answer = state
            .trouble(address, request)
            .and_then(|()| answer(&state).ok_or_else(|| unknown(address, request)));
        ready(answer).boxed()
    }
}

impl State {
    fn register(&mut self) {
        for (name_server, list) in &mut self.name_servers {
            for broker in self.brokers.values() {
                list_broker(list, name_server, broker);
            }
        }
    }

    fn end(&mut self, address: &str) {
        self.name_servers.remove(address);
        if let Some(gone) = self.brokers.remove(address) {
            for list in self.name_servers.values_mut() {
                remove(list, &gone.name, gone.id, Some(gone.registered()));
            }
        }
    }

    /// What keeps that address from answering.
    fn trouble(&self, address: &str, request: Request) -> Result<(), Error> {
        let unreachable = |reason: &str| Error::Connect {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        match self.troubles.get(address) {
            Some(Trouble::Unreachable) => Err(unreachable("no route to host")),
            Some(Trouble::Deaf) => Err(Error::Timeout {
                address: address.to_owned(),
                request: request.name,
                after: Deadlines::default().call,
            }),
            Some(Trouble::Refuses { code, remark }) => Err(Error::Refused {
                address: address.to_owned(),
                request: request.name,
                code: *code,
                remark: remark.clone(),
            }),
            None if self.brokers.contains_key(address) || self.name_servers.contains_key(address) => Ok(()),
            None => Err(unreachable("connection refused")),
        }
    }
}

/// As `RouteInfoManager.registerBroker` does: an address stands under one id of a group only.
fn list_broker(list: &mut ClusterInfo, name_server: &str, broker: &FakeBroker) {
    if broker.registers_with(name_server) {
        let data = list.brokers.entry(broker.name.clone()).or_default();
        data.cluster.clone_from(&broker.cluster);
        data.addresses.retain(|_, address| address != broker.registered());
        data.addresses.insert(broker.id, broker.registered().to_owned());
    }
}

/// Takes a broker off a list, where the address is that one; a group without brokers goes with its last one.
fn remove(list: &mut ClusterInfo, name: &str, id: i64, address: Option<&str>) {
    if let Some(data) = list.brokers.get_mut(name) {
        let is_it = |listed: &String| address.is_none_or(|address| listed == address);
        data.addresses
            .retain(|known, listed| *known != id || !is_it(listed));
        if data.addresses.is_empty() {
            list.brokers.remove(name);
        }
    }
}

fn unknown(address: &str, request: Request) -> Error {
    Error::Refused {
        address: address.to_owned(),
        request: request.name,
        code: NOT_SUPPORTED,
        remark: format!(" request type {} not supported", request.code),
    }
}

impl Admin for FakeRocketMq {
    fn cluster_info<'a>(&'a self, name_server: &'a str) -> BoxFuture<'a, Result<ClusterInfo, Error>> {
        self.ask(name_server, GET_BROKER_CLUSTER_INFO, |state| {
            state.name_servers.get(name_server).cloned()
        })
    }

    fn runtime_info<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<RuntimeInfo, Error>> {
        self.ask(broker, GET_BROKER_RUNTIME_INFO, |state| {
            let found = state.brokers.get(broker)?;
            Some(RuntimeInfo(found.runtime.clone()))
        })
    }

    fn broker_config<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<BrokerConfig, Error>> {
        self.ask(broker, GET_BROKER_CONFIG, |state| {
            state.brokers.get(broker).map(FakeBroker::whole_config)
        })
    }
}
