//! The Go operator's lease. Two operators must not act on the same objects; the older one shows in a Lease in its
//! own namespace that it is at work.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::lease::{DURATION, RETRY};
use crate::settings::Scope;

/// The name of the Go operator's lease, in each of its versions that has one.
pub const LEASE: &str = "2516c052.apache.org";

/// From one look to the next while we lead.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// A lease that by the clock was not renewed for this long is a leftover, however far apart the clocks are.
const LEFTOVER: SignedDuration = SignedDuration::from_mins(10);

/// Watches for the Go operator.
pub struct GoOperator {
    /// Where to look, and what to call it.
    places: Vec<(String, Api<Lease>)>,
    /// For each namespace the version last seen, and when it was first seen.
    seen: HashMap<String, (String, Instant)>,
    /// The places that we may not look into, said once.
    forbidden: HashSet<String>,
}

impl GoOperator {
    /// Looks where the Go operator may be: in our own namespace and wherever we watch.
    #[must_use]
    pub fn new(client: &Client, own_namespace: &str, scope: &Scope) -> Self {
        let in_namespace =
            |name: &String| (format!("namespace {name}"), Api::namespaced(client.clone(), name));
        let places = match scope {
            Scope::All => vec![("all namespaces".to_owned(), Api::all(client.clone()))],
            Scope::Namespaces(names) => {
                let mut names = names.clone();
                names.insert(own_namespace.to_owned());
                names.iter().map(in_namespace).collect()
            }
        };
        Self {
            places,
            seen: HashMap::new(),
            forbidden: HashSet::new(),
        }
    }

    /// Resolves when the Go operator is not at work. Until then `waiting` is told of its lease, or of an error.
    pub async fn gone(&mut self, waiting: impl Fn(Result<&str, &str>)) {
        loop {
            match self.look().await {
                Ok(None) => return,
                Ok(Some(lease)) => waiting(Ok(&lease)),
                Err(error) => waiting(Err(&error)),
            }
            sleep(RETRY).await;
        }
    }

    /// Resolves when the Go operator is at work (again), with its lease.
    pub async fn appears(&mut self) -> String {
        loop {
            sleep(LOOK_EVERY).await;
            if let Ok(Some(lease)) = self.look().await {
                return lease;
            }
        }
    }

    /// The lease of a Go operator at work, as `namespace/name of holder`.
    async fn look(&mut self) -> Result<Option<String>, String> {
        let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
        let mut leases = Vec::new();
        for (place, api) in &self.places {
            match timeout(LOOK, api.list(&named)).await {
                Ok(Ok(list)) => leases.extend(list.items),
                Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => {
                    if self.forbidden.insert(place.clone()) {
                        warn!(
                            place,
                            lease = LEASE,
                            "may not see whether the Go operator is at work"
                        );
                    }
                }
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err(format!("no answer in {LOOK:?}")),
            }
        }
        Ok(leases.iter().find_map(|lease| self.held(lease)))
    }

    fn held(&mut self, lease: &Lease) -> Option<String> {
        let spec = lease.spec.as_ref()?;
        let holder = spec
            .holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())?;
        let renewed = spec.renew_time.as_ref()?;
        if Timestamp::now().duration_since(renewed.0) > LEFTOVER {
            return None;
        }
        let namespace = lease.namespace().unwrap_or_default();
        let version = lease.resource_version().unwrap_or_default();
        let entry = self
            .seen
            .entry(namespace.clone())
            .or_insert_with(|| (version.clone(), Instant::now()));
        if entry.0 != version {
            *entry = (version, Instant::now());
        }
        let told = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = told.map_or(DURATION, Duration::from_secs);
        (entry.1.elapsed() < lasts).then(|| format!("{namespace}/{LEASE} of {holder}"))
    }
}
