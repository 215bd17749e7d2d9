//! What the process was told: flags, each with an environment variable to fall back to.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::runtime::logging::Format;

/// A Kubernetes operator for Apache RocketMQ.
#[derive(Debug, Parser)]
#[command(name = "rocketmq-operator", version, about, max_term_width = 110)]
pub struct Settings {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reconcile NameServices and Brokers until told to stop (SIGTERM, SIGINT)
    Run(Box<Run>),
    /// Print the custom resource definitions as YAML
    Crds,
}

/// The settings of `rocketmq-operator run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Namespaces to watch: one, several with commas between, or empty for all
    #[arg(
        long,
        env = "WATCH_NAMESPACE",
        value_name = "NAMESPACES",
        default_value = "",
        hide_default_value = true
    )]
    pub watch_namespace: Scope,

    /// Elect a leader by a Lease, so that two replicas never act at once; `false` is for a process known to be
    /// the only one
    #[arg(long, env = "LEADER_ELECTION", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub leader_election: bool,

    /// Name of the Lease
    #[arg(
        long,
        env = "LEASE_NAME",
        value_name = "NAME",
        default_value = "rocketmq-operator"
    )]
    pub lease_name: String,

    /// Namespace of the Lease [default: the service account's, else "default"]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// This replica's name in the Lease [default: the host's name and the process id]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// Address for /metrics, /healthz and /readyz
    #[arg(
        long,
        env = "HTTP_ADDRESS",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub http_address: SocketAddr,

    /// How log lines look
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: Format,

    /// Which messages to log: a level, or a list as in `info,rocketmq_operator=debug`
    #[arg(long, env = "RUST_LOG", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

impl Run {
    /// The namespace of the Lease: as told, else that of the service account, else `default`.
    #[must_use]
    pub fn lease_namespace(&self) -> String {
        self.lease_namespace_or(Path::new(
            "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        ))
    }

    fn lease_namespace_or(&self, service_account: &Path) -> String {
        let told = self.lease_namespace.clone().filter(|told| !told.is_empty());
        let read = || {
            std::fs::read_to_string(service_account)
                .ok()
                .map(|text| text.trim().to_owned())
        };
        told.or_else(read).unwrap_or_else(|| "default".to_owned())
    }

    /// This replica's name in the Lease. Without a pod's name it has the process id in it, because two processes on
    /// one host must not take each other for themselves.
    #[must_use]
    pub fn identity(&self) -> String {
        self.identity
            .clone()
            .filter(|told| !told.is_empty())
            .unwrap_or_else(|| {
                let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
                let host = host.as_deref().map_or("host", str::trim);
                format!("{host}_{}", std::process::id())
            })
    }
}

/// The namespaces to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace of the cluster.
    All,
    /// These, at least one.
    Namespaces(BTreeSet<String>),
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let names: BTreeSet<_> = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        match names.iter().find(|name| !is_namespace_name(name)) {
            Some(odd) => Err(format!("{odd:?} cannot be the name of a namespace")),
            None if names.is_empty() => Ok(Self::All),
            None => Ok(Self::Namespaces(names)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all namespaces"),
            Self::Namespaces(names) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                write!(f, "namespace {}", names.join(", "))
            }
        }
    }
}

/// Whether Kubernetes accepts this as a namespace: a DNS label.
fn is_namespace_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(flags: &[&str]) -> Run {
        let words = ["rocketmq-operator", "run"].iter().chain(flags);
        match Settings::try_parse_from(words).unwrap().command {
            Command::Run(run) => *run,
            Command::Crds => unreachable!("asked for run"),
        }
    }

    fn namespaces(names: &[&str]) -> Scope {
        Scope::Namespaces(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_command_line_is_consistent_and_every_flag_falls_back_to_the_environment() {
        let command = Settings::command();
        command.clone().debug_assert();
        let run = command.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter(|flag| flag.get_id() != "help") {
            assert!(
                flag.get_env().is_some(),
                "{} has no environment variable",
                flag.get_id()
            );
            assert!(flag.get_help().is_some(), "{} has no help", flag.get_id());
        }
    }

    #[test]
    fn one_namespace_several_or_all_can_be_watched() {
        assert_eq!(run(&["--watch-namespace="]).watch_namespace, Scope::All);
        assert_eq!(
            run(&["--watch-namespace", "mq"]).watch_namespace,
            namespaces(&["mq"])
        );
        assert_eq!(
            run(&["--watch-namespace", "b, a,b,"]).watch_namespace,
            namespaces(&["a", "b"])
        );
    }

    #[test]
    fn a_word_that_cannot_be_a_namespace_is_refused_by_name() {
        for odd in ["Upper", "under_score", "-dash", "a b", &"x".repeat(64)] {
            let error = odd.parse::<Scope>().unwrap_err();
            assert!(error.contains(odd), "{error}");
        }
    }

    #[test]
    fn the_lease_lives_where_told_else_with_the_service_account_else_in_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("namespace");
        let told = run(&["--lease-namespace", "told"]);
        let untold = Run {
            lease_namespace: None,
            ..told.clone()
        };
        assert_eq!(untold.lease_namespace_or(&file), "default");
        std::fs::write(&file, "operators\n").unwrap();
        assert_eq!(untold.lease_namespace_or(&file), "operators");
        assert_eq!(told.lease_namespace_or(&file), "told");
    }

    #[test]
    fn two_processes_of_one_host_have_different_identities_unless_told() {
        assert_eq!(run(&["--identity", "pod-1"]).identity(), "pod-1");
        let untold = Run {
            identity: None,
            ..run(&[])
        }
        .identity();
        assert!(untold.ends_with(&format!("_{}", std::process::id())), "{untold}");
    }

    #[test]
    fn leader_election_is_on_unless_switched_off() {
        assert!(run(&[]).leader_election);
        assert!(!run(&["--leader-election=false"]).leader_election);
    }
}
