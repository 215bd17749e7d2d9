//! A door between an operator and the API server that closes after a write of the story's choice: the write has happened, its answer
//! never arrives, and nothing else gets through. With it an operator is killed at any point of its work.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, Request, header};
use axum::response::Response;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{Mutex, watch};

use super::operator::{self, USER};

/// The door. It stands open until it is told when to close.
pub struct Gate {
    address: SocketAddr,
    door: Arc<Door>,
    directory: tempfile::TempDir,
}

struct Door {
    client: Client,
    /// Holds how many more writes pass. Held while one is under way, so that writes pass one by one.
    left: Mutex<u32>,
    /// Writes that passed since the door was opened, and whether it has closed.
    passed: watch::Sender<(u32, bool)>,
}

/// An operator that runs on this machine, outside the cluster, behind the gate, with the rights of the installed one.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Gate {
    /// Builds a gate before the API server of this client.
    pub async fn build(client: Client) -> Self {
        let door = Arc::new(Door {
            client,
            left: Mutex::new(u32::MAX),
            passed: watch::Sender::new((0, false)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(pass).with_state(Arc::clone(&door));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            door,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Opens the door for so many writes, events not counted.
    pub async fn open_for(&self, writes: u32) {
        *self.door.left.lock().await = writes;
        self.door.passed.send_replace((0, false));
    }

    /// Runs one operator after the other, each until its first write, for as long as it is polled. `killed` counts them.
    pub async fn kill_after_each_write(&self, namespace: &str, killed: &mut u32) {
        loop {
            self.open_for(1).await;
            let operator = self.operator(namespace);
            self.closed().await;
            operator.kill().await;
            *killed += 1;
        }
    }

    /// How many writes passed since it was opened.
    pub fn passed(&self) -> u32 {
        self.door.passed.borrow().0
    }

    /// Waits until it has closed.
    pub async fn closed(&self) {
        self.door
            .passed
            .subscribe()
            .wait_for(|(_, closed)| *closed)
            .await
            .unwrap();
    }

    /// Starts an operator for one namespace behind the gate.
    pub fn operator(&self, namespace: &str) -> Operator {
        let kubeconfig = self.directory.path().join("kubeconfig");
        let server = format!("http://{}", self.address);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "gate",
            "clusters": [{ "name": "gate", "cluster": { "server": server } }],
            "contexts": [{ "name": "gate", "context": { "cluster": "gate", "user": "gate" } }],
            "users": [{ "name": "gate", "user": {} }],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let log = self.directory.path().join(format!("{namespace}.log"));
        let flags = ["--leader-election=false", "--watch-namespace", namespace];
        let child = operator::process(&kubeconfig, &log, &flags);
        Operator { child, log }
    }
}

impl Operator {
    /// SIGKILL: no goodbye.
    pub async fn kill(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the operator had ended by itself ({ended:?}):\n{}",
            self.log()
        );
        self.child.kill().await.unwrap();
    }

    /// What it and those before it in this namespace logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// Passes a request on as the operator's service account; what comes after the last write never gets an answer.
async fn pass(State(door): State<Arc<Door>>, request: Request<axum::body::Body>) -> Response {
    let only_tried = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("dryRun=All"));
    let counts = request.method() != Method::GET && !only_tried && !request.uri().path().ends_with("/events");
    let answer = if counts {
        write(&door, request).await
    } else {
        read(&door, request).await
    };
    match answer {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

async fn read(door: &Door, request: Request<axum::body::Body>) -> Option<Response> {
    if door.passed.borrow().1 {
        return None;
    }
    Some(forward(&door.client, request).await)
}

async fn write(door: &Door, request: Request<axum::body::Body>) -> Option<Response> {
    let mut left = door.left.lock().await;
    let response = read(door, request).await?;
    *left -= 1;
    let closes = *left == 0;
    door.passed
        .send_modify(|(passed, closed)| (*passed, *closed) = (*passed + 1, closes));
    (!closes).then_some(response)
}

async fn forward(client: &Client, request: Request<axum::body::Body>) -> Response {
    let (mut head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    for name in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::AUTHORIZATION,
        header::CONNECTION,
    ] {
        head.headers.remove(name);
    }
    head.headers
        .insert("impersonate-user", HeaderValue::from_static(USER));
    match client
        .send(Request::from_parts(head, Body::from(body.to_vec())))
        .await
    {
        Ok(response) => response.map(axum::body::Body::new),
        Err(why) => Response::builder()
            .status(502)
            .body(why.to_string().into())
            .unwrap(),
    }
}
