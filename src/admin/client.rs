//! The client: one connection an address, made when it is needed and closed when it is not, a deadline on everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::Framed;

use super::frame::{Codec, Frame};
use super::message::{self, Request};
use super::{Admin, BrokerConfig, ClusterInfo, Error, RuntimeInfo};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// A TCP connection, with its name resolved.
    pub connect: Duration,
    /// A request, from sending it to its answer.
    pub call: Duration,
    /// An unused connection; servers close it after 120 s.
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

/// Asks RocketMQ over TCP.
#[derive(Debug, Default)]
pub struct TcpAdmin {
    deadlines: Deadlines,
    opaque: AtomicI32,
    connections: Arc<Mutex<HashMap<String, Connection>>>,
}

/// The way into a connection's task. The task ends with its last sender, so a connection lives as long as it is used.
#[derive(Clone, Debug)]
struct Connection(mpsc::Sender<Call>);

#[derive(Debug)]
struct Call {
    frame: Frame,
    answer: oneshot::Sender<Frame>,
}

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

    async fn call(&self, address: &str, request: Request) -> Result<Bytes, Error> {
        let deadline = Instant::now() + self.deadlines.call;
        let late = || Error::Timeout {
            address: address.to_owned(),
            request: request.name,
            after: self.deadlines.call,
        };
        let closed = || Error::Closed {
            address: address.to_owned(),
            request: request.name,
        };
        // A connection that was idle may just have ended: a new one is tried once.
        let mut answer = None;
        for _ in 0..2 {
            let connection = self.connection(address).await?;
            let (sender, receiver) = oneshot::channel();
            let frame = Frame::request(request.code, self.opaque.fetch_add(1, Ordering::Relaxed));
            if connection
                .0
                .send(Call {
                    frame,
                    answer: sender,
                })
                .await
                .is_ok()
            {
                match timeout_at(deadline, receiver).await {
                    Ok(Ok(frame)) => {
                        answer = Some(frame);
                        break;
                    }
                    Ok(Err(_)) => {}
                    Err(_) => return Err(late()),
                }
            }
            self.forget(address, &connection);
        }
        let frame = answer.ok_or_else(closed)?;
        if frame.code == 0 {
            return Ok(frame.body);
        }
        Err(Error::Refused {
            address: address.to_owned(),
            request: request.name,
            code: frame.code,
            remark: frame.remark.unwrap_or_default(),
        })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, address: &str, dead: &Connection) {
        let mut connections = self.connections();
        if connections
            .get(address)
            .is_some_and(|known| known.0.same_channel(&dead.0))
        {
            connections.remove(address);
        }
    }

    async fn connection(&self, address: &str) -> Result<Connection, Error> {
        if let Some(known) = self
            .connections()
            .get(address)
            .filter(|known| !known.0.is_closed())
        {
            return Ok(known.clone());
        }
        let failed = |reason: String| Error::Connect {
            address: address.to_owned(),
            reason,
        };
        let connect = timeout(self.deadlines.connect, TcpStream::connect(address)).await;
        let stream = connect
            .map_err(|_| failed(format!("no connection within {:?}", self.deadlines.connect)))?
            .map_err(|err| failed(err.to_string()))?;
        stream.set_nodelay(true).map_err(|err| failed(err.to_string()))?;
        let (sender, receiver) = mpsc::channel(64);
        let connection = Connection(sender);
        self.connections().insert(address.to_owned(), connection.clone());
        let work = serve(Framed::new(stream, Codec), receiver, self.deadlines.idle);
        let (connections, address) = (self.connections.clone(), address.to_owned());
        tokio::spawn(async move {
            work.await;
            let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
            if connections.get(&address).is_some_and(|known| known.0.is_closed()) {
                connections.remove(&address);
            }
        });
        Ok(connection)
    }
}

/// Carries calls over one connection until it breaks, or nobody used it for `idle`. Answers find their call by opaque;
/// what the server asks of its own accord is dropped.
async fn serve(mut framed: Framed<TcpStream, Codec>, mut calls: mpsc::Receiver<Call>, idle: Duration) {
    let mut waiting: HashMap<i32, oneshot::Sender<Frame>> = HashMap::new();
    loop {
        waiting.retain(|_, answer| !answer.is_closed());
        let quiet = tokio::time::timeout(idle, async {
            tokio::select! {
                call = calls.recv() => Event::Call(call),
                frame = framed.next() => Event::Frame(frame),
            }
        });
        match quiet.await {
            Ok(Event::Call(Some(call))) => {
                waiting.insert(call.frame.opaque, call.answer);
                if framed.send(call.frame).await.is_err() {
                    return;
                }
            }
            Ok(Event::Frame(Some(Ok(frame)))) => {
                if frame.is_response()
                    && let Some(answer) = waiting.remove(&frame.opaque)
                {
                    let _ = answer.send(frame);
                }
            }
            Ok(Event::Call(None) | Event::Frame(_)) | Err(_) => return,
        }
    }
}

enum Event {
    Call(Option<Call>),
    Frame(Option<std::io::Result<Frame>>),
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
