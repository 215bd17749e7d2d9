//! The operator under test: installed as a user installs it, in its pod, under its own service account.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::task::JoinHandle;

use super::cluster::{Cluster, Said, kubeconfig, kubectl, name_of, run, uid_of};
use super::node;
use super::wait::{seconds, wait_for};

/// Where it is installed.
pub const NAMESPACE: &str = "rocketmq-operator";
/// Its Deployment, its Lease and its service account.
pub const NAME: &str = "rocketmq-operator";
/// How the API server's audit log calls it.
pub const USER: &str = "system:serviceaccount:rocketmq-operator:rocketmq-operator";

/// Shared by the stories that only use the operator, taken whole by those that need it to themselves. Holds whether it is
/// known to be installed.
static OPERATOR: RwLock<bool> = RwLock::const_new(false);

/// When this variable is set, stories that share the operator take one that already runs somewhere, as `cargo run -- run`.
const OUTSIDE: &str = "ROCKETMQ_E2E_OPERATOR_RUNS";

/// What the variable says when every story is to run an operator of this build for its own namespaces.
const HERE: &str = "here";

/// Every so many seconds an operator that runs here is killed and started again.
const KILL_EVERY: &str = "ROCKETMQ_E2E_KILL_EVERY";

/// An operator of this build beside the story, for one namespace of it, where the variable asks for that.
pub struct Here {
    process: Arc<Mutex<Child>>,
    killer: Option<JoinHandle<()>>,
    kills: Arc<AtomicU32>,
    namespace: String,
    log: PathBuf,
}

impl Here {
    /// Starts it, with the rights of the tests themselves.
    pub fn start(namespace: &str) -> Option<Self> {
        is_here().then_some(())?;
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.log"));
        std::fs::File::create(&log).unwrap();
        let process = Arc::new(Mutex::new(spawn(namespace, &log)));
        println!("the operator of {namespace} logs to {}", log.display());
        let kills = Arc::new(AtomicU32::new(0));
        let killer = std::env::var(KILL_EVERY).ok().map(|every| {
            let every = every.parse().ok().filter(|every| *every > 0);
            let every = seconds(every.unwrap_or_else(|| panic!("{KILL_EVERY} is a number of seconds")));
            let (process, kills) = (process.clone(), kills.clone());
            let (namespace, log) = (namespace.to_owned(), log.clone());
            tokio::spawn(async move {
                let mut every = tokio::time::interval(every);
                every.tick().await;
                loop {
                    every.tick().await;
                    let mut process = process.lock().unwrap();
                    process.start_kill().unwrap();
                    *process = spawn(&namespace, &log);
                    kills.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Some(Self {
            process,
            killer,
            kills,
            namespace: namespace.to_owned(),
            log,
        })
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if let Some(killer) = &self.killer {
            killer.abort();
            let kills = self.kills.load(Ordering::Relaxed);
            println!("the operator of {} was killed {kills} times", self.namespace);
        }
        let process = self.process.lock();
        let _ = process.unwrap_or_else(PoisonError::into_inner).start_kill();
    }
}

/// Whether operators run here, with the rights of the tests themselves.
pub fn is_here() -> bool {
    std::env::var_os(OUTSIDE).is_some_and(|says| says == HERE)
}

fn spawn(namespace: &str, log: &Path) -> Child {
    process(
        &kubeconfig(),
        log,
        &["--leader-election=false", "--watch-namespace", namespace],
    )
}

/// An operator of this build on this machine, which logs to the end of a file and is killed when it is dropped.
pub fn process(kubeconfig: &Path, log: &Path, flags: &[&str]) -> Child {
    let out = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_rocketmq-operator"))
        .args(["run", "--http-address=127.0.0.1:0"])
        .args(flags)
        .env("KUBECONFIG", kubeconfig)
        .env_remove("POD_NAME")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The operator, installed and running, for a story that shares it with others.
pub async fn shared() -> RwLockReadGuard<'static, bool> {
    loop {
        let seen = OPERATOR.read().await;
        if *seen {
            return seen;
        }
        drop(seen);
        let mut installed = OPERATOR.write().await;
        if !*installed {
            if std::env::var_os(OUTSIDE).is_none() {
                install().await;
            } else {
                define().await;
                leave_the_stage().await;
            }
            *installed = true;
        }
    }
}

/// The operator for one story alone. Whatever the story does with it, the next one finds it installed again.
pub async fn whole() -> RwLockWriteGuard<'static, bool> {
    let mut installed = OPERATOR.write().await;
    if is_here() {
        define().await;
        leave_the_stage().await;
    } else {
        install().await;
    }
    *installed = false;
    installed
}

/// Makes the definitions as the installation does: an operator that runs elsewhere has only to find them.
async fn define() {
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds"])
        .await
        .done();
}

/// Stops an installed operator: two would undo each other's work.
async fn leave_the_stage() {
    let cluster = Cluster::connect().await;
    if !pods(&cluster).await.is_empty() {
        stop(&cluster).await;
    }
}

/// Runs `./install-operator.sh` and waits until the operator is ready.
pub async fn install() -> String {
    let said = run("./install-operator.sh", &[], "", seconds(180)).await.done();
    let cluster = Cluster::connect().await;
    scale(&cluster, 1).await;
    running(&cluster).await;
    said
}

/// Runs `./purge-operator.sh` with these flags.
pub async fn purge(flags: &[&str]) -> Said {
    run("./purge-operator.sh", flags, "", seconds(180)).await
}

/// Waits until one pod of the operator is ready and no other is there, and returns it.
pub async fn running(cluster: &Cluster) -> Value {
    wait_for(
        "the operator's pod is ready, and the only one",
        seconds(120),
        async || {
            let all = pods(cluster).await;
            let [pod] = all.as_slice() else {
                return Err(format!("{} pods of the operator", all.len()));
            };
            if node::is_ready(pod) {
                Ok(pod.clone())
            } else {
                Err(format!("{} is not ready", name_of(pod)))
            }
        },
    )
    .await
}

/// The operator's pods, those that are going included.
pub async fn pods(cluster: &Cluster) -> Vec<Value> {
    let mut all = cluster.list("Pod", NAMESPACE, "").await;
    all.retain(|pod| name_of(pod).starts_with("rocketmq-operator-"));
    all
}

/// Runs so many operators, waiting for none.
pub async fn scale(cluster: &Cluster, replicas: u32) {
    cluster
        .merge(
            "Deployment",
            NAMESPACE,
            NAME,
            &json!({ "spec": { "replicas": replicas } }),
        )
        .await;
}

/// No operator acts, as far as this run installed one.
pub async fn away(cluster: &Cluster) {
    if !is_here() {
        stop(cluster).await;
    }
}

/// The operator that is installed acts again, or one of this build for one namespace where the variable asks for that.
pub async fn comes(cluster: &Cluster, namespace: &str) -> Option<Here> {
    let here = Here::start(namespace);
    if here.is_none() {
        scale(cluster, 1).await;
        running(cluster).await;
    }
    here
}

/// Stops the operator and waits until its pod is gone.
pub async fn stop(cluster: &Cluster) {
    scale(cluster, 0).await;
    wait_for("the operator's pod is gone", seconds(90), async || {
        let left = pods(cluster).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{} is still there", name_of(&left[0])))
        }
    })
    .await;
}

/// The operator's memory that is resident now, in bytes, as the node's kernel counts it.
pub async fn resident_bytes(cluster: &Cluster) -> u64 {
    let pod = running(cluster).await;
    let found = node::processes(uid_of(&pod), "rocketmq-operator");
    let [process] = found.as_slice() else {
        panic!("{found:?}: not one operator process in {}", name_of(&pod))
    };
    process.resident_bytes()
}

/// What the operator logged, the newest last; of the container before it too where there was one.
pub async fn logs(cluster: &Cluster, since: Duration) -> String {
    let since = format!("--since={}s", since.as_secs().max(1));
    let mut all = String::new();
    for pod in pods(cluster).await {
        for previous in ["--previous=true", "--previous=false"] {
            let said = kubectl(&["logs", "-n", NAMESPACE, name_of(&pod), &since, previous]).await;
            if said.ok {
                all.push_str(&said.out);
            }
        }
    }
    all
}
