//! `/metrics`, `/healthz` and `/readyz` on one port.
//!
//! `/healthz` says that the process answers and asks nobody else: an API server that is away must not get the
//! operator killed. `/readyz` says whether this replica does its part, and what is missing if not.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics::Metrics;

/// What this replica is doing, as `/readyz` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet connected to anything.
    Starting,
    /// Something is in the way; it is tried again.
    Hindered(String),
    /// These custom resource definitions are not served yet.
    WaitingForDefinitions(Vec<String>),
    /// The Go operator still works here, as its lease shows; only its removal helps.
    BlockedByGoOperator(String),
    /// Another replica leads; this one would take over.
    Standby(String),
    /// Leading, but these caches have not been filled yet.
    FillingCaches(Vec<&'static str>),
    /// Leading and reconciling.
    Reconciling,
    /// Finishing what is in flight.
    Stopping,
}

impl Phase {
    /// Whether a replica in this phase does its part.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Standby(_) | Self::Reconciling)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Hindered(error) => write!(f, "cannot go on: {error}"),
            Self::WaitingForDefinitions(names) => {
                write!(
                    f,
                    "waiting for the custom resource definitions {}",
                    names.join(", ")
                )
            }
            Self::BlockedByGoOperator(lease) => {
                write!(f, "waiting for the Go operator to go: it holds the lease {lease}")
            }
            Self::Standby(holder) => write!(f, "standing by: {holder} leads"),
            Self::FillingCaches(kinds) => write!(f, "waiting for the caches of {}", kinds.join(", ")),
            Self::Reconciling => f.write_str("reconciling"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

/// The phase of this process: set by `run`, read by `/readyz`.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Phase>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Readiness {
    /// Changes the phase; logs it if it is news.
    pub fn set(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let news = *now != phase;
            if news {
                tracing::info!("{phase}");
                *now = phase;
            }
            news
        });
    }

    /// The phase now.
    #[must_use]
    pub fn get(&self) -> Phase {
        self.0.borrow().clone()
    }
}

#[derive(Clone)]
struct Seen {
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// Serves the three routes until the process ends.
///
/// # Errors
/// If the listening socket fails.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) -> io::Result<Infallible> {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(open_metrics))
        .with_state(Seen { metrics, readiness });
    axum::serve(listener, routes).await?;
    Err(io::Error::other("the HTTP server ended"))
}

async fn readyz(State(seen): State<Seen>) -> (StatusCode, String) {
    let phase = seen.readiness.get();
    let code = if phase.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, format!("{phase}\n"))
}

async fn open_metrics(State(seen): State<Seen>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match seen.metrics.open_metrics() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, kind)], text)),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(from: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(from).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn served() -> (SocketAddr, Arc<Metrics>, Readiness) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, readiness) = (Arc::new(Metrics::default()), Readiness::default());
        tokio::spawn(serve(listener, metrics.clone(), readiness.clone()));
        (address, metrics, readiness)
    }

    #[tokio::test]
    async fn a_process_that_waits_is_healthy_but_not_ready_and_says_what_for() {
        let (address, _, readiness) = served().await;
        readiness.set(Phase::WaitingForDefinitions(vec![
            "brokers.rocketmq.apache.org".into(),
        ]));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.contains("waiting for the custom resource definitions brokers.rocketmq"),
            "{answer}"
        );
        readiness.set(Phase::FillingCaches(vec!["Broker", "Pod"]));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.ends_with("waiting for the caches of Broker, Pod\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_standby_is_ready() {
        let (address, _, readiness) = served().await;
        readiness.set(Phase::Standby("other-pod".into()));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("standing by: other-pod leads\n"), "{answer}");
    }

    #[tokio::test]
    async fn metrics_are_served_as_open_metrics() {
        let (address, metrics, _) = served().await;
        metrics.leading(true);
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{answer}"
        );
        assert!(answer.contains("rocketmq_operator_leader 1\n"), "{answer}");
    }
}
