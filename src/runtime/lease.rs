//! Leader election on a `coordination.k8s.io/v1` Lease.
//!
//! The rules are client-go's: whoever holds the Lease renews it; who has not managed to for ten seconds stops
//! working; who has seen no renewal for fifteen may take it. Time is measured by each process's own monotonic clock
//! from when it saw a change, so clocks of nodes need not agree. Every write carries the version that was read, so
//! of two that take the Lease at once the API server refuses one.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, info, warn};

/// Without a renewal for this long, others may take the Lease.
pub const DURATION: Duration = Duration::from_secs(15);

/// Without a successful renewal for this long, the holder stops.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// From one renewal to the next: as rare as leaves room for three tries before the deadline.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);

/// From a failed try to the next, and from one look at somebody else's Lease to the next.
pub const RETRY: Duration = Duration::from_secs(2);

/// How long one try may take.
const TRY: Duration = Duration::from_secs(3);

/// Why this process no longer leads.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The Lease could not be renewed in time; another may hold it any moment.
    #[error("the lease {lease} could not be renewed for {RENEW_DEADLINE:?}: {reason}")]
    Expired {
        /// `namespace/name`.
        lease: String,
        /// What the last try said.
        reason: String,
    },
    /// Another process holds the Lease.
    #[error("the lease {lease} was taken by {holder}")]
    Taken {
        /// `namespace/name`.
        lease: String,
        /// The identity of the other.
        holder: String,
    },
}

/// Takes, keeps and releases one Lease.
pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    name: String,
    identity: String,
    /// The version last seen, and when it was first seen.
    seen: Option<(String, Instant)>,
    /// The Lease as we last wrote it.
    held: Option<Lease>,
    /// When the last successful write was sent.
    renewed: Instant,
}

/// What one try came to.
enum Standing {
    Held,
    HeldBy(String),
    /// Somebody else wrote first; what, is seen with the next try.
    Raced,
}

impl Elector {
    /// An elector that holds nothing yet. `identity` must be this process's alone.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            seen: None,
            held: None,
            renewed: Instant::now(),
        }
    }

    /// The Lease as `namespace/name`.
    #[must_use]
    pub fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Resolves when this process holds the Lease. Until then `waiting` is told what for: the holder, or an error.
    pub async fn acquire(&mut self, waiting: impl Fn(Result<&str, &str>)) {
        loop {
            match self.attempt(Instant::now() + TRY).await {
                Ok(Standing::Held) => {
                    info!(lease = self.lease(), identity = self.identity, "took the lease");
                    return;
                }
                Ok(Standing::HeldBy(holder)) => waiting(Ok(&holder)),
                Ok(Standing::Raced) => {}
                Err(reason) => waiting(Err(&reason)),
            }
            sleep(RETRY).await;
        }
    }

    /// Renews the Lease until that fails for too long; resolves only then. To be called once it is held.
    pub async fn keep(&mut self) -> Lost {
        let mut next = self.renewed + RENEW_EVERY;
        let mut reason = String::from("no try succeeded");
        loop {
            let deadline = self.renewed + RENEW_DEADLINE;
            sleep_until(next.min(deadline)).await;
            if Instant::now() >= deadline {
                return Lost::Expired {
                    lease: self.lease(),
                    reason,
                };
            }
            let tried = Instant::now();
            match self.attempt(deadline.min(tried + TRY)).await {
                Ok(Standing::Held) => next = self.renewed + RENEW_EVERY,
                Ok(Standing::HeldBy(holder)) => {
                    return Lost::Taken {
                        lease: self.lease(),
                        holder,
                    };
                }
                // Look at once what is there: our own write, whose answer was lost, or another's.
                Ok(Standing::Raced) => next = Instant::now(),
                Err(why) => {
                    debug!(lease = self.lease(), error = why, "could not renew the lease");
                    reason = why;
                    // From when it began: a try that hung has waited long enough.
                    next = tried + RETRY;
                }
            }
        }
    }

    /// Lets a successor in without waiting, if this process holds the Lease. To be called when nothing is being
    /// written any more; best effort.
    pub async fn release(&mut self) {
        match timeout_at(Instant::now() + TRY, self.give_back()).await {
            Ok(Ok(true)) => info!(lease = self.lease(), "released the lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(lease = self.lease(), %error, "could not release the lease"),
            Err(_) => warn!(lease = self.lease(), "could not release the lease in {TRY:?}"),
        }
    }

    async fn give_back(&mut self) -> kube::Result<bool> {
        // A renewal that was cut off leaves nothing known.
        let known = match self.held.take() {
            Some(lease) => Some(lease),
            None => self.api.get_opt(&self.name).await?,
        };
        let Some(mut lease) = known else { return Ok(false) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(false);
        }
        spec.holder_identity = None;
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await?;
        Ok(true)
    }

    async fn attempt(&mut self, until: Instant) -> Result<Standing, String> {
        let tried = timeout_at(until, self.take_or_renew()).await;
        tried
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())
    }

    /// Whatever ends this early leaves `held` empty, so that the next try reads what is there.
    async fn take_or_renew(&mut self) -> kube::Result<Standing> {
        let known = match self.held.take() {
            Some(lease) => Some(lease),
            None => self.api.get_opt(&self.name).await?,
        };
        let Some(mut lease) = known else {
            return self.create().await;
        };
        self.observe(&lease);
        let spec = lease.spec.get_or_insert_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity {
            if !holder.is_empty() && self.is_fresh() {
                return Ok(Standing::HeldBy(holder));
            }
            spec.acquire_time = Some(now());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(seconds(DURATION));
        spec.renew_time = Some(now());
        let sent = Instant::now();
        let written = self.api.replace(&self.name, &PostParams::default(), &lease).await;
        self.written(written, sent)
    }

    async fn create(&mut self) -> kube::Result<Standing> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(seconds(DURATION)),
                acquire_time: Some(now()),
                renew_time: Some(now()),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        let sent = Instant::now();
        let written = self.api.create(&PostParams::default(), &lease).await;
        self.written(written, sent)
    }

    fn written(&mut self, result: kube::Result<Lease>, sent: Instant) -> kube::Result<Standing> {
        match result {
            Ok(lease) => {
                self.observe(&lease);
                self.held = Some(lease);
                self.renewed = sent;
                Ok(Standing::Held)
            }
            Err(kube::Error::Api(status))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                Ok(Standing::Raced)
            }
            Err(error) => Err(error),
        }
    }

    fn observe(&mut self, lease: &Lease) {
        let version = lease.resource_version().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
    }

    fn is_fresh(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() < DURATION)
    }
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
