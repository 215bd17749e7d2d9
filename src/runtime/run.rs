//! The process from start to stop, top to bottom.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::USER_AGENT;
use futures::future::join3;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::go_operator::GoOperator;
use super::http::{self, Phase, Readiness};
use super::lease::{Elector, Lost};
use super::metrics::{Kind, Metrics};
use super::mirrors::Mirrors;
use super::reconciler::Reconciler;
use crate::admin::Admin;
use crate::api;
use crate::context::{Context, Stores};
use crate::k8s::Applied;
use crate::settings;
use crate::workload::texts::Texts;

/// How long reconciles in flight may take to finish when the process is told to stop; less than the 30 s after
/// which Kubernetes kills it.
const DRAIN: Duration = Duration::from_secs(20);

/// From one look for the custom resource definitions to the next.
const DEFINITIONS_EVERY: Duration = Duration::from_secs(2);

/// How long the API server may take to answer a request.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable way to an API server.
    #[error("no Kubernetes to talk to: {0}")]
    Connect(String),
    /// The HTTP port is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    /// Another process leads, or may.
    #[error("stopped leading: {0}")]
    Lost(#[from] Lost),
    /// The Go operator has been started while we led.
    #[error("stopped: the Go operator is at work, it holds the lease {0}")]
    GoOperator(String),
    /// A watch ended, which none does unless it panics.
    #[error("a watch ended: a bug")]
    WatchEnded,
    /// Reconciles in flight did not finish in time after the process was told to stop.
    #[error("reconciles in flight did not finish within {DRAIN:?}; the lease is left to expire")]
    NotDrained,
}

/// The connections to the API server.
#[derive(Clone)]
pub struct Clients {
    /// For watches: they last, so no answer is awaited.
    pub watches: Client,
    /// For requests: each is answered in time, or fails.
    pub requests: Client,
}

impl Clients {
    /// Connects as the environment says: `KUBECONFIG`, `~/.kube/config`, else as a pod does.
    ///
    /// # Errors
    /// If there is no such configuration, or it cannot be used.
    pub async fn connect() -> Result<Self, Error> {
        let told = |error: &dyn Display| Error::Connect(error.to_string());
        let mut config = kube::Config::infer().await.map_err(|error| told(&error))?;
        // Who retries is decided in one place, by the backoffs here.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        // Whoever reads the API server's audit log sees whose requests these are.
        let agent = concat!("rocketmq-operator/", env!("CARGO_PKG_VERSION"));
        config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
        let watches = Client::try_from(config.clone()).map_err(|error| told(&error))?;
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        let requests = Client::try_from(config).map_err(|error| told(&error))?;
        Ok(Self { watches, requests })
    }
}

/// Runs the operator until SIGTERM or SIGINT; a second signal does not wait for what is in flight.
///
/// # Errors
/// If it cannot start, or has to stop by itself; the process must then end, so that it starts afresh.
pub async fn run(settings: settings::Run, admin: Arc<dyn Admin>) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let stop = CancellationToken::new();
    let operator = Operator::new(settings, Clients::connect().await?, admin);
    let mut work = pin!(operator.run(stop.clone()));
    loop {
        tokio::select! {
            ended = &mut work => return ended,
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
        }
        if stop.is_cancelled() {
            return Err(Error::NotDrained);
        }
        info!("told to stop");
        stop.cancel();
    }
}

/// Everything that the process needs, and nothing that it shares with another.
pub struct Operator {
    settings: settings::Run,
    clients: Clients,
    admin: Arc<dyn Admin>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl Operator {
    /// An operator that does nothing yet.
    #[must_use]
    pub fn new(settings: settings::Run, clients: Clients, admin: Arc<dyn Admin>) -> Self {
        Self {
            settings,
            clients,
            admin,
            metrics: Arc::default(),
            readiness: Readiness::default(),
        }
    }

    /// What the operator is doing, for those outside.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Runs until told to stop, or until it has to.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let address = self.settings.http_address;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        info!(
            version = env!("CARGO_PKG_VERSION"),
            watching = %self.settings.watch_namespace,
            http = %address,
            "started"
        );
        tokio::select! {
            Err(error) = http::serve(listener, self.metrics.clone(), self.readiness.clone()) => Err(Error::Http(error)),
            ended = self.lead(stop) => ended,
        }
    }

    /// Waits for what has to be there, leads, and lets go.
    async fn lead(&self, stop: CancellationToken) -> Result<(), Error> {
        let settings = &self.settings;
        let (namespace, client) = (settings.lease_namespace(), self.clients.requests.clone());
        let mut go_operator = GoOperator::new(&client, &namespace, &settings.watch_namespace);
        let mut elector = Elector::new(client, &namespace, &settings.lease_name, &settings.identity());
        let prepared = async {
            self.definitions().await;
            go_operator
                .gone(|lease| self.waits(lease, Phase::BlockedByGoOperator))
                .await;
            if settings.leader_election {
                elector.acquire(|holder| self.waits(holder, Phase::Standby)).await;
            }
        };
        let ready = tokio::select! {
            () = stop.cancelled() => false,
            () = prepared => true,
        };
        let ended = if ready {
            self.act(&mut elector, &mut go_operator, stop).await
        } else {
            Ok(())
        };
        if ended.is_ok() && settings.leader_election {
            elector.release().await;
        }
        ended
    }

    /// Reconciles for as long as this process may.
    async fn act(
        &self,
        elector: &mut Elector,
        go_operator: &mut GoOperator,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        self.metrics.leading(true);
        let kept = async {
            if self.settings.leader_election {
                elector.keep().await
            } else {
                std::future::pending().await
            }
        };
        let ended = tokio::select! {
            lost = kept => Err(lost.into()),
            lease = go_operator.appears() => Err(Error::GoOperator(lease)),
            ended = self.reconcile(stop) => ended,
        };
        self.metrics.leading(false);
        ended
    }

    fn waits(&self, on: Result<&str, &str>, phase: fn(String) -> Phase) {
        self.readiness.set(match on {
            Ok(holder) => phase(holder.to_owned()),
            Err(error) => Phase::Hindered(error.to_owned()),
        });
    }

    /// Resolves when the API server serves our kinds.
    async fn definitions(&self) {
        loop {
            let group = format!("{}/{}", api::GROUP, api::VERSION);
            let served = self.clients.requests.list_api_group_resources(&group).await;
            let served: Result<BTreeSet<_>, _> = match served {
                Ok(list) => Ok(list.resources.into_iter().map(|resource| resource.name).collect()),
                // Of a group that is not there at all an API server says so in plain text, without a reason.
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(BTreeSet::new()),
                Err(error) => Err(error),
            };
            let missing = served.map(|served| {
                let absent = |plural: &String| !served.contains(plural);
                let names = api::crds().into_iter().map(|crd| crd.spec.names.plural);
                names
                    .filter(absent)
                    .map(|plural| format!("{plural}.{}", api::GROUP))
                    .collect::<Vec<_>>()
            });
            match missing {
                Ok(missing) if missing.is_empty() => return,
                Ok(missing) => self.readiness.set(Phase::WaitingForDefinitions(missing)),
                Err(error) => self.readiness.set(Phase::Hindered(error.to_string())),
            }
            sleep(DEFINITIONS_EVERY).await;
        }
    }

    /// Fills the caches, reconciles until told to stop, and finishes what is in flight.
    async fn reconcile(&self, stop: CancellationToken) -> Result<(), Error> {
        let scope = &self.settings.watch_namespace;
        let Mirrors {
            watches,
            stores,
            due_name_services,
            due_brokers,
            due_topic_transfers,
        } = Mirrors::start(&self.clients.watches, scope, &self.metrics);
        let mut missing = watches.missing();
        let mut ended = pin!(watches.ended());
        loop {
            let kinds: Vec<_> = missing
                .borrow_and_update()
                .iter()
                .map(|kind| kind.as_str())
                .collect();
            if kinds.is_empty() {
                break;
            }
            self.readiness.set(Phase::FillingCaches(kinds));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = &mut ended => return Err(Error::WatchEnded),
                _ = missing.changed() => {},
            }
        }
        self.readiness.set(Phase::Reconciling);
        let (name_services, brokers) = (stores.name_services.clone(), stores.brokers.clone());
        let topic_transfers = stores.topic_transfers.clone();
        let context = Arc::new(self.context(stores));
        let work = join3(
            Reconciler {
                kind: Kind::NameService,
                store: name_services,
                due: due_name_services,
            }
            .run(crate::name_service::reconcile, context.clone(), stop.clone()),
            Reconciler {
                kind: Kind::Broker,
                store: brokers,
                due: due_brokers,
            }
            .run(crate::broker::reconcile, context.clone(), stop.clone()),
            Reconciler {
                kind: Kind::TopicTransfer,
                store: topic_transfers,
                due: due_topic_transfers,
            }
            .run(crate::topic_transfer::reconcile, context, stop.clone()),
        );
        let drained = async {
            stop.cancelled().await;
            self.readiness.set(Phase::Stopping);
            sleep(DRAIN).await;
        };
        tokio::select! {
            _ = work => Ok(()),
            () = drained => Err(Error::NotDrained),
            () = &mut ended => Err(Error::WatchEnded),
        }
    }

    fn context(&self, stores: Stores) -> Context {
        let reporter = Reporter {
            controller: "rocketmq-operator".to_owned(),
            instance: Some(self.settings.identity()),
        };
        Context {
            client: self.clients.requests.clone(),
            admin: self.admin.clone(),
            recorder: Recorder::new(self.clients.requests.clone(), reporter),
            metrics: self.metrics.clone(),
            stores,
            applied: Applied::default(),
            texts: Texts::default(),
        }
    }
}
