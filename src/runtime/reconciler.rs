//! One kind's reconciles: queued, bounded in number, guarded, and finished when told to stop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use kube::runtime::controller::{Action, Config, Controller, Error as ControllerError};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::guard::Guard;
use super::metrics::Kind;
use super::streams::Mirrored;
use crate::context::Context;
use crate::error::Error;

/// Reconciles of one kind at the same time; they wait for others most of their time.
const CONCURRENCY: u16 = 16;

/// Changes this close together make one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What is reconciled, and when.
pub(super) struct Reconciler<K: Mirrored> {
    pub(super) kind: Kind,
    pub(super) store: Store<K>,
    pub(super) due: UnboundedReceiver<ObjectRef<K>>,
}

impl<K: Mirrored> Reconciler<K> {
    /// Reconciles until told to stop, and until what is in flight then has finished.
    pub(super) async fn run<F>(
        self,
        reconcile: fn(Arc<K>, Arc<Context>) -> F,
        context: Arc<Context>,
        stop: CancellationToken,
    ) where
        F: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let guard = Arc::new(Guard::<K>::new(self.kind, context.metrics.clone()));
        let (running, failed) = (guard.clone(), guard.clone());
        let results = Controller::for_stream(futures::stream::pending(), self.store)
            .reconcile_on(self.due)
            .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(
                move |object: Arc<K>, context| {
                    let guard = running.clone();
                    async move { guard.run(&object, reconcile(object.clone(), context)).await }
                },
                move |object: Arc<K>, error: &Error, _| failed.retry(&object, error),
                context,
            );
        let mut results = pin!(results);
        while let Some(result) = results.next().await {
            match result {
                // A failure has been logged together with when it is tried again.
                Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
                Err(ControllerError::ObjectNotFound(gone)) => guard.forget(&(*gone).into_kind_unchecked(())),
                Err(error) => warn!(kind = self.kind.as_str(), %error, "the queue of reconciles failed"),
            }
        }
    }
}
