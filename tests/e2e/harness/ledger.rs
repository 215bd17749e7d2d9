//! A ledger beside a RocketMQ cluster: producers and consumers of the Java test client in a pod of the namespace, and the books
//! that they keep. What was acknowledged and did not arrive is lost, whatever anybody's status says.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::books::Books;
use super::cluster::{Said, run, text, uid_of};
use super::figures;
use super::node::{self, Frozen};
use super::rocketmq::Rocketmq;
use super::wait::{START, seconds};
use super::wire;

/// The containers of the producers and the consumers at the cluster that is switched to.
const THERE: [&str; 2] = ["produce-there", "consume-there"];
/// The pod's name.
const POD: &str = "ledger";
/// Nothing has arrived for so long after the last message was sent: what is missing now stays missing. Longer than a consumer
/// takes to learn a route (30 s) and to share the queues anew (20 s).
const IDLE: Duration = seconds(75);

/// What the ledger is made of.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The version of the Java client.
    pub client: &'static str,
    /// Where it finds name servers, if not at the Service of the NameService.
    pub names: Option<&'static str>,
    /// Messages a second, in all.
    pub rate: u32,
    /// `ledger-0` and so on.
    pub topics: usize,
    /// The queues of each topic on each broker.
    pub queues: usize,
    /// Consumer groups, each of which receives everything.
    pub groups: &'static [&'static str],
    /// The Service of the name servers of another cluster, to which producers and consumers are to switch.
    pub then: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client: "5.5.0",
            names: None,
            rate: 240,
            topics: 3,
            queues: 4,
            groups: &["audit", "billing"],
            then: None,
        }
    }
}

impl Options {
    /// The same with another version of the client.
    pub fn client(self, client: &'static str) -> Self {
        Self { client, ..self }
    }
}

/// Producers and consumers at work.
pub struct Ledger {
    rocketmq: Rocketmq,
    options: Options,
}

/// A queue: topic, broker, number.
type Queue = (String, String, usize);

impl Ledger {
    /// Starts producers and consumers, and waits until messages are acknowledged on every queue and every consumer group has
    /// committed offsets on every broker: from then on a broker knows who waits for its messages.
    pub async fn start(rocketmq: &Rocketmq, options: Options) -> Self {
        let ledger = Self {
            rocketmq: rocketmq.clone(),
            options,
        };
        rocketmq.space.apply(&ledger.pod()).await;
        ledger.sending().await;
        ledger.consuming().await;
        ledger
    }

    /// The names of its topics.
    pub fn topics(&self) -> Vec<String> {
        (0..self.options.topics).map(|n| format!("ledger-{n}")).collect()
    }

    fn pod(&self) -> Value {
        let Options {
            client,
            names,
            rate,
            topics,
            queues,
            groups,
            then,
        } = self.options;
        let image = format!("rocketmq-tests/client:{client}");
        let container = |name: &str, command: Option<Value>, args: Vec<&str>, names: &str| {
            json!({
                "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command, "args": args,
                "env": [{ "name": "NAMESRV_ADDR", "value": names }],
                "resources": { "requests": { "cpu": "10m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } },
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                "volumeMounts": [{ "name": "books", "mountPath": "/books" }],
            })
        };
        let produce = format!(
            "ledger produce --dir /books --topics {topics} --queues {queues} --rate {rate} --seconds 3600"
        );
        let consume = format!(
            "ledger consume --dir /books --topics {topics} --groups {} --timeout-s 3600 --idle-s {}",
            groups.join(","),
            IDLE.as_secs()
        );
        let words = |line: &'_ str| line.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
        let (produce, consume) = (words(&produce), words(&consume));
        let service = format!("{}:9876", self.rocketmq.name_service);
        let here = names.unwrap_or(&service);
        let at_once = |name: &str, args: &[String]| {
            container(name, None, args.iter().map(String::as_str).collect(), here)
        };
        let mut containers = vec![
            at_once("produce", &produce),
            at_once("consume", &consume),
            // The others end; the books are read here.
            container("books", Some(json!(["sleep"])), vec!["3600"], here),
        ];
        for (name, args) in [(THERE[0], &produce), (THERE[1], &consume)] {
            let Some(names) = then.map(|service| format!("{service}:9876")) else {
                break;
            };
            let client = format!("/client/client {}", args.join(" "));
            let script = format!("until [ -e /books/switched ]; do sleep 1; done; exec {client}");
            containers.push(container(
                name,
                Some(json!(["sh", "-c", script])),
                Vec::new(),
                &names,
            ));
        }
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": POD },
            "spec": {
                // A producer that ends, or is ended, has closed its books.
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 3000, "runAsGroup": 3000, "fsGroup": 3000,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": containers,
                "volumes": [{ "name": "books", "emptyDir": {} }],
            },
        })
    }

    async fn exec(&self, container: &str, command: &[&str]) -> Said {
        let args = [
            &[
                "-n",
                &self.rocketmq.space.name,
                "exec",
                POD,
                "-c",
                container,
                "--",
            ][..],
            command,
        ]
        .concat();
        run("kubectl", &args, "", START).await
    }

    /// Waits until messages are acknowledged from now on by every queue of the groups that the Broker's spec asks for.
    pub async fn sending(&self) {
        self.sending_to_groups(0..self.size().await).await;
    }

    async fn consuming(&self) {
        let size = self.size().await;
        self.rocketmq
            .space
            .wait_for(
                "every group has committed offsets everywhere",
                START,
                async || {
                    for group in 0..size {
                        let broker = self.rocketmq.broker_address(group, 0).await;
                        let consumed = wire::consumed(&broker).await?;
                        for topic in self.topics() {
                            let mut groups =
                                self.options.groups.iter().map(|group| format!("{topic}@{group}"));
                            if let Some(missing) = groups.find(|who| !consumed.contains(who)) {
                                return Err(format!("no {missing} on group {group}"));
                            }
                        }
                    }
                    Ok(())
                },
            )
            .await;
    }

    /// As [`Self::sending`], for the queues of these broker groups.
    pub async fn sending_to_groups(&self, groups: impl IntoIterator<Item = u64>) {
        self.sending_to(self.queues_of(groups)).await;
    }

    async fn sending_to(&self, mut missing: BTreeSet<Queue>) {
        let since = now_ms();
        self.rocketmq
            .space
            .wait_for("messages are acknowledged on every queue", START, async || {
                self.works().await;
                for (at, queue) in self.newest().await? {
                    if at >= since {
                        missing.remove(&queue);
                    }
                }
                if missing.is_empty() {
                    Ok(())
                } else {
                    Err(format!(
                        "{} queues left, such as {:?}",
                        missing.len(),
                        missing.first()
                    ))
                }
            })
            .await;
    }

    /// Producers and consumers are to run until they are ended.
    async fn works(&self) {
        let pod = self.rocketmq.space.pod(POD).await;
        for container in ["produce", "consume"] {
            if has_ended(&pod, container) {
                let args = ["logs", POD, "-c", container, "--tail=20"];
                let said = self.rocketmq.space.kubectl(&args).await;
                panic!("the ledger's {container} has ended: {}", said.all());
            }
        }
    }

    /// Waits until so many messages more are acknowledged, and tells how long that took.
    pub async fn sends(&self, messages: usize) -> Duration {
        let start = Instant::now();
        let before = self.count().await.unwrap();
        self.rocketmq
            .space
            .wait_for(
                &format!("{messages} more messages are acknowledged"),
                START,
                async || {
                    let more = self.count().await? - before;
                    if more >= messages {
                        Ok(())
                    } else {
                        Err(format!("{more} so far"))
                    }
                },
            )
            .await;
        start.elapsed()
    }

    /// The folder of the books, seen from the node: asking by exec several times a second is more work than the ledger itself.
    async fn books(&self) -> Result<PathBuf, String> {
        let pod = self.rocketmq.space.pod(POD).await;
        let keeper = node::processes(uid_of(&pod), "sleep");
        let keeper = keeper.first().ok_or("the ledger has not started")?;
        Ok(keeper.root().join("books"))
    }

    /// The producers' books from some place on; never the beginning of a line that is half read.
    async fn acknowledged(&self, most: u64) -> Result<String, String> {
        let books = fs::read_dir(self.books().await?).map_err(|e| e.to_string())?;
        let mut all = String::new();
        for book in books.flatten() {
            if book.file_name().to_string_lossy().starts_with("acked-") {
                all.push_str(&tail(&book.path(), most).map_err(|e| e.to_string())?);
            }
        }
        Ok(all)
    }

    async fn size(&self) -> u64 {
        let broker = self.rocketmq.broker().await.expect("the Broker");
        broker["spec"]["size"].as_u64().unwrap()
    }

    fn queues_of(&self, groups: impl IntoIterator<Item = u64>) -> BTreeSet<Queue> {
        let queues = groups.into_iter().flat_map(|group| {
            let broker = self.rocketmq.group_name(group);
            let topics = self.topics().into_iter();
            topics.flat_map(move |topic| {
                let broker = broker.clone();
                (0..self.options.queues).map(move |n| (topic.clone(), broker.clone(), n))
            })
        });
        queues.collect()
    }

    /// The newest entries of the producers' books.
    async fn newest(&self) -> Result<Vec<(u64, Queue)>, String> {
        let text = self.acknowledged(400_000).await?;
        Ok(text.lines().filter_map(entry).collect())
    }

    /// How many messages are acknowledged.
    async fn count(&self) -> Result<usize, String> {
        Ok(self.acknowledged(u64::MAX).await?.lines().count())
    }

    /// Freezes the consumers: from now on messages pile up. They go on when the result is dropped.
    pub async fn freeze_consumers(&self) -> Frozen {
        let pod = self.rocketmq.space.pod(POD).await;
        let consumer = node::processes(uid_of(&pod), "java")
            .into_iter()
            .find(|process| process.command().contains("ledger consume"));
        Frozen::freeze(consumer.expect("a consumer"))
    }

    /// Producers and consumers switch as the docs say: consumers at the other cluster beside those at this one, then producers
    /// there, then none here any more. Consumers here stay to the end.
    pub async fn switch(&self, to: &str) {
        self.exec("books", &["touch", "/books/switched"]).await.done();
        let since = now_ms();
        self.rocketmq
            .space
            .wait_for(
                "messages are acknowledged at the other cluster",
                START,
                async || {
                    let newest = self.newest().await?;
                    let mut there = newest
                        .iter()
                        .filter(|(at, (_, broker, _))| *at >= since && broker.starts_with(to));
                    there.next().map(drop).ok_or_else(|| "none yet".into())
                },
            )
            .await;
        self.exec("produce", &["sh", "-c", "kill -TERM 1"]).await.done();
    }

    /// A consumer group that receives something, commits its offsets and never comes back.
    pub async fn abandon(&self, group: &str) {
        let topic = &self.topics()[0];
        let args = [
            "/client/client",
            "receive",
            "--topic",
            topic,
            "--group",
            group,
            "--expect",
            "50",
        ];
        self.exec("books", &args).await.done();
    }

    /// Starts another client beside the ledger's.
    pub async fn start_beside(&self, name: &str, client: &str) {
        let script = format!("/client/client {client} > /books/{name}.said 2> /books/{name}.err &");
        self.exec("books", &["sh", "-c", &script]).await.done();
    }

    /// The last line of JSON that it printed.
    pub async fn said_beside(&self, name: &str) -> Result<Value, String> {
        let folder = self.books().await?;
        let said = fs::read_to_string(folder.join(format!("{name}.said"))).map_err(|e| e.to_string())?;
        let last = said.lines().last().ok_or_else(|| {
            let errors = fs::read_to_string(folder.join(format!("{name}.err")));
            format!("{name} has said nothing yet; {}", errors.unwrap_or_default())
        })?;
        serde_json::from_str(last).map_err(|e| format!("{name}: {e}: {last}"))
    }

    /// Ends the producers, waits until every group has everything or nothing arrives any more, and compares the books.
    pub async fn finish(self) -> Books {
        let mut ends = vec![("produce", seconds(60)), ("consume", seconds(600))];
        let mut producer = "produce";
        if self.options.then.is_some() {
            producer = THERE[0];
            ends = vec![
                ("produce", seconds(60)),
                (THERE[0], seconds(60)),
                ("consume", seconds(600)),
                (THERE[1], seconds(600)),
            ];
        }
        self.exec(producer, &["sh", "-c", "kill -TERM 1"]).await.done();
        for (container, within) in ends {
            self.rocketmq
                .space
                .wait_for(&format!("the ledger's {container} ends"), within, async || {
                    let pod = self.rocketmq.space.pod(POD).await;
                    if has_ended(&pod, container) {
                        Ok(())
                    } else {
                        Err("it runs".into())
                    }
                })
                .await;
        }
        let args = ["/client/client", "ledger", "verify", "--dir", "/books"];
        let said = self.exec("books", &args).await;
        let books: Books =
            serde_json::from_str(said.out.trim()).unwrap_or_else(|e| panic!("{e}: {}", said.all()));
        println!("{}: {}", self.rocketmq.space.name, books.figures());
        figures::record(&books);
        books
    }
}

/// An entry of a producer's book: epoch milliseconds, message id, broker, queue. Its last line may be half written.
fn entry(line: &str) -> Option<(u64, Queue)> {
    let mut words = line.split_whitespace();
    let at = words.next()?.parse().ok()?;
    let topic = words.next()?.split('/').nth(1)?.to_owned();
    let broker = words.next()?.to_owned();
    Some((at, (topic, broker, words.next()?.parse().ok()?)))
}

/// The end of a file, from the first line on that begins in it.
fn tail(file: &Path, most: u64) -> std::io::Result<String> {
    let mut file = fs::File::open(file)?;
    let skipped = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let first = if skipped == 0 {
        0
    } else {
        text.find('\n').unwrap_or_default()
    };
    Ok(text.split_off(first))
}

fn has_ended(pod: &Value, container: &str) -> bool {
    let all = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let mut all = all.into_iter().flatten();
    all.any(|c| text(c, "/name") == container && !c["state"]["terminated"].is_null())
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[test]
fn an_entry_of_a_producers_book_is_read() {
    let read = entry("1795479346413 p1795479340000/ledger-2/17 broker-0 3 ");
    let queue = ("ledger-2".to_owned(), "broker-0".to_owned(), 3);
    assert_eq!(read, Some((1_795_479_346_413, queue)));
    assert_eq!(entry("1795479346413 p17954793"), None);
}
