//! One connection: made, used by any number of calls at a time, closed when nobody used it for a while.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::Framed;

use super::client::Deadlines;
use super::frame::{Codec, Frame};

/// How many calls may wait to be written; more wait to wait.
const QUEUE: usize = 64;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There never was a connection.
    Connect(String),
    /// The answer did not come in time.
    Late,
    /// It ended.
    Closed,
    /// What came over it is no frame; nothing that follows can be told apart.
    Garbage(String),
}

/// The way into a connection's task. The task ends with its last holder, so a connection lives as long as it is used.
#[derive(Clone, Debug)]
pub(super) struct Connection(mpsc::Sender<Call>);

#[derive(Debug)]
struct Call {
    frame: Frame,
    answer: oneshot::Sender<Result<Frame, Failure>>,
}

impl Connection {
    /// A connection to `address`, and the work that makes it and carries its calls: to be spawned. Calls may be made at
    /// once; they wait until there is a connection.
    pub(super) fn new(
        address: String,
        deadlines: Deadlines,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, mut calls) = mpsc::channel(QUEUE);
        let work = async move {
            let mut waiting = Waiting::default();
            let failure = match connect(&address, deadlines.connect).await {
                Ok(framed) => serve(framed, &mut calls, &mut waiting, deadlines).await,
                Err(reason) => Failure::Connect(reason),
            };
            calls.close();
            while let Some(call) = calls.recv().await {
                waiting.add(call);
            }
            waiting.fail(&failure);
        };
        (Self(sender), work)
    }

    /// Sends a request and waits for its answer until `deadline`.
    pub(super) async fn call(&self, frame: Frame, deadline: Instant) -> Result<Frame, Failure> {
        let (answer, answered) = oneshot::channel();
        let called = async {
            let sent = self.0.send(Call { frame, answer }).await;
            sent.map_err(|_| Failure::Closed)?;
            answered.await.unwrap_or(Err(Failure::Closed))
        };
        timeout_at(deadline, called).await.unwrap_or(Err(Failure::Late))
    }

    /// Whether calls can be made on it no more.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether this is that connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

/// The calls that were not answered yet, by opaque.
#[derive(Debug, Default)]
struct Waiting(HashMap<i32, oneshot::Sender<Result<Frame, Failure>>>);

impl Waiting {
    fn add(&mut self, call: Call) {
        self.0.insert(call.frame.opaque, call.answer);
    }

    /// Answers find their call by opaque. What the server asks of its own accord is dropped, and what nobody waits for.
    fn answer(&mut self, frame: Frame) {
        if frame.is_response()
            && let Some(answer) = self.0.remove(&frame.opaque)
        {
            let _ = answer.send(Ok(frame));
        }
    }

    fn fail(self, failure: &Failure) {
        for answer in self.0.into_values() {
            let _ = answer.send(Err(failure.clone()));
        }
    }

    /// Forgets the calls that nobody waits for any more: they came too late, or were cancelled.
    fn forget_abandoned(&mut self) {
        self.0.retain(|_, answer| !answer.is_closed());
    }
}

async fn connect(address: &str, deadline: Duration) -> Result<Framed<TcpStream, Codec>, String> {
    let connected = timeout(deadline, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_| format!("no connection within {deadline:?}"))?
        .map_err(|err| err.to_string())?;
    stream.set_nodelay(true).map_err(|err| err.to_string())?;
    Ok(Framed::new(stream, Codec))
}

/// Carries calls until the connection breaks, or nobody called for `idle` and none waits.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut framed: Framed<S, Codec>,
    calls: &mut mpsc::Receiver<Call>,
    waiting: &mut Waiting,
    deadlines: Deadlines,
) -> Failure {
    let mut used = Instant::now();
    loop {
        waiting.forget_abandoned();
        let event = timeout_at(used + deadlines.idle, async {
            tokio::select! {
                call = calls.recv() => Event::Call(call),
                frame = framed.next() => Event::Frame(frame),
            }
        });
        match event.await {
            Ok(Event::Call(Some(call))) => {
                used = Instant::now();
                let frame = call.frame.clone();
                waiting.add(call);
                // A server that does not read what it is sent will not answer either.
                if !matches!(timeout(deadlines.call, framed.send(frame)).await, Ok(Ok(()))) {
                    return Failure::Closed;
                }
            }
            Ok(Event::Frame(Some(Ok(frame)))) => waiting.answer(frame),
            Ok(Event::Frame(Some(Err(err)))) if err.kind() == io::ErrorKind::InvalidData => {
                return Failure::Garbage(err.to_string());
            }
            // Those who wait give up in time, and nobody waits then.
            Err(_) if !waiting.0.is_empty() => used = Instant::now(),
            Ok(Event::Frame(_) | Event::Call(None)) | Err(_) => return Failure::Closed,
        }
    }
}

enum Event {
    Call(Option<Call>),
    Frame(Option<io::Result<Frame>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_read_ends_the_connection() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (sender, mut calls) = mpsc::channel(QUEUE);
        let (answer, _answered) = oneshot::channel();
        let frame = Frame::request(106, 1);
        sender.send(Call { frame, answer }).await.unwrap();
        let (mut waiting, deadlines) = (Waiting::default(), Deadlines::default());
        let served = serve(Framed::new(ours, Codec), &mut calls, &mut waiting, deadlines);
        let served = timeout(2 * deadlines.call, served).await;
        assert_eq!(served, Ok(Failure::Closed));
    }
}
