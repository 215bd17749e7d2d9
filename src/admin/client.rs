//! The client: one connection an address, made when it is needed and closed when it is not, a deadline on everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Failure};
use super::frame::Frame;
use super::message::{Pace, Request, Server};
use super::{Credentials, Error};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// A TCP connection, with its name resolved.
    pub connect: Duration,
    /// A request, from asking it to its answer, with the connection if there is none yet.
    pub call: Duration,
    /// The same, of a request whose answer is a whole table, or before which a broker registers on its name servers.
    pub long_call: Duration,
    /// How long an unused connection is kept; servers close it after 120 s.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            call: Duration::from_secs(3),
            long_call: Duration::from_secs(15),
            idle: Duration::from_secs(30),
        }
    }
}

impl Deadlines {
    /// How long a request of that pace may take.
    pub(super) fn of(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Quick => self.call,
            Pace::Slow => self.long_call,
        }
    }
}

/// Asks RocketMQ over TCP. Calls to one address share a connection, and no call waits for another one's answer. Cheap to
/// clone; all clones share their connections, also those that sign with other [`Credentials`].
#[derive(Clone, Debug, Default)]
pub struct TcpAdmin {
    shared: Arc<Shared>,
    credentials: Option<Credentials>,
}

#[derive(Debug, Default)]
struct Shared {
    deadlines: Deadlines,
    opaque: AtomicI32,
    connections: Arc<Connections>,
}

/// By address. Only the connections' own tasks and their callers keep them alive beside this.
#[derive(Debug, Default)]
struct Connections(Mutex<HashMap<String, Connection>>);

impl TcpAdmin {
    /// A client with these deadlines, that signs nothing.
    #[must_use]
    pub fn new(deadlines: Deadlines) -> Self {
        let shared = Shared {
            deadlines,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
            credentials: None,
        }
    }

    /// One that shares the connections and asks brokers as that account.
    pub(super) fn with_credentials(&self, credentials: Option<Credentials>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            credentials,
        }
    }

    /// Asks, and reads the answer.
    pub(super) async fn ask<T>(
        &self,
        address: &str,
        request: Request,
        read: impl FnOnce(&Frame) -> Result<T, String>,
    ) -> Result<T, Error> {
        let name = request.code.name;
        let frame = self.call(address, request).await?;
        read(&frame).map_err(|reason| Error::Malformed {
            address: address.to_owned(),
            request: name,
            reason,
        })
    }

    /// A connection that was idle may just have ended: a new one is tried once. The server may have taken the request
    /// before it went away; every request that we make may be made again.
    async fn call(&self, address: &str, mut request: Request) -> Result<Frame, Error> {
        if let Some(credentials) = &self.credentials
            && request.code.server == Server::Broker
        {
            credentials.sign(&mut request.fields, &request.body);
        }
        let after = self.shared.deadlines.of(request.code.pace);
        let deadline = Instant::now() + after;
        let mut answer = self.call_once(address, &request, deadline).await;
        if answer == Err(Failure::Closed) {
            answer = self.call_once(address, &request, deadline).await;
        }
        let (address, request) = (address.to_owned(), request.code.name);
        match answer {
            Ok(frame) if frame.code == 0 => Ok(frame),
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

    async fn call_once(&self, address: &str, request: &Request, deadline: Instant) -> Result<Frame, Failure> {
        let opaque = self.shared.opaque.fetch_add(1, Ordering::Relaxed);
        let frame = Frame::request(request.code.number, opaque);
        let frame = frame.with(request.fields.clone(), request.body.clone());
        let connection = self.connection(address);
        let answer = connection.call(frame, deadline).await;
        // Nothing tells a slow server from one that is gone without a word: who asks next does not rely on this
        // connection, and who waits on it still may have an answer.
        if answer.is_err() {
            let connections = &self.shared.connections;
            connections.forget(address, |known| known.is(&connection));
        }
        answer
    }

    /// The connection to that address: the one there is, or a new one that is being made.
    fn connection(&self, address: &str) -> Connection {
        let mut connections = self.shared.connections.lock();
        if let Some(known) = connections.get(address).filter(|known| !known.is_closed()) {
            return known.clone();
        }
        let (connection, work) = Connection::new(address.to_owned(), self.shared.deadlines);
        connections.insert(address.to_owned(), connection.clone());
        let (all, address) = (Arc::downgrade(&self.shared.connections), address.to_owned());
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
        self.shared.connections.lock().len()
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
