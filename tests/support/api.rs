//! An API server in memory, behind a real `kube::Client`.
//!
//! It keeps objects, checks what the operator could get wrong (versions, preconditions, immutable fields, names,
//! duplicate list entries), collects what has no owner left, streams watches, writes down every request in words
//! (`apply StatefulSet mq/orders-0-master`), and fails on demand.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use futures::StreamExt;
use futures::stream;
use http::{Request as HttpRequest, Response};
use http_body_util::BodyExt;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::answers::{event, respond, selected, shown, typed};
use super::objects::{Key, Objects, Preconditions};
use super::request::{Request, Right, kind};
use super::validate::Refusal;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 409: somebody else wrote first.
    Conflict,
    /// 403.
    Forbidden,
    /// 500.
    Internal,
    /// No connection.
    Unreachable,
    /// It is done, but the answer is a 504.
    DoneButTimedOut,
    /// It is done, but the connection breaks.
    DoneButLost,
    /// No answer, ever.
    Hangs,
}

/// One rule by which requests fail.
struct Rule {
    /// Part of the request in words.
    about: String,
    failure: Failure,
    /// How often it still applies; for ever without a number.
    times: Option<usize>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    log: Vec<Logged>,
    rights: BTreeSet<Right>,
    rules: Vec<Rule>,
    /// Writes until the crash, that one included.
    crash_after: Option<usize>,
    dead: bool,
    /// Writes until one fails, that one included, and how it does.
    failing_write: Option<(usize, Failure)>,
    undefined: bool,
    /// Watches of an earlier number are closed.
    watches: u64,
    /// Changes up to this version are no longer told.
    forgotten: u64,
}

/// A request that was made, and whether it made a difference.
#[derive(Clone, Debug)]
struct Logged {
    request: Request,
    changed: bool,
}

/// The fake API server. Clones are the same server.
#[derive(Clone)]
pub struct FakeApi {
    state: Arc<Mutex<State>>,
    version: watch::Sender<u64>,
}

impl Default for FakeApi {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            version: watch::Sender::new(0),
        }
    }
}

impl FakeApi {
    /// A client of this server, in namespace `mq` unless it says otherwise.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let serve = move |request: HttpRequest<kube::client::Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        };
        Client::new(tower::service_fn(serve), "mq")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Touches the objects behind the operator's back, as a user or Kubernetes would.
    pub fn objects<T>(&self, work: impl FnOnce(&mut Objects) -> T) -> T {
        let mut state = self.state();
        let done = work(&mut state.objects);
        let version = state.objects.version();
        drop(state);
        self.version.send_replace(version);
        done
    }

    /// Where an object of kind `K` is kept; `name` is `namespace/name`.
    pub fn key<K: Resource<DynamicType = ()>>(name: &str) -> Key {
        let (namespace, name) = name
            .split_once('/')
            .unwrap_or_else(|| panic!("{name:?} is not namespace/name"));
        Key {
            group: K::group(&()).into_owned(),
            resource: K::plural(&()).into_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The object called `namespace/name`, if it is there.
    pub fn find<K: Resource<DynamicType = ()> + DeserializeOwned>(&self, name: &str) -> Option<K> {
        let object = self.state().objects.get(&Self::key::<K>(name)).ok().cloned();
        object.map(|object| serde_json::from_value(object).unwrap())
    }

    /// Every object of a kind, in the order of namespace and name.
    pub fn all<K: Resource<DynamicType = ()> + DeserializeOwned>(&self) -> Vec<K> {
        let state = self.state();
        let (group, plural) = (K::group(&()), K::plural(&()));
        let objects = state.objects.list(&group, &plural, "");
        objects
            .map(|object| serde_json::from_value(object.clone()).unwrap())
            .collect()
    }

    /// The next requests whose words contain `about` fail, as often as said.
    pub fn fail(&self, about: &str, failure: Failure, times: usize) {
        self.state().rules.push(Rule {
            about: about.to_owned(),
            failure,
            times: Some(times),
        });
    }

    /// All requests whose words contain `about` fail, until healed.
    pub fn fail_always(&self, about: &str, failure: Failure) {
        self.state().rules.push(Rule {
            about: about.to_owned(),
            failure,
            times: None,
        });
    }

    /// The operator dies right after its `count`-th write from now: the write is done, its answer never arrives,
    /// and nothing is answered after it until `heal`.
    pub fn crash_after_write(&self, count: usize) {
        self.state().crash_after = Some(count);
    }

    /// The `count`-th write from now fails.
    pub fn fail_write(&self, count: usize, failure: Failure) {
        self.state().failing_write = Some((count, failure));
    }

    /// Ends every failure.
    pub fn heal(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.crash_after = None;
        state.dead = false;
        state.failing_write = None;
    }

    /// Whether the crash asked for has happened.
    pub fn has_crashed(&self) -> bool {
        self.state().dead
    }

    /// Serves the custom resource definitions, or does not.
    pub fn defines_our_kinds(&self, defined: bool) {
        self.state().undefined = !defined;
    }

    /// Closes every watch; `forgetting` makes the clients list again.
    pub fn break_watches(&self, forgetting: bool) {
        let mut state = self.state();
        state.watches += 1;
        if forgetting {
            state.forgotten = state.objects.version();
        }
        let version = state.objects.version();
        drop(state);
        self.version.send_replace(version);
    }

    /// Every request since the last call, in words.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
            .iter()
            .map(|logged| logged.request.to_string())
            .collect()
    }

    /// Every write since the last call, in words, also those that changed nothing. Events do not count.
    pub fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state().log);
        log.iter()
            .filter(|logged| logged.request.is_write())
            .map(|logged| logged.request.to_string())
            .collect()
    }

    /// Every write since the last call that made a difference.
    pub fn changes(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state().log);
        let changed = log
            .iter()
            .filter(|logged| logged.request.is_write() && logged.changed);
        changed.map(|logged| logged.request.to_string()).collect()
    }

    /// Every right that a request has needed.
    pub fn rights_used(&self) -> BTreeSet<Right> {
        self.state().rights.clone()
    }

    async fn serve(&self, request: HttpRequest<kube::client::Body>) -> io::Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let mut request = Request::parse(&parts);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if request.verb == "create" {
            body["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut request.name);
        }
        let (answer, failure) = self.state().receive(&request, &body);
        let version = self.state().objects.version();
        self.version.send_replace(version);
        match failure {
            Some(Failure::Hangs) => std::future::pending().await,
            Some(Failure::Unreachable | Failure::DoneButLost) => Err(io::Error::other("connection refused")),
            _ if request.verb == "watch" && answer.is_ok() => Ok(Response::new(self.watch(request))),
            _ => Ok(respond(answer)),
        }
    }

    fn watch(&self, request: Request) -> Body {
        let from = request.parameter("resourceVersion").parse().unwrap_or(0);
        let number = self.state().watches;
        let (server, changes) = (self.clone(), self.version.subscribe());
        let events = stream::unfold((server, changes, from), move |(server, mut changes, from)| {
            let request = request.clone();
            async move {
                loop {
                    changes.borrow_and_update();
                    let (ended, lines, version) = server.state().events(&request, from, number);
                    if !lines.is_empty() {
                        return Some((lines, (server, changes, version)));
                    }
                    if ended || changes.changed().await.is_err() {
                        return None;
                    }
                }
            }
        });
        Body::from_stream(events.map(|lines| Ok::<_, Infallible>(Bytes::from(lines))))
    }
}

impl State {
    fn receive(&mut self, request: &Request, body: &Value) -> (Result<Value, Refusal>, Option<Failure>) {
        if self.dead {
            return (Err(Refusal::Internal), Some(Failure::Unreachable));
        }
        let failure = self.failure(request);
        let refused = match failure {
            Some(Failure::Conflict) => Some(Refusal::Conflict("the object has been modified".to_owned())),
            Some(Failure::Forbidden) => Some(Refusal::Forbidden),
            Some(Failure::Internal) => Some(Refusal::Internal),
            Some(Failure::Unreachable | Failure::Hangs) => return (Err(Refusal::Internal), failure),
            _ => None,
        };
        let before = self.objects.version();
        let answer = refused.map_or_else(|| self.answer(request, body), Err);
        let changed = self.objects.version() != before;
        self.log.push(Logged {
            request: request.clone(),
            changed,
        });
        self.note_rights(request, changed);
        if request.is_write() && self.counts_down_to_crash() {
            self.dead = true;
            return (answer, Some(Failure::DoneButLost));
        }
        match failure {
            Some(Failure::DoneButTimedOut) => (Err(Refusal::Timeout), None),
            Some(Failure::DoneButLost) => (answer, failure),
            _ => (answer, None),
        }
    }

    fn failure(&mut self, request: &Request) -> Option<Failure> {
        if let Some((left, failure)) = self.failing_write.as_mut().filter(|_| request.is_write()) {
            *left -= 1;
            if *left == 0 {
                let failure = *failure;
                self.failing_write = None;
                return Some(failure);
            }
        }
        let words = request.to_string();
        let at = self
            .rules
            .iter()
            .position(|rule| rule.times != Some(0) && words.contains(&rule.about))?;
        let rule = &mut self.rules[at];
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.failure)
    }

    fn counts_down_to_crash(&mut self) -> bool {
        let Some(left) = &mut self.crash_after else {
            return false;
        };
        *left -= 1;
        *left == 0
    }

    fn note_rights(&mut self, request: &Request, changed: bool) {
        if request.is_discovery() {
            return;
        }
        let right = request.right();
        // Server-side apply of what is not there needs the right to create it.
        let created = self
            .objects
            .changes
            .last()
            .is_some_and(|change| change.before.is_none());
        if request.verb == "apply" && changed && created {
            self.rights.insert(Right {
                verb: "create".to_owned(),
                ..right.clone()
            });
        }
        self.rights.insert(right);
    }

    fn answer(&mut self, request: &Request, body: &Value) -> Result<Value, Refusal> {
        if request.is_discovery() {
            return self.discover(request);
        }
        let key = Key {
            group: request.group.clone(),
            resource: request.resource.clone(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
        };
        let status = request.subresource == "status";
        let object = match request.verb {
            "watch" => return Ok(Value::Null),
            "list" => return Ok(self.list(request)),
            "get" => self.objects.get(&key).cloned(),
            "create" => self.objects.create(&key, typed(body, request)),
            "update" => self.objects.update(&key, body.clone(), status),
            "apply" if request.is_dry_run() => {
                let mut tried = self.objects.clone();
                tried.apply(&key, request.parameter("fieldManager"), body.clone(), status)
            }
            "apply" => self
                .objects
                .apply(&key, request.parameter("fieldManager"), body.clone(), status),
            "patch" => self.objects.patch(&key, body, status),
            "delete" => {
                let wanted = |field: &str| body["preconditions"][field].as_str().map(str::to_owned);
                let preconditions = Preconditions {
                    uid: wanted("uid"),
                    version: wanted("resourceVersion"),
                };
                self.objects
                    .delete(&key, &preconditions, body["propagationPolicy"] == "Orphan")
            }
            verb => panic!("no such verb: {verb}"),
        };
        Ok(shown(object?, request))
    }

    fn discover(&self, request: &Request) -> Result<Value, Refusal> {
        if self.undefined {
            return Err(Refusal::NotFound);
        }
        let resource = |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind(name), "verbs": ["get", "list", "watch"]});
        Ok(json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": format!("{}/{}", request.group, request.version),
            "resources": [resource("brokers"), resource("nameservices"), resource("topictransfers")],
        }))
    }

    fn list(&self, request: &Request) -> Value {
        let matching: Vec<_> = self
            .objects
            .list(&request.group, &request.resource, &request.namespace)
            .filter(|object| selected(object, request))
            .map(|object| shown(object.clone(), request))
            .collect();
        let start: usize = request.parameter("continue").parse().unwrap_or(0);
        let limit: usize = request.parameter("limit").parse().unwrap_or(usize::MAX);
        let end = start.saturating_add(limit).min(matching.len());
        let mut metadata = json!({"resourceVersion": self.objects.version().to_string()});
        if end < matching.len() {
            metadata["continue"] = json!(end.to_string());
        }
        json!({
            "kind": if request.metadata_only { "PartialObjectMetadataList".to_owned() } else { format!("{}List", request.kind()) },
            "apiVersion": if request.metadata_only { "meta.k8s.io/v1" } else { "v1" },
            "metadata": metadata,
            "items": matching[start..end],
        })
    }

    /// Whether a watch has ended, what it is told now, and up to which version that is.
    fn events(&self, request: &Request, from: u64, number: u64) -> (bool, String, u64) {
        if from < self.forgotten {
            let gone = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410});
            let lines = if number == self.watches {
                format!("{}\n", json!({"type": "ERROR", "object": gone}))
            } else {
                String::new()
            };
            return (true, lines, u64::MAX);
        }
        if number != self.watches {
            return (true, String::new(), from);
        }
        let news = self.objects.changes.iter().filter(|change| change.version > from);
        let lines = news
            .filter_map(|change| event(change, request))
            .fold(String::new(), |lines, event| lines + &event.to_string() + "\n");
        (false, lines, self.objects.version())
    }
}
