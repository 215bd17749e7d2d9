//! The caches: one mirror a kind, fed by one watch for each namespace, or one for all.
//!
//! A mirror is a kube-runtime store and what to do when an object in it changes. kube-runtime's `Controller` could
//! do both, but it pauses every trigger while any of its watches fails, loses deletions that happen while a watch
//! is down, and cannot feed one store from several namespaces. So each watch here backs off on its own, its errors
//! end here, and a new list is compared with what is known.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::mem::Discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::core::{DeserializeGuard, Resource};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::metrics::{Kind, Metrics};
use crate::settings::Scope;

/// Objects in one page of a list: small, because a page is held in memory as it came, before it is pruned.
const PAGE: u32 = 100;

/// How long one watch request lasts, in seconds; a connection that died without a word is replaced this late.
const WATCH_SECONDS: u32 = 120;

/// A watch that has been failing is news again after this time without a failure; longer than the longest backoff.
const QUIET: Duration = Duration::from_mins(2);

/// One change of one object: created (no `before`), changed, or deleted (no `after`).
#[derive(Debug)]
pub(super) struct Change<'a, K> {
    pub(super) before: Option<&'a K>,
    pub(super) after: Option<&'a K>,
}

impl<K> Clone for Change<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Change<'_, K> {}

impl<'a, K> Change<'a, K> {
    /// The object before and after, as far as it existed.
    pub(super) fn sides(self) -> impl Iterator<Item = &'a K> {
        self.before.into_iter().chain(self.after)
    }
}

/// What can be mirrored: namespaced kinds that are known at compile time.
pub(super) trait Mirrored:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Mirrored for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// A new, empty cache: the end to read and the end to fill.
pub(super) fn cache<K: Mirrored>() -> (Store<K>, Writer<K>) {
    let (store, mut writer) = reflector::store();
    // The store would forget what it has with each new list of one namespace, so it is told of single objects
    // only. Whether it is complete is known from `Watches::missing`.
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    (store, writer)
}

/// All watches of the process.
pub(super) struct Watches {
    client: Client,
    scope: Scope,
    metrics: Arc<Metrics>,
    missing: Arc<watch::Sender<BTreeSet<Kind>>>,
    tasks: JoinSet<()>,
}

impl Watches {
    pub(super) fn new(client: Client, scope: Scope, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            scope,
            metrics,
            missing: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Keeps `writer`'s cache a mirror of what the API server holds of this kind, pruned, and tells `changed` of
    /// each change.
    pub(super) fn mirror<K: Mirrored>(
        &mut self,
        kind: Kind,
        select: Select,
        writer: Writer<K>,
        keep: Keep<K, impl FnMut(Change<'_, K>) + Send + 'static>,
    ) {
        let events = self.each_namespace(|api, part| {
            let objects = watcher(api, select.config()).default_backoff();
            objects
                .map(move |event| (part, event.map(|event| map(event, |k| DeserializeGuard(Ok(k))))))
                .boxed()
        });
        self.start(kind, events, writer, keep);
    }

    /// The same for the kinds whose schema is ours: an object that an older schema let pass and that cannot be read
    /// now is left out and named, where it would break the list of all.
    pub(super) fn mirror_guarded<K: Mirrored>(
        &mut self,
        kind: Kind,
        writer: Writer<K>,
        keep: Keep<K, impl FnMut(Change<'_, K>) + Send + 'static>,
    ) {
        let events = self.each_namespace(|api: Api<DeserializeGuard<K>>, part| {
            let objects = watcher(api, Select::Everything.config()).default_backoff();
            objects.map(move |event| (part, event)).boxed()
        });
        self.start(kind, events, writer, keep);
    }

    fn each_namespace<O, E>(
        &self,
        watch: impl Fn(Api<O>, usize) -> BoxStream<'static, E>,
    ) -> SelectAll<BoxStream<'static, E>>
    where
        O: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let apis = match &self.scope {
            Scope::All => vec![Api::all(self.client.clone())],
            Scope::Namespaces(names) => names
                .iter()
                .map(|name| Api::namespaced(self.client.clone(), name))
                .collect(),
        };
        apis.into_iter()
            .enumerate()
            .map(|(part, api)| watch(api, part))
            .collect()
    }

    fn start<K: Mirrored>(
        &mut self,
        kind: Kind,
        events: impl Stream<Item = (usize, Result<Event<DeserializeGuard<K>>, watcher::Error>)>
        + Send
        + Unpin
        + 'static,
        writer: Writer<K>,
        keep: Keep<K, impl FnMut(Change<'_, K>) + Send + 'static>,
    ) {
        self.missing.send_if_modified(|missing| missing.insert(kind));
        let mut mirror = Mirror::new(kind, &self.scope, writer, keep, self.metrics.clone());
        let (missing, mut events) = (self.missing.clone(), events);
        self.tasks.spawn(async move {
            while let Some((part, event)) = events.next().await {
                mirror.observe(part, event);
                if mirror.is_filled() {
                    missing.send_if_modified(|missing| missing.remove(&kind));
                }
            }
        });
    }

    /// The kinds whose cache is not complete yet.
    pub(super) fn missing(&self) -> watch::Receiver<BTreeSet<Kind>> {
        self.missing.subscribe()
    }

    /// Resolves if a watch ends, which none does unless it panics.
    pub(super) async fn ended(mut self) {
        self.tasks.join_next().await;
    }
}

/// Which objects of a kind to watch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Select {
    Everything,
    Labels(&'static str),
    Fields(&'static str),
}

impl Select {
    fn config(self) -> watcher::Config {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
        match self {
            Self::Everything => config,
            Self::Labels(selector) => config.labels(selector),
            Self::Fields(selector) => config.fields(selector),
        }
    }
}

/// What a mirror does with an object: prune it, and tell of its change.
pub(super) struct Keep<K, F: FnMut(Change<'_, K>)> {
    pub(super) prune: fn(&mut K),
    pub(super) changed: F,
}

/// One watch of a mirror.
struct Part<K: Mirrored> {
    namespace: Option<String>,
    /// What a list that is under way has brought so far.
    listing: Option<HashSet<ObjectRef<K>>>,
    filled: bool,
    trouble: Option<(Symptom, Instant)>,
}

/// What tells one kind of failure from another: where it happened, and the API server's code if it answered.
type Symptom = (Discriminant<watcher::Error>, Option<u16>);

fn symptom(error: &watcher::Error) -> Symptom {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    (std::mem::discriminant(error), code)
}

struct Mirror<K: Mirrored, F: FnMut(Change<'_, K>)> {
    kind: Kind,
    parts: Vec<Part<K>>,
    store: Store<K>,
    writer: Writer<K>,
    keep: Keep<K, F>,
    metrics: Arc<Metrics>,
}

impl<K: Mirrored, F: FnMut(Change<'_, K>)> Mirror<K, F> {
    fn new(kind: Kind, scope: &Scope, writer: Writer<K>, keep: Keep<K, F>, metrics: Arc<Metrics>) -> Self {
        let part = |namespace| Part {
            namespace,
            listing: None,
            filled: false,
            trouble: None,
        };
        let parts = match scope {
            Scope::All => vec![part(None)],
            Scope::Namespaces(names) => names.iter().map(|name| part(Some(name.clone()))).collect(),
        };
        Self {
            kind,
            parts,
            store: writer.as_reader(),
            writer,
            keep,
            metrics,
        }
    }

    /// Whether every watch has brought its first list.
    fn is_filled(&self) -> bool {
        self.parts.iter().all(|part| part.filled)
    }

    fn observe(&mut self, part: usize, event: Result<Event<DeserializeGuard<K>>, watcher::Error>) {
        match event {
            Err(error) => self.failed(part, &error),
            // Said before the API server is asked: proves nothing.
            Ok(Event::Init) => self.list(part, Some(HashSet::new())),
            Ok(event) => {
                self.recovered(part);
                match event {
                    Event::Init => {}
                    Event::InitApply(object) => {
                        self.listed(part, ObjectRef::from(&object));
                        self.applied(object);
                    }
                    Event::InitDone => self.complete(part),
                    Event::Apply(object) => self.applied(object),
                    Event::Delete(object) => self.gone(&object),
                }
                self.metrics.cached(self.kind, self.store.len());
            }
        }
    }

    fn list(&mut self, part: usize, listing: Option<HashSet<ObjectRef<K>>>) {
        if let Some(part) = self.parts.get_mut(part) {
            part.listing = listing;
        }
    }

    fn listed(&mut self, part: usize, object: ObjectRef<DeserializeGuard<K>>) {
        if let Some(listing) = self.parts.get_mut(part).and_then(|part| part.listing.as_mut()) {
            listing.insert(object.into_kind_unchecked(()));
        }
    }

    fn applied(&mut self, object: DeserializeGuard<K>) {
        let mut object = match object.0 {
            Ok(object) => object,
            Err(invalid) => {
                let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
                warn!(
                    kind = self.kind.as_str(),
                    namespace,
                    name,
                    error = invalid.error,
                    "cannot read; left alone"
                );
                return;
            }
        };
        (self.keep.prune)(&mut object);
        let before = self.store.get(&ObjectRef::from(&object));
        if before
            .as_ref()
            .is_some_and(|before| same_version(before.as_ref(), &object))
        {
            return;
        }
        let event = Event::Apply(object);
        self.writer.apply_watcher_event(&event);
        if let Event::Apply(object) = &event {
            (self.keep.changed)(Change {
                before: before.as_deref(),
                after: Some(object),
            });
        }
    }

    fn gone(&mut self, object: &DeserializeGuard<K>) {
        if let Some(before) = self.store.get(&ObjectRef::from(object).into_kind_unchecked(())) {
            self.forget(&before);
        }
    }

    fn forget(&mut self, before: &Arc<K>) {
        self.writer.apply_watcher_event(&Event::Delete(K::clone(before)));
        (self.keep.changed)(Change {
            before: Some(before.as_ref()),
            after: None,
        });
    }

    /// A list is complete: what is known and was not in it has been deleted meanwhile.
    fn complete(&mut self, part: usize) {
        let Some(part) = self.parts.get_mut(part) else {
            return;
        };
        part.filled = true;
        let listing = part.listing.take().unwrap_or_default();
        let namespace = part.namespace.clone();
        let covered = |object: &K| namespace.is_none() || namespace == object.namespace();
        let gone = self
            .store
            .state_filter(|object| covered(object) && !listing.contains(&ObjectRef::from(object)));
        for object in &gone {
            self.forget(object);
        }
    }

    /// Counts every failure, logs the first of its sort.
    fn failed(&mut self, part: usize, error: &watcher::Error) {
        let symptom = symptom(error);
        let Some(part) = self.parts.get_mut(part) else {
            return;
        };
        let (kind, namespace) = (self.kind.as_str(), part.namespace.as_deref());
        if symptom.1 == Some(410) {
            debug!(kind, namespace, %error, "listing again");
            return;
        }
        self.metrics.watch_failed(self.kind);
        let known = part.trouble.replace((symptom, Instant::now()));
        if known.is_none_or(|(before, at)| before != symptom || at.elapsed() > QUIET) {
            warn!(kind, namespace, %error, "cannot watch; trying again");
        }
    }

    fn recovered(&mut self, part: usize) {
        let Some(part) = self.parts.get_mut(part) else {
            return;
        };
        if part.trouble.take().is_some() {
            info!(
                kind = self.kind.as_str(),
                namespace = part.namespace.as_deref(),
                "watching again"
            );
        }
    }
}

fn same_version<K: Resource>(one: &K, other: &K) -> bool {
    let (one, other) = (one.meta(), other.meta());
    one.resource_version.is_some() && one.uid == other.uid && one.resource_version == other.resource_version
}

fn map<K, O>(event: Event<K>, wrap: impl FnOnce(K) -> O) -> Event<O> {
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(wrap(object)),
        Event::Apply(object) => Event::Apply(wrap(object)),
        Event::Delete(object) => Event::Delete(wrap(object)),
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
