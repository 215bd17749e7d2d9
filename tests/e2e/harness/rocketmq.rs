//! A RocketMQ cluster that a story started, and what RocketMQ itself says about it.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::cluster::{Said, kubeconfig, name_of, run, text};
use super::fixtures::{Fixture, QUICK_JVM};
use super::node;
use super::stage::Space;
use super::wait::START;
use super::wire::{self, Listed};

/// A RocketMQ cluster: one NameService, one Broker.
#[derive(Clone)]
pub struct Rocketmq {
    /// Where it is.
    pub space: Space,
    /// The name of its NameService, and of the Service that clients use.
    pub name_service: String,
    broker: String,
}

/// One line of `mqadmin clusterList`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`.
    pub broker: String,
    /// The column `BID`.
    pub id: u64,
    /// The version that the broker runs, as `V5_5_0`.
    pub version: String,
}

impl Space {
    /// Applies both and waits until both are ready.
    pub async fn start(&self, name_service: &Fixture, broker: &Fixture) -> Rocketmq {
        let rocketmq = self.begin(name_service, broker).await;
        rocketmq.wait_until_ready().await;
        rocketmq
    }

    /// Applies both and waits for nothing.
    pub async fn begin(&self, name_service: &Fixture, broker: &Fixture) -> Rocketmq {
        self.apply(name_service).await;
        self.apply(broker).await;
        self.rocketmq(name_service.name(), broker.name())
    }

    /// A cluster that was applied in another way.
    pub fn rocketmq(&self, name_service: &str, broker: &str) -> Rocketmq {
        Rocketmq {
            space: self.clone(),
            name_service: name_service.to_owned(),
            broker: broker.to_owned(),
        }
    }
}

impl Rocketmq {
    /// Waits until both custom resources are ready, and checks that it is so.
    pub async fn wait_until_ready(&self) {
        self.space
            .wait_until_ready("NameService", &self.name_service)
            .await;
        self.space.wait_until_ready("Broker", &self.broker).await;
        self.everything_is_listed()
            .await
            .unwrap_or_else(|why| panic!("{}: Ready, but {why}", self.space.name));
    }

    /// The Broker as it is now.
    pub async fn broker(&self) -> Option<Value> {
        self.space.get("Broker", &self.broker).await
    }

    /// The NameService as it is now.
    pub async fn name_service(&self) -> Option<Value> {
        self.space.get("NameService", &self.name_service).await
    }

    /// The name servers' pods.
    pub async fn name_server_pods(&self) -> Vec<Value> {
        self.space
            .pods(&format!("app=name_service,name_service_cr={}", self.name_service))
            .await
    }

    /// The brokers' pods.
    pub async fn broker_pods(&self) -> Vec<Value> {
        self.space
            .pods(&format!("app=broker,broker_cr={}", self.broker))
            .await
    }

    /// `brokerName` of a group.
    pub fn group_name(&self, group: u64) -> String {
        format!("{}-{group}", self.broker)
    }

    /// Changes fields of the Broker's spec.
    pub async fn change(&self, spec: Value) {
        self.space
            .merge("Broker", &self.broker, json!({ "spec": spec }))
            .await;
    }

    /// Changes fields of the NameService's spec.
    pub async fn change_name_service(&self, spec: Value) {
        self.space
            .merge("NameService", &self.name_service, json!({ "spec": spec }))
            .await;
    }

    /// The name of a broker's pod; id 0 is the master.
    pub fn pod_name(&self, group: u64, id: u64) -> String {
        if id == 0 {
            format!("{}-{group}-master-0", self.broker)
        } else {
            format!("{}-{group}-replica-{id}-0", self.broker)
        }
    }

    /// A broker's pod.
    pub async fn pod(&self, group: u64, id: u64) -> Value {
        self.space.pod(&self.pod_name(group, id)).await
    }

    /// `ip:9876` of every name server that has an address.
    pub async fn name_servers(&self) -> Vec<String> {
        let pods = self.name_server_pods().await;
        let addresses = pods
            .iter()
            .map(|pod| text(pod, "/status/podIP"))
            .filter(|ip| !ip.is_empty());
        addresses.map(|ip| format!("{ip}:9876")).collect()
    }

    /// `ip:10911` of a broker's pod.
    pub async fn broker_address(&self, group: u64, id: u64) -> String {
        format!("{}:10911", text(&self.pod(group, id).await, "/status/podIP"))
    }

    /// The broker names and ids that the spec asks for.
    pub async fn wanted(&self) -> BTreeSet<(String, u64)> {
        let broker = self.broker().await.expect("the Broker");
        let number = |field: &str| {
            broker["spec"][field]
                .as_u64()
                .unwrap_or_else(|| panic!("no {field}"))
        };
        let (groups, replicas) = (number("size"), number("replicaPerGroup"));
        (0..groups)
            .flat_map(|g| (0..=replicas).map(move |id| (g, id)))
            .map(|(g, id)| (format!("{}-{g}", self.broker), id))
            .collect()
    }

    /// Whether every name server that the spec asks for lists every broker that it asks for, and no other of this cluster.
    ///
    /// # Errors
    /// Names who does not list whom.
    pub async fn everything_is_listed(&self) -> Result<(), String> {
        let name_service = self.name_service().await.ok_or("there is no NameService")?;
        let servers = self.name_servers().await;
        let size = usize::try_from(name_service["spec"]["size"].as_u64().unwrap()).unwrap();
        if servers.len() != size {
            return Err(format!(
                "{} of {size} name servers have an address",
                servers.len()
            ));
        }
        for server in &servers {
            self.is_listed_by(server).await?;
        }
        Ok(())
    }

    /// Whether a name server lists every broker that the spec asks for, and no other of this cluster.
    ///
    /// # Errors
    /// Says whom it lists.
    pub async fn is_listed_by(&self, server: &str) -> Result<(), String> {
        let wanted = self.wanted().await;
        let listed = wire::listed_by(server).await?;
        let mine = listed.into_iter().filter(|l| l.cluster == self.broker);
        let listed: BTreeSet<(String, u64)> = mine.map(|l| (l.broker, l.id)).collect();
        if listed == wanted {
            Ok(())
        } else {
            Err(format!("{server} lists {listed:?}, wanted {wanted:?}"))
        }
    }

    /// How the first name server lists a broker.
    pub async fn listed(&self, group: u64, id: u64) -> Option<Listed> {
        let servers = self.name_servers().await;
        let listed = wire::listed_by(servers.first()?).await.ok()?;
        listed
            .into_iter()
            .find(|l| l.broker == self.group_name(group) && l.id == id)
    }

    /// Runs a script by `sh` in a pod of this cluster.
    pub async fn exec(&self, pod: &str, script: &str) -> Said {
        run_in(&self.space, pod, script).await
    }

    /// `mqadmin clusterList`, asked in the first master's pod.
    pub async fn cluster_list(&self) -> Vec<Row> {
        let said = self
            .exec(
                &self.pod_name(0, 0),
                &tool("mqadmin", "clusterList -n \"$NAMESRV_ADDR\""),
            )
            .await;
        let mut rows: Vec<Row> = said.out.lines().filter_map(row).collect();
        assert!(
            !rows.is_empty(),
            "mqadmin clusterList lists nothing: {}",
            said.all()
        );
        rows.sort();
        rows
    }

    /// Runs `mqadmin` in the first master's pod.
    pub async fn mqadmin(&self, arguments: &str) -> String {
        self.try_mqadmin(arguments).await.done()
    }

    /// The same, where that pod may be restarted meanwhile.
    pub async fn try_mqadmin(&self, arguments: &str) -> Said {
        let script = tool("mqadmin", &format!("{arguments} -n \"$NAMESRV_ADDR\""));
        self.exec(&self.pod_name(0, 0), &script).await
    }

    /// Runs the quickstart Producer in a pod of this cluster and returns the ids of the messages that were acknowledged
    /// with `SEND_OK`.
    pub async fn produce(&self, pod: &str) -> BTreeSet<String> {
        let said = self
            .exec(
                pod,
                &tool("tools.sh", "org.apache.rocketmq.example.quickstart.Producer"),
            )
            .await;
        let ids = said
            .out
            .lines()
            .filter(|l| l.contains("sendStatus=SEND_OK"))
            .filter_map(|l| value_of(l, "msgId="));
        let ids: BTreeSet<String> = ids.collect();
        assert!(!ids.is_empty(), "the Producer sent nothing: {}", said.all());
        ids
    }

    /// Runs the quickstart Consumer in a pod of this cluster until it has received all of these.
    pub async fn consume(&self, pod: &str, sent: &BTreeSet<String>) {
        // It never ends by itself, but for trouble at its start; and ending kubectl does not end what it started in the pod.
        let consumer = tool("tools.sh", "org.apache.rocketmq.example.quickstart.Consumer");
        let script = format!("timeout 150 sh -c 'while :; do {consumer}; done' 2>&1");
        let mut child = Command::new("kubectl")
            .args(["-n", &self.space.name, "exec", pod, "--", "sh", "-c", &script])
            .env("KUBECONFIG", kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut missing = sent.clone();
        let mut last = String::new();
        let receiving = async {
            while let Ok(Some(line)) = lines.next_line().await {
                // One line may tell of several messages.
                for part in line.split("UNIQ_KEY=").skip(1) {
                    missing.remove(part.split([',', '}']).next().unwrap_or_default());
                }
                if missing.is_empty() {
                    break;
                }
                last = line;
            }
        };
        let ended = timeout(Duration::from_secs(150), receiving).await;
        assert!(
            missing.is_empty(),
            "{} of {} messages were not received ({}); the Consumer said last: {last}",
            missing.len(),
            sent.len(),
            if ended.is_ok() {
                "the Consumer ended"
            } else {
                "it took too long"
            },
        );
    }

    /// What the quickstart shows: every message that is sent is received.
    pub async fn messages_flow(&self) {
        let pod = self.pod_name(0, 0);
        let sent = self.produce(&pod).await;
        self.consume(&pod, &sent).await;
    }

    /// Freezes a broker's JVM; it thaws when the result is dropped.
    pub async fn freeze(&self, group: u64, id: u64) -> node::Frozen {
        node::Frozen::freeze(node::jvm(&self.pod(group, id).await).unwrap())
    }

    /// The UIDs of all its pods, to see that none was restarted.
    pub async fn pod_uids(&self) -> Vec<(String, String)> {
        let all = [self.name_server_pods().await, self.broker_pods().await].concat();
        all.iter()
            .map(|pod| (name_of(pod).to_owned(), super::cluster::uid_of(pod).to_owned()))
            .collect()
    }
}

/// Runs a script by `sh` in a pod of a namespace.
pub async fn run_in(space: &Space, pod: &str, script: &str) -> Said {
    let args = ["-n", &space.name, "exec", pod, "--", "sh", "-c", script];
    run("kubectl", &args, "", START).await
}

/// A RocketMQ tool, in any image that sets `ROCKETMQ_HOME`.
pub fn tool(program: &str, arguments: &str) -> String {
    format!("cd \"$ROCKETMQ_HOME/bin\" && JAVA_OPT={QUICK_JVM} sh ./{program} {arguments}")
}

/// The value after a key, up to the next comma.
fn value_of(line: &str, key: &str) -> Option<String> {
    let (_, after) = line.split_once(key)?;
    Some(after.split([',', ' ', ']']).next()?.to_owned())
}

/// One broker's line of `clusterList`: cluster, name, BID, address, version, and figures.
fn row(line: &str) -> Option<Row> {
    let mut columns = line.split_whitespace();
    let (cluster, broker) = (columns.next()?, columns.next()?);
    let id = columns.next()?.parse().ok()?;
    let (_address, version) = (columns.next()?, columns.next()?);
    Some(Row {
        cluster: cluster.to_owned(),
        broker: broker.to_owned(),
        id,
        version: version.to_owned(),
    })
}

#[test]
fn a_line_of_cluster_list_is_read() {
    let line =
        "broker  broker-0   0     198.19.3.4:10911   V5_5_0   0.00(0,0ms|0,0ms)   0.00   0   495000.00  0.05";
    let expected = Row {
        cluster: "broker".into(),
        broker: "broker-0".into(),
        id: 0,
        version: "V5_5_0".into(),
    };
    assert_eq!(row(line), Some(expected));
    assert_eq!(row("#Cluster Name  #Broker Name  #BID  #Addr  #Version"), None);
}
