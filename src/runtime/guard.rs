//! What kube-runtime leaves to its caller: a deadline for each reconcile, panics contained, and a backoff for each
//! object.
//!
//! kube-runtime never starts a second reconcile of an object while one is in flight: without a deadline, one lost
//! answer would park the object for ever. A panic would unwind through the reconciler and stop all of them.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::Resource;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tokio::time::{Instant, timeout};

use super::metrics::{Kind, Metrics};
use crate::error::{Class, Error};

/// How long a reconcile may take.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);

/// Guards all reconciles of one kind.
pub(super) struct Guard<K: Resource<DynamicType = ()>> {
    kind: Kind,
    metrics: Arc<Metrics>,
    /// The objects whose last reconcile failed, with the number of failures in a row.
    failing: Mutex<HashMap<ObjectRef<K>, u32>>,
}

impl<K: Resource<DynamicType = ()>> Guard<K> {
    pub(super) fn new(kind: Kind, metrics: Arc<Metrics>) -> Self {
        Self {
            kind,
            metrics,
            failing: Mutex::default(),
        }
    }

    /// Runs one reconcile of `object`.
    pub(super) async fn run(
        &self,
        object: &K,
        reconcile: impl Future<Output = Result<Action, Error>>,
    ) -> Result<Action, Error> {
        let start = Instant::now();
        let result = match timeout(DEADLINE, AssertUnwindSafe(reconcile).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(Error::Panicked(message(panic.as_ref()))),
            Err(_) => Err(Error::Deadline(DEADLINE)),
        };
        self.metrics.reconciled(
            self.kind,
            start.elapsed(),
            result.as_ref().err().map(Error::class),
        );
        if result.is_ok() {
            self.forget(&ObjectRef::from(object));
        }
        result
    }

    /// Logs a failure, here and nowhere else, and says when to try again.
    pub(super) fn retry(&self, object: &K, error: &Error) -> Action {
        let class = error.class();
        let reference = ObjectRef::from(object);
        let mut failing = self.failing();
        let failures = failing.entry(reference.clone()).or_default();
        let wait = backoff(class, *failures, object.meta().uid.as_deref().unwrap_or_default());
        *failures = failures.saturating_add(1);
        self.metrics.backing_off(self.kind, failing.len());
        drop(failing);
        let (kind, namespace, name) = (self.kind.as_str(), reference.namespace, reference.name);
        let retry_in = tracing::field::debug(wait);
        match class {
            Class::Conflict => {
                tracing::debug!(kind, namespace, name, class = class.as_str(), retry_in, %error, "cannot reconcile");
            }
            Class::Bug => {
                tracing::error!(kind, namespace, name, class = class.as_str(), retry_in, %error, "cannot reconcile");
            }
            _ => {
                tracing::warn!(kind, namespace, name, class = class.as_str(), retry_in, %error, "cannot reconcile");
            }
        }
        Action::requeue(wait)
    }

    /// Forgets the failures of an object: it did well, or is gone.
    pub(super) fn forget(&self, object: &ObjectRef<K>) {
        let mut failing = self.failing();
        if failing.remove(object).is_some() {
            self.metrics.backing_off(self.kind, failing.len());
        }
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<ObjectRef<K>, u32>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wait after the first failure, doubled with each further one up to a limit; in milliseconds.
fn bounds(class: Class) -> (u64, u64) {
    match class {
        Class::Conflict => (500, 10_000),
        Class::Transient => (1_000, 60_000),
        Class::Remote => (2_000, 30_000),
        Class::Timeout => (5_000, 60_000),
        // Somebody has to change something first; a change of the object itself is not waited for.
        Class::Forbidden | Class::Invalid | Class::Bug => (5_000, 300_000),
    }
}

/// How long to wait after `failures` earlier failures. Up to a fifth is added, by object and try, so that objects
/// that failed together do not come back together.
fn backoff(class: Class, failures: u32, uid: &str) -> Duration {
    let (first, limit) = bounds(class);
    let wait = first.saturating_mul(1 << failures.min(16)).min(limit);
    let mut hasher = DefaultHasher::new();
    (uid, failures).hash(&mut hasher);
    Duration::from_millis(wait + wait / 5 * (hasher.finish() % 1000) / 1000)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Broker, BrokerSpec};

    fn guard() -> (Guard<Broker>, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        (Guard::new(Kind::Broker, metrics.clone()), metrics)
    }

    fn broker(name: &str) -> Broker {
        let mut broker = Broker::new(name, BrokerSpec::default());
        broker.metadata.namespace = Some("mq".to_owned());
        broker.metadata.uid = Some(format!("uid of {name}"));
        broker
    }

    fn failed() -> Error {
        Error::Deadline(DEADLINE)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_hangs_ends_at_its_deadline() {
        let (guard, metrics) = guard();
        let start = Instant::now();
        let result = guard.run(&broker("b"), std::future::pending()).await;
        assert!(matches!(result, Err(Error::Deadline(_))));
        assert_eq!(start.elapsed(), DEADLINE);
        let text = metrics.open_metrics().unwrap();
        assert!(
            text.contains(r#"reconcile_failures_total{kind="Broker",class="timeout"} 1"#),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_panic_becomes_an_error_of_that_reconcile() {
        let (guard, _) = guard();
        let result = guard.run(&broker("b"), async { panic!("no {}", "group") }).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "panicked: no group");
        assert_eq!(error.class(), Class::Bug);
    }

    #[test]
    fn the_wait_doubles_up_to_the_limit_of_its_class_with_at_most_a_fifth_on_top() {
        for class in [
            Class::Conflict,
            Class::Transient,
            Class::Remote,
            Class::Timeout,
            Class::Forbidden,
            Class::Invalid,
            Class::Bug,
        ] {
            let (first, limit) = bounds(class);
            for failures in 0..40 {
                let due =
                    Duration::from_millis(first.saturating_mul(2u64.saturating_pow(failures)).min(limit));
                let wait = backoff(class, failures, "uid");
                assert!(
                    wait >= due && wait <= due + due / 5,
                    "{class:?} after {failures}: {wait:?}"
                );
            }
        }
    }

    #[test]
    fn objects_that_failed_together_come_back_apart() {
        let waits: std::collections::HashSet<_> = (0..100)
            .map(|n| backoff(Class::Transient, 3, &format!("uid {n}")))
            .collect();
        assert!(waits.len() > 80, "{} different waits", waits.len());
    }

    #[tokio::test]
    async fn each_object_has_its_own_backoff_and_success_ends_it() {
        let (guard, metrics) = guard();
        let (a, b) = (broker("a"), broker("b"));
        let in_backoff = || {
            let text = metrics.open_metrics().unwrap();
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("rocketmq_operator_objects_in_backoff{kind=\"Broker\"} "));
            line.unwrap_or("0").to_owned()
        };
        let first = guard.retry(&a, &failed());
        assert_ne!(guard.retry(&a, &failed()), first);
        guard.retry(&b, &failed());
        assert_eq!(in_backoff(), "2");
        guard.run(&a, async { Ok(Action::await_change()) }).await.unwrap();
        assert_eq!(in_backoff(), "1");
        assert_eq!(guard.retry(&a, &failed()), first);
    }

    #[test]
    fn an_object_that_is_gone_is_forgotten() {
        let (guard, _) = guard();
        guard.retry(&broker("a"), &failed());
        guard.forget(&ObjectRef::from(&broker("a")));
        assert!(guard.failing().is_empty());
    }
}
