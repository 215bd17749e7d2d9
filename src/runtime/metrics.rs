//! Every metric of the process, in one place. Labels are small closed sets: never an object's name.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::error::Class;

/// The kinds that the operator watches or reconciles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub enum Kind {
    /// A set of name servers, ours.
    NameService,
    /// A set of broker groups, ours.
    Broker,
    /// A topic that moves, ours.
    TopicTransfer,
    /// `apps/v1`.
    StatefulSet,
    /// `v1`.
    Pod,
    /// `v1`.
    Service,
    /// `v1`.
    ConfigMap,
    /// `policy/v1`.
    PodDisruptionBudget,
}

impl Kind {
    /// The kind as Kubernetes spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameService => "NameService",
            Self::Broker => "Broker",
            Self::TopicTransfer => "TopicTransfer",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKindAndClass {
    kind: Kind,
    class: Class,
}

impl EncodeLabelValue for Class {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// Upper bounds of the reconcile duration's buckets, in seconds; the last is the reconcile deadline.
const SECONDS: [f64; 8] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ByKind, Counter>,
    failures: Family<ByKindAndClass, Counter>,
    durations: Family<ByKind, Histogram>,
    backing_off: Family<ByKind, Gauge>,
    cached: Family<ByKind, Gauge>,
    watch_errors: Family<ByKind, Counter>,
    leader: Gauge,
    resident: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations = Family::new_with_constructor(new_histogram as fn() -> Histogram);
        let mut metrics = Self {
            registry: Registry::default(),
            reconciles: Family::default(),
            failures: Family::default(),
            durations,
            backing_off: Family::default(),
            cached: Family::default(),
            watch_errors: Family::default(),
            leader: Gauge::default(),
            resident: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let process = self.registry.sub_registry_with_prefix("process");
        process.register_with_unit(
            "resident_memory",
            "Memory of this process that is in RAM",
            Unit::Bytes,
            self.resident.clone(),
        );
        let ours = self.registry.sub_registry_with_prefix("rocketmq_operator");
        ours.register(
            "build",
            "The running version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        ours.register(
            "leader",
            "1 while this process holds the lease",
            self.leader.clone(),
        );
        ours.register("reconciles", "Reconciles that ended", self.reconciles.clone());
        ours.register(
            "reconcile_failures",
            "Reconciles that ended in an error",
            self.failures.clone(),
        );
        ours.register_with_unit(
            "reconcile_duration",
            "Time that a reconcile took",
            Unit::Seconds,
            self.durations.clone(),
        );
        ours.register(
            "objects_in_backoff",
            "Objects whose last reconcile failed",
            self.backing_off.clone(),
        );
        ours.register("objects_cached", "Objects in the cache", self.cached.clone());
        ours.register(
            "watch_errors",
            "Failed tries to list or watch",
            self.watch_errors.clone(),
        );
    }

    /// Counts a reconcile that ended, and its error if it failed.
    pub fn reconciled(&self, kind: Kind, took: Duration, failure: Option<Class>) {
        self.reconciles.get_or_create(&ByKind { kind }).inc();
        self.durations
            .get_or_create(&ByKind { kind })
            .observe(took.as_secs_f64());
        if let Some(class) = failure {
            self.failures.get_or_create(&ByKindAndClass { kind, class }).inc();
        }
    }

    /// States how many objects of a kind wait for a retry after an error.
    pub fn backing_off(&self, kind: Kind, objects: usize) {
        self.backing_off
            .get_or_create(&ByKind { kind })
            .set(whole(objects));
    }

    /// States how many objects of a kind the cache holds.
    pub fn cached(&self, kind: Kind, objects: usize) {
        self.cached.get_or_create(&ByKind { kind }).set(whole(objects));
    }

    /// Counts a failed try to list or watch a kind.
    pub fn watch_failed(&self, kind: Kind) {
        self.watch_errors.get_or_create(&ByKind { kind }).inc();
    }

    /// States whether this process holds the lease.
    pub fn leading(&self, leading: bool) {
        self.leader.set(leading.into());
    }

    /// All metrics as `OpenMetrics` text.
    ///
    /// # Errors
    /// None in practice: writing to a string does not fail.
    pub fn open_metrics(&self) -> Result<String, std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn new_histogram() -> Histogram {
    Histogram::new(SECONDS)
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The resident set of this process in bytes, where the system has Linux's `/proc`.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reconcile_is_counted_by_kind_and_class() {
        let metrics = Metrics::default();
        metrics.reconciled(Kind::Broker, Duration::from_millis(30), Some(Class::Conflict));
        metrics.reconciled(Kind::Broker, Duration::from_millis(3), None);
        let text = metrics.open_metrics().unwrap();
        for line in [
            r#"rocketmq_operator_reconciles_total{kind="Broker"} 2"#,
            r#"rocketmq_operator_reconcile_failures_total{kind="Broker",class="conflict"} 1"#,
            r#"rocketmq_operator_reconcile_duration_seconds_bucket{le="0.005",kind="Broker"} 1"#,
            r#"rocketmq_operator_reconcile_duration_seconds_bucket{le="0.1",kind="Broker"} 2"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
    }

    #[test]
    fn every_metric_of_ours_has_our_prefix_and_a_help_text() {
        let metrics = Metrics::default();
        metrics.leading(true);
        metrics.backing_off(Kind::NameService, 2);
        metrics.cached(Kind::Pod, 7);
        metrics.watch_failed(Kind::Service);
        let text = metrics.open_metrics().unwrap();
        assert!(text.contains("rocketmq_operator_leader 1\n"), "{text}");
        assert!(
            text.contains("rocketmq_operator_objects_in_backoff{kind=\"NameService\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("rocketmq_operator_objects_cached{kind=\"Pod\"} 7\n"),
            "{text}"
        );
        assert!(
            text.contains("rocketmq_operator_watch_errors_total{kind=\"Service\"} 1\n"),
            "{text}"
        );
        assert!(text.contains(&format!(
            "build_info{{version=\"{}\"}} 1\n",
            env!("CARGO_PKG_VERSION")
        )));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(
                line.starts_with("rocketmq_operator_") || line.starts_with("process_resident_memory_bytes "),
                "{line}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_label_of_a_kind_is_its_kubernetes_name() {
        let metrics = Metrics::default();
        let kinds = [
            Kind::NameService,
            Kind::Broker,
            Kind::StatefulSet,
            Kind::Pod,
            Kind::Service,
            Kind::ConfigMap,
            Kind::PodDisruptionBudget,
        ];
        for kind in kinds {
            metrics.watch_failed(kind);
            let label = format!("kind=\"{}\"", kind.as_str());
            assert!(metrics.open_metrics().unwrap().contains(&label), "{label}");
        }
    }
}
