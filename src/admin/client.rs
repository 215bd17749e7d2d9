//! The client: one connection an address, made when it is needed and closed when it is not, a deadline on everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use tokio::time::Instant;

use super::connection::{Connection, Failure};
use super::frame::Frame;
use super::message::{self, Request};
use super::{Admin, BrokerConfig, ClusterInfo, Error, RuntimeInfo};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// A TCP connection, with its name resolved.
    pub connect: Duration,
    /// A request, from asking it to its answer, with the connection if there is none yet.
    pub call: Duration,
    /// How long an unused connection is kept; servers close it after 120 s.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            call: Duration::from_secs(3),
            idle: Duration::from_secs(30),
        }
    }
}

/// Asks RocketMQ over TCP. Calls to one address share a connection, and no call waits for another one's answer.
#[derive(Debug, Default)]
pub struct TcpAdmin {
    deadlines: Deadlines,
    opaque: AtomicI32,
    connections: Arc<Connections>,
}

/// By address. Only the connections' own tasks and their callers keep them alive beside this.
#[derive(Debug, Default)]
struct Connections(Mutex<HashMap<String, Connection>>);

impl TcpAdmin {
    /// A client with these deadlines.
    #[must_use]
    pub fn new(deadlines: Deadlines) -> Self {
        Self {
            deadlines,
            ..Self::default()
        }
    }

    async fn ask<T>(
        &self,
        address: &str,
        request: Request,
        read: fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        let body = self.call(address, request).await?;
        read(&body).map_err(|reason| Error::Malformed {
            address: address.to_owned(),
            request: request.name,
            reason,
        })
    }

    /// A connection that was idle may just have ended: a new one is tried once. All requests only read, so one that the
    /// server took before it went away may be made again.
    async fn call(&self, address: &str, request: Request) -> Result<Bytes, Error> {
        let deadline = Instant::now() + self.deadlines.call;
        let mut answer = self.call_once(address, request, deadline).await;
        if answer == Err(Failure::Closed) {
            answer = self.call_once(address, request, deadline).await;
        }
        let (address, request, after) = (address.to_owned(), request.name, self.deadlines.call);
        match answer {
            Ok(frame) if frame.code == 0 => Ok(frame.body),
            Ok(frame) => Err(Error::Refused {
                address,
                request,
                code: frame.code,
                remark: frame.remark.unwrap_or_default(),
            }),
            Err(Failure::Connect(reason)) => Err(Error::Connect { address, reason }),
            Err(Failure::Late) => Err(Error::Timeout {
                address,
                request,
                after,
            }),
            Err(Failure::Closed) => Err(Error::Closed { address, request }),
            Err(Failure::Garbage(reason)) => Err(Error::Malformed {
                address,
                request,
                reason,
            }),
        }
    }

    async fn call_once(&self, address: &str, request: Request, deadline: Instant) -> Result<Frame, Failure> {
        let opaque = self.opaque.fetch_add(1, Ordering::Relaxed);
        let connection = self.connection(address);
        let answer = connection
            .call(Frame::request(request.code, opaque), deadline)
            .await;
        // Nothing tells a slow server from one that is gone without a word: who asks next does not rely on this
        // connection, and who waits on it still may have an answer.
        if answer.is_err() {
            self.connections.forget(address, |known| known.is(&connection));
        }
        answer
    }

    /// The connection to that address: the one there is, or a new one that is being made.
    fn connection(&self, address: &str) -> Connection {
        let mut connections = self.connections.lock();
        if let Some(known) = connections.get(address).filter(|known| !known.is_closed()) {
            return known.clone();
        }
        let (connection, work) = Connection::new(address.to_owned(), self.deadlines);
        connections.insert(address.to_owned(), connection.clone());
        let (all, address) = (Arc::downgrade(&self.connections), address.to_owned());
        tokio::spawn(async move {
            work.await;
            if let Some(all) = all.upgrade() {
                all.forget(&address, Connection::is_closed);
            }
        });
        connection
    }

    /// How many connections there are.
    #[cfg(test)]
    pub(super) fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, address: &str, is_it: impl FnOnce(&Connection) -> bool) {
        let mut connections = self.lock();
        if connections.get(address).is_some_and(is_it) {
            connections.remove(address);
        }
    }
}

impl Admin for TcpAdmin {
    fn cluster_info<'a>(&'a self, name_server: &'a str) -> BoxFuture<'a, Result<ClusterInfo, Error>> {
        self.ask(
            name_server,
            message::GET_BROKER_CLUSTER_INFO,
            message::cluster_info,
        )
        .boxed()
    }

    fn runtime_info<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<RuntimeInfo, Error>> {
        self.ask(broker, message::GET_BROKER_RUNTIME_INFO, message::runtime_info)
            .boxed()
    }

    fn broker_config<'a>(&'a self, broker: &'a str) -> BoxFuture<'a, Result<BrokerConfig, Error>> {
        self.ask(broker, message::GET_BROKER_CONFIG, message::broker_config)
            .boxed()
    }
}
