//! A second, small reading of RocketMQ's remoting protocol, so that the operator's own client does not judge itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A broker as a name server lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// `brokerClusterName`.
    pub cluster: String,
    /// `brokerName`, the name of its group.
    pub broker: String,
    /// `brokerId`; 0 is the master.
    pub id: u64,
    /// `host:port` that clients are told to dial.
    pub address: String,
}

/// An answer: its code, its header fields and its body.
#[derive(Debug)]
pub(super) struct Answer {
    code: i64,
    remark: String,
    pub(super) fields: Value,
    body: Vec<u8>,
}

impl Answer {
    /// What was answered, where it was answered well.
    pub(super) fn good(self, asked: &str) -> Result<Self, String> {
        if self.code == 0 {
            Ok(self)
        } else {
            Err(format!("{asked}: code {}: {}", self.code, self.remark))
        }
    }

    fn json(&self, asked: &str) -> Result<Value, String> {
        let body = quote_integer_keys(&String::from_utf8_lossy(&self.body));
        serde_json::from_str(&body).map_err(|e| format!("{asked}: {e}: {body}"))
    }
}

/// How long an answer may take that no story is about.
pub(super) const SHORT: Duration = Duration::from_secs(5);

/// Asks once over a connection of its own.
pub(super) async fn ask(
    address: &str,
    code: u32,
    fields: Value,
    body: &[u8],
    within: Duration,
) -> Result<Answer, String> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        asked(&mut stream, code, &fields, body).await
    };
    match timeout(within, asking).await {
        Ok(answer) => answer.map_err(|e: std::io::Error| format!("{address}: {e}")),
        Err(_) => Err(format!("{address}: no answer within {within:?}")),
    }
}

/// Asks over a connection and reads the answer.
async fn asked(stream: &mut TcpStream, code: u32, fields: &Value, body: &[u8]) -> std::io::Result<Answer> {
    let header = json!({
        "code": code, "extFields": fields, "flag": 0, "language": "OTHER", "opaque": 1,
        "serializeTypeCurrentRPC": "JSON", "version": 401,
    });
    let header = header.to_string();
    let mut frame = Vec::new();
    frame.extend(
        u32::try_from(4 + header.len() + body.len())
            .unwrap()
            .to_be_bytes(),
    );
    frame.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend(header.as_bytes());
    frame.extend(body);
    stream.write_all(&frame).await?;
    loop {
        let length = stream.read_u32().await? as usize;
        let mark = stream.read_u32().await? as usize & 0x00ff_ffff;
        let mut rest = vec![0; length - 4];
        stream.read_exact(&mut rest).await?;
        let header: Value = serde_json::from_slice(&rest[..mark])?;
        // A broker may send requests of its own on our connection.
        if header["flag"].as_u64().unwrap_or_default() & 1 == 1 {
            let remark = header["remark"].as_str().unwrap_or_default().to_owned();
            let code = header["code"].as_i64().unwrap_or(-1);
            return Ok(Answer {
                code,
                remark,
                fields: header["extFields"].clone(),
                body: rest.split_off(mark),
            });
        }
    }
}

/// Every broker that a name server lists (`GET_BROKER_CLUSTER_INFO`).
///
/// # Errors
/// When it does not answer.
pub async fn listed_by(name_server: &str) -> Result<BTreeSet<Listed>, String> {
    let answer = ask(name_server, 106, json!({}), &[], SHORT).await?;
    let info = answer.json(name_server)?;
    let empty = Map::new();
    let mut listed = BTreeSet::new();
    for group in info["brokerAddrTable"].as_object().unwrap_or(&empty).values() {
        for (id, address) in group["brokerAddrs"].as_object().unwrap_or(&empty) {
            listed.insert(Listed {
                cluster: group["cluster"].as_str().unwrap_or_default().to_owned(),
                broker: group["brokerName"].as_str().unwrap_or_default().to_owned(),
                id: id
                    .parse()
                    .map_err(|e| format!("{name_server}: broker id {id:?}: {e}"))?,
                address: address.as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(listed)
}

/// Makes one name server forget a broker (`UNREGISTER_BROKER`).
///
/// # Errors
/// When it does not answer, or refuses.
pub async fn unregister(name_server: &str, broker: &Listed) -> Result<(), String> {
    let fields = json!({
        "brokerName": broker.broker, "brokerAddr": broker.address, "clusterName": broker.cluster,
        "brokerId": broker.id.to_string(),
    });
    let answer = ask(name_server, 104, fields, &[], SHORT).await?;
    answer.good(name_server).map(drop)
}

/// The permission that a name server tells clients for a topic, per broker name (`GET_ROUTEINFO_BY_TOPIC`): 2 is write, 4 is
/// read. Nobody is in it where the name server does not know the topic.
///
/// # Errors
/// When it does not answer.
pub async fn permissions(name_server: &str, topic: &str) -> Result<BTreeMap<String, u64>, String> {
    let answer = ask(name_server, 105, json!({ "topic": topic }), &[], SHORT).await?;
    if answer.code == 17 {
        return Ok(BTreeMap::new());
    }
    let route = answer.good(name_server)?.json(name_server)?;
    let queues = route["queueDatas"].as_array().into_iter().flatten();
    Ok(queues
        .map(|queue| {
            let broker = queue["brokerName"].as_str().unwrap_or_default().to_owned();
            (broker, queue["perm"].as_u64().unwrap_or_default())
        })
        .collect())
}

/// A value of the name server's own table (`GET_KV_CONFIG`).
///
/// # Errors
/// When it does not answer, or has none.
pub async fn kv(name_server: &str, namespace: &str, key: &str) -> Result<String, String> {
    let fields = json!({ "namespace": namespace, "key": key });
    let answer = ask(name_server, 101, fields, &[], SHORT)
        .await?
        .good(name_server)?;
    Ok(answer.fields["value"].as_str().unwrap_or_default().to_owned())
}

/// A broker's figures (`GET_BROKER_RUNTIME_INFO`), all of them texts.
///
/// # Errors
/// When it does not answer.
pub async fn runtime(broker: &str) -> Result<Map<String, Value>, String> {
    let answer = ask(broker, 28, json!({}), &[], SHORT).await?.good(broker)?;
    table(&answer, broker, "table")
}

/// A broker's topics by name, each with all of its fields (`GET_ALL_TOPIC_CONFIG`).
///
/// # Errors
/// When it does not answer.
pub async fn topics(broker: &str) -> Result<Map<String, Value>, String> {
    let answer = ask(broker, 21, json!({}), &[], SHORT).await?.good(broker)?;
    table(&answer, broker, "topicConfigTable")
}

/// A broker's subscription groups by name, each with all of its fields (`GET_ALL_SUBSCRIPTIONGROUP_CONFIG`).
///
/// # Errors
/// When it does not answer.
pub async fn subscription_groups(broker: &str) -> Result<Map<String, Value>, String> {
    let answer = ask(broker, 201, json!({}), &[], SHORT).await?.good(broker)?;
    table(&answer, broker, "subscriptionGroupTable")
}

/// `topic@group` of everybody who has committed an offset there (`GET_ALL_CONSUMER_OFFSET`).
///
/// # Errors
/// When it does not answer.
pub async fn consumed(broker: &str) -> Result<BTreeSet<String>, String> {
    let answer = ask(broker, 43, json!({}), &[], SHORT).await?.good(broker)?;
    let offsets = answer.json(broker)?;
    let offsets = offsets["offsetTable"].as_object();
    Ok(offsets
        .into_iter()
        .flatten()
        .map(|(who, _)| who.clone())
        .collect())
}

fn table(answer: &Answer, asked: &str, name: &str) -> Result<Map<String, Value>, String> {
    // Texts of these tables may hold braces and commas; no key is a bare number.
    let body: Value = serde_json::from_slice(&answer.body).map_err(|e| format!("{asked}: {e}"))?;
    body[name]
        .as_object()
        .cloned()
        .ok_or_else(|| format!("{asked} answered without {name}"))
}

/// A request that makes something on a broker.
pub struct Made {
    code: u32,
    fields: Value,
    body: Vec<u8>,
}

impl Made {
    /// A topic with these fields (`UPDATE_AND_CREATE_TOPIC`).
    pub fn topic(name: &str, queues: u64, permission: u64) -> Self {
        let fields = json!({
            "topic": name, "defaultTopic": "TBW102", "readQueueNums": queues.to_string(), "writeQueueNums": queues.to_string(),
            "perm": permission.to_string(), "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
        });
        Self {
            code: 17,
            fields,
            body: Vec::new(),
        }
    }

    /// The same with another value for a field.
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.fields[field] = json!(value);
        self
    }

    /// A subscription group of these fields (`UPDATE_AND_CREATE_SUBSCRIPTIONGROUP`).
    pub fn subscription_group(group: &Value) -> Self {
        Self {
            code: 200,
            fields: json!({}),
            body: group.to_string().into_bytes(),
        }
    }
}

/// Makes all of it on a broker over one connection, the next as soon as the one before is answered.
///
/// # Errors
/// When the broker does not answer, or refuses.
pub async fn make(broker: &str, all: &[Made]) -> Result<(), String> {
    let mut stream = TcpStream::connect(broker).await.map_err(|e| e.to_string())?;
    for made in all {
        let asking = asked(&mut stream, made.code, &made.fields, &made.body);
        let answer = timeout(SHORT, asking)
            .await
            .map_err(|_| format!("{broker}: no answer within {SHORT:?}"))?;
        answer.map_err(|e| e.to_string())?.good(broker)?;
    }
    Ok(())
}

/// Makes a topic with these fields, or gives it these.
///
/// # Errors
/// When the broker does not answer, or refuses.
pub async fn put_topic(broker: &str, name: &str, queues: u64, permission: u64) -> Result<(), String> {
    make(broker, &[Made::topic(name, queues, permission)]).await
}

/// Makes a subscription group of these fields, or gives it these.
///
/// # Errors
/// When the broker does not answer, or refuses.
pub async fn put_subscription_group(broker: &str, group: &Value) -> Result<(), String> {
    make(broker, &[Made::subscription_group(group)]).await
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// `SEND_OK`: as safe as the replication mode promises.
    Ok,
    /// `FLUSH_SLAVE_TIMEOUT`, `SLAVE_NOT_AVAILABLE` and the like: stored, yet not as safe as asked for.
    StoredOnly(&'static str),
    /// Refused, or no answer within the time.
    No(String),
}

/// Sends one message to a broker (`SEND_MESSAGE_V2`); the topic is made by it where it is not there.
pub async fn send(broker: &str, topic: &str, body: &str, within: Duration) -> Sent {
    send_with("WAIT\u{1}true\u{2}", broker, topic, body, within).await
}

/// The same, to be delivered only after the time of that delay level: 7 is three minutes.
pub async fn send_delayed(broker: &str, topic: &str, body: &str, level: u8) -> Sent {
    let properties = ["WAIT\u{1}true\u{2}DELAY\u{1}", &level.to_string(), "\u{2}"].concat();
    send_with(&properties, broker, topic, body, SHORT).await
}

/// The same, to be delivered only after so many seconds (5.x).
pub async fn send_timed(broker: &str, topic: &str, body: &str, seconds: u32) -> Sent {
    let properties = [
        "WAIT\u{1}true\u{2}TIMER_DELAY_SEC\u{1}",
        &seconds.to_string(),
        "\u{2}",
    ]
    .concat();
    send_with(&properties, broker, topic, body, SHORT).await
}

async fn send_with(properties: &str, broker: &str, topic: &str, body: &str, within: Duration) -> Sent {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let fields = json!({
        "a": "e2e", "b": topic, "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": now.to_string(), "h": "0",
        "i": properties, "j": "0", "k": "false", "l": "16", "m": "false",
    });
    match ask(broker, 310, fields, body.as_bytes(), within).await {
        Ok(Answer { code: 0, .. }) => Sent::Ok,
        Ok(Answer { code: 10, .. }) => Sent::StoredOnly("FLUSH_DISK_TIMEOUT"),
        Ok(Answer { code: 11, .. }) => Sent::StoredOnly("SLAVE_NOT_AVAILABLE"),
        Ok(Answer { code: 12, .. }) => Sent::StoredOnly("FLUSH_SLAVE_TIMEOUT"),
        Ok(Answer { code, remark, .. }) => Sent::No(format!("code {code}: {remark}")),
        Err(why) => Sent::No(why),
    }
}

/// fastjson writes integer keys bare; this puts them in quotes. Good for bodies without braces or commas in their texts,
/// as `ClusterInfo` is.
fn quote_integer_keys(body: &str) -> String {
    let mut quoted = String::with_capacity(body.len() + 16);
    let mut rest = body;
    while let Some(at) = rest.find(['{', ',']) {
        let (before, after) = rest.split_at(at + 1);
        quoted.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && after[digits..].starts_with(':') {
            quoted.push('"');
            quoted.push_str(&after[..digits]);
            quoted.push('"');
            rest = &after[digits..];
        } else {
            rest = after;
        }
    }
    quoted + rest
}

#[test]
fn integer_keys_are_read_as_rocketmq_writes_them() {
    let written = r#"{"brokerAddrs":{0:"10.1.0.7:10911",1:"10.1.0.9:10911"},"n":[1,2]}"#;
    let expected = r#"{"brokerAddrs":{"0":"10.1.0.7:10911","1":"10.1.0.9:10911"},"n":[1,2]}"#;
    assert_eq!(quote_integer_keys(written), expected);
}
