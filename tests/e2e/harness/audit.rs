//! The API server's audit log: who asked for what between two marks.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::cluster::{Cluster, run, text};
use super::wait::{seconds, wait_for};

/// One request that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// As what program.
    pub agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` and so on.
    pub verb: String,
    /// The plural of the kind, with the subresource after a slash.
    pub resource: String,
    /// The namespace, empty for what has none.
    pub namespace: String,
    /// The object's name, empty for lists.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u64,
}

impl Request {
    /// Whether it wrote, or tried to.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it was answered with an error.
    pub fn is_error(&self) -> bool {
        self.code >= 400
    }

    fn read(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        if text(&event, "/stage") != "ResponseComplete" {
            return None;
        }
        let subresource = text(&event, "/objectRef/subresource");
        let slash = if subresource.is_empty() { "" } else { "/" };
        Some(Self {
            user: text(&event, "/user/username").to_owned(),
            agent: text(&event, "/userAgent").to_owned(),
            verb: text(&event, "/verb").to_owned(),
            resource: format!("{}{slash}{subresource}", text(&event, "/objectRef/resource")),
            namespace: text(&event, "/objectRef/namespace").to_owned(),
            name: text(&event, "/objectRef/name").to_owned(),
            code: event
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
        })
    }
}

/// The log, read from a mark on.
pub struct Audit {
    path: PathBuf,
    from: u64,
}

impl Audit {
    /// Starts to read at a mark made now.
    pub async fn from_now(cluster: &Cluster) -> Self {
        let said = run("tests/cluster/cluster", &["audit"], "", seconds(30))
            .await
            .done();
        let mut audit = Self {
            path: PathBuf::from(said.trim()),
            from: 0,
        };
        audit.from = std::fs::metadata(&audit.path)
            .unwrap_or_else(|e| panic!("{}: {e}", audit.path.display()))
            .len();
        audit.mark(cluster).await;
        audit
    }

    /// Everything that was answered since the last mark; sets the next mark.
    pub async fn since_mark(&mut self, cluster: &Cluster) -> Vec<Request> {
        let start = self.from;
        let end = self.mark(cluster).await;
        self.read(start, end).lines().filter_map(Request::read).collect()
    }

    /// Asks the API server for an object that is not there and waits until the log has that request: what was answered
    /// before is in the log too.
    async fn mark(&mut self, cluster: &Cluster) -> u64 {
        let name = format!(
            "e2e-mark-{}",
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
        );
        assert!(cluster.get("ConfigMap", "default", &name).await.is_none());
        let from = self.from;
        let end = wait_for("the audit log has the mark", seconds(30), async || {
            let length = std::fs::metadata(&self.path).map_err(|e| e.to_string())?.len();
            if self.read(from, length).contains(&name) {
                Ok(length)
            } else {
                Err("not yet".into())
            }
        })
        .await;
        self.from = end;
        end
    }

    fn read(&self, from: u64, to: u64) -> String {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = Vec::new();
        file.take(to - from).read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
