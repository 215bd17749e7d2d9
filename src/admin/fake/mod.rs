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
//! Nothing happens by itself: no time passes but what [`FakeRocketMq::pass_time`] says. Brokers register when they start,
//! when a name server starts, when they are told to change what is registered, and when [`FakeRocketMq::register_all`]
//! says so. All clones are the same RocketMQ.
//!
//! What happens to a broker meanwhile is told in the words in which it is described:
//!
//! ```
//! # use rocketmq_operator::admin::fake::{FakeBroker, FakeRocketMq, Moment};
//! # use rocketmq_operator::admin::{Admin, Attributes, Error, TopicConfig, confirm};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let rocketmq = FakeRocketMq::default();
//! let master = "198.18.0.3:10911";
//! let payments = TopicConfig::new("payments", 4);
//! rocketmq.broker(FakeBroker::master("orders-0").at(master).topic(payments.clone()).queue("payments", 0, 0, 7));
//! rocketmq.becomes(master, |broker| broker.consumed("payments", "billing", 0, 5));
//! assert_eq!(rocketmq.consume_stats(master, "billing", None).await.unwrap().lag(), 2);
//!
//! rocketmq.fails_at_change(1, Moment::After);
//! let broker = confirm(&rocketmq, master, "orders-0", 0).await.unwrap();
//! let parcels = TopicConfig::new("parcels", 1);
//! let told = broker.put_topic(&parcels, Attributes::Create).await;
//! assert!(matches!(told, Err(Error::Closed { .. })));
//! assert!(rocketmq.topics(master).await.unwrap().topics.contains_key("parcels"));
//! # });
//! ```

mod answers;
mod broker;
mod name_server;
mod store;
mod troubles;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{FutureExt, ready};

pub use self::broker::FakeBroker;
pub use self::troubles::{Asked, Moment};

use self::name_server::NameServer;
use self::store::Store;
use self::troubles::{Failing, Fault, Trouble};
use super::message::{Code, Server};
use super::{Answer, Credentials};

/// How often brokers register, and how long name servers list one that does not.
const REGISTER: Duration = Duration::from_secs(30);
const EXPIRE: Duration = Duration::from_mins(2);

/// A RocketMQ in memory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FakeRocketMq {
    state: Arc<Mutex<State>>,
    credentials: Option<Arc<Credentials>>,
}

#[derive(Debug, Default)]
struct State {
    /// By the address they are asked on.
    name_servers: BTreeMap<String, NameServer>,
    /// By the address they are asked on.
    brokers: BTreeMap<String, FakeBroker>,
    /// What brokers that are gone left on their disks, by the disks' names.
    disks: BTreeMap<String, Store>,
    /// The address that a name stands for.
    names: BTreeMap<String, String>,
    /// By address, whether or not a process is there.
    troubles: BTreeMap<String, Trouble>,
    /// How long each request takes, by address.
    delays: BTreeMap<String, Duration>,
    failing: Option<Failing>,
    asked: Vec<Asked>,
    clock: Duration,
    registered: Duration,
}

impl FakeRocketMq {
    /// Starts a name server, or restarts it with nothing kept: its list is empty but for the brokers that register on it,
    /// which all do at once, and its key-value store is empty.
    pub fn name_server(&self, address: &str) -> &Self {
        let mut state = self.state();
        state
            .name_servers
            .insert(address.to_owned(), NameServer::default());
        state.register();
        drop(state);
        self
    }

    /// From now on, that name in a broker's list of name servers, as `host:port`, stands for that address.
    pub fn resolves(&self, name: &str, address: &str) -> &Self {
        self.state().names.insert(name.to_owned(), address.to_owned());
        self
    }

    /// Starts a broker, or another one at the same address, which ends the first one as [`FakeRocketMq::kill`] does. One
    /// on a disk that a broker left finds what was on it, instead of the topics, groups and messages that it came with.
    pub fn broker(&self, broker: FakeBroker) -> &Self {
        let mut state = self.state();
        let address = broker.address().to_owned();
        state.end(&address);
        let kept = broker.disk().and_then(|disk| state.disks.get(disk)).cloned();
        state.brokers.insert(address.clone(), broker.start(kept));
        state.register_one(&address);
        drop(state);
        self
    }

    /// Changes a broker that runs, in the words of [`FakeBroker`], if there is one. What that changes for name servers is
    /// there with the next registration.
    pub fn becomes(&self, address: &str, change: impl FnOnce(FakeBroker) -> FakeBroker) -> &Self {
        let mut state = self.state();
        if let Some(broker) = state.brokers.remove(address) {
            state.brokers.insert(address.to_owned(), change(broker));
        }
        drop(state);
        self
    }

    /// The broker that is asked on `address`, as it is now.
    pub fn broker_at(&self, address: &str) -> Option<FakeBroker> {
        self.state().brokers.get(address).cloned()
    }

    /// Every broker registers, as they do every 30 s: what was struck off a list is on it again. Those that take a new list
    /// of name servers live have taken it. Slaves have what their masters have.
    pub fn register_all(&self) -> &Self {
        let mut state = self.state();
        let brokers = state.brokers.values_mut();
        brokers.for_each(FakeBroker::adopt_name_servers);
        state.register();
        drop(state);
        self
    }

    /// Time passes: brokers register every 30 s and take a new list of name servers within 120 s, if they are of a version
    /// that does so live; name servers strike off who did not register for 120 s.
    pub fn pass_time(&self, time: Duration) -> &Self {
        let mut state = self.state();
        state.clock += time;
        let clock = state.clock;
        for broker in state.brokers.values_mut() {
            broker.adopt_name_servers_if_due(clock);
        }
        if clock.saturating_sub(state.registered) >= REGISTER {
            state.registered = clock;
            state.register();
        }
        for list in state.name_servers.values_mut() {
            list.expire(clock.saturating_sub(EXPIRE));
        }
        drop(state);
        self
    }

    /// Ends the process that is asked on `address`. Every name server strikes a broker off its list at once, as it does
    /// when the broker says goodbye or its connection breaks. Nobody answers there any more.
    pub fn kill(&self, address: &str) -> &Self {
        self.state().end(address);
        self
    }

    /// Nothing is on that disk any more.
    pub fn wipe(&self, disk: &str) -> &Self {
        self.state().disks.remove(disk);
        self
    }

    /// One name server does not list that broker (any more), until it registers again.
    pub fn strike_off(&self, name_server: &str, name: &str, id: i64) -> &Self {
        if let Some(list) = self.state().name_servers.get_mut(name_server) {
            list.remove(name, id, None);
        }
        self
    }

    /// A key of a name server's namespace has that value.
    pub fn kv(&self, name_server: &str, namespace: &str, key: &str, value: &str) -> &Self {
        if let Some(server) = self.state().name_servers.get_mut(name_server) {
            server.put_kv(namespace, key, value);
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

    /// Each request to that address takes so long.
    pub fn slow(&self, address: &str, each: Duration) -> &Self {
        self.state().delays.insert(address.to_owned(), each);
        self
    }

    /// Ends the trouble at that address.
    pub fn heal(&self, address: &str) -> &Self {
        let mut state = self.state();
        state.troubles.remove(address);
        state.delays.remove(address);
        drop(state);
        self
    }

    /// The `nth` request from now, 1 being the next one, ends with a closed connection. Replaces what was to fail before.
    pub fn fails_at(&self, nth: usize, moment: Moment) -> &Self {
        self.state().failing = Some(Failing::at_any(nth, moment));
        self
    }

    /// As [`FakeRocketMq::fails_at`], where only requests that change something count.
    pub fn fails_at_change(&self, nth: usize, moment: Moment) -> &Self {
        self.state().failing = Some(Failing::at_change(nth, moment));
        self
    }

    /// Every request that was made, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Every request that was made and that changes something, in order.
    pub fn changes(&self) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(Asked::is_change);
        asked
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, in the order in which the requests are made, not awaited.
    #[allow(
        clippy::disallowed_methods,
        reason = "a server takes its time here, nobody waits for something to become true"
    )]
    fn ask<'a, T>(
        &self,
        address: &str,
        code: Code,
        answer: impl FnOnce(&mut State) -> Result<T, Fault>,
    ) -> Answer<'a, T>
    where
        T: Send + 'a,
    {
        let answer = self.answer(address, code, answer);
        let answer = answer.map_err(|fault| fault.error(address, code));
        match self.state().delays.get(address).copied() {
            None => ready(answer).boxed(),
            Some(delay) => tokio::time::sleep(delay).map(|()| answer).boxed(),
        }
    }

    fn answer<T>(
        &self,
        address: &str,
        code: Code,
        answer: impl FnOnce(&mut State) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut state = self.state();
        let asked = Asked {
            address: address.to_owned(),
            request: code.name,
        };
        let failing = state.failing.as_mut();
        let fails = failing.and_then(|failing| failing.counts(asked.is_change()));
        state.asked.push(asked);
        if fails == Some(Moment::Before) {
            return Err(Fault::Closed);
        }
        state.trouble(address)?;
        if code.server == Server::Broker
            && let Some(broker) = state.brokers.get(address)
        {
            broker.knows(self.credentials.as_deref())?;
        }
        let answer = answer(&mut state)?;
        match fails {
            Some(_) => Err(Fault::Closed),
            None => Ok(answer),
        }
    }
}

impl State {
    fn register(&mut self) {
        let addresses: Vec<_> = self.brokers.keys().cloned().collect();
        for broker in self.brokers.values_mut() {
            broker.store_mut().settle();
        }
        for address in addresses {
            self.follow_master(&address);
            self.register_one(&address);
        }
    }

    fn register_one(&mut self, address: &str) {
        let Some(broker) = self.brokers.get(address) else {
            return;
        };
        for (name_server, list) in &mut self.name_servers {
            if broker.registers_with(name_server, &self.names) {
                list.register(broker, self.clock);
            }
        }
    }

    /// A slave has what its master has, if there is one.
    fn follow_master(&mut self, address: &str) {
        let Some(broker) = self.brokers.get(address) else {
            return;
        };
        let master = self.brokers.values().find(|other| other.is_master_of(broker));
        let Some(store) = master.map(|master| master.store().clone()) else {
            return;
        };
        if let Some(slave) = self.brokers.get_mut(address) {
            *slave.store_mut() = store;
        }
    }

    fn end(&mut self, address: &str) {
        self.name_servers.remove(address);
        let Some(gone) = self.brokers.remove(address) else {
            return;
        };
        for list in self.name_servers.values_mut() {
            list.remove(gone.name(), gone.id(), Some(gone.registered()));
        }
        if let Some(disk) = gone.disk() {
            self.disks.insert(disk.to_owned(), gone.store().clone());
        }
    }

    /// What keeps that address from answering.
    fn trouble(&self, address: &str) -> Result<(), Fault> {
        match self.troubles.get(address) {
            Some(trouble) => Err(trouble.fault()),
            None if self.brokers.contains_key(address) || self.name_servers.contains_key(address) => Ok(()),
            None => Err(Fault::Unreachable("connection refused")),
        }
    }

    fn name_server(&mut self, address: &str) -> Result<&mut NameServer, Fault> {
        self.name_servers.get_mut(address).ok_or(Fault::NotSupported)
    }

    fn broker(&mut self, address: &str) -> Result<&mut FakeBroker, Fault> {
        self.brokers.get_mut(address).ok_or(Fault::NotSupported)
    }
}
