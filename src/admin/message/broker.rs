//! What brokers tell of themselves, and how their configuration is changed.

use std::collections::BTreeMap;

use super::codes::UPDATE_BROKER_CONFIG;
use super::{Request, integer, pairs, parse, table, text, truth};
use crate::admin::json::Value;
use crate::admin::{BrokerConfig, HaSlave, HaStatus, RuntimeInfo};
use crate::properties;

/// `{"table":{"key":"value"}}`
pub(in crate::admin) fn runtime_info(body: &[u8]) -> Result<RuntimeInfo, String> {
    let value = parse(body)?;
    Ok(RuntimeInfo(pairs(table(&value, "table")?)))
}

/// `key=value` lines as `MixAll.properties2String` writes them: nothing is escaped.
pub(in crate::admin) fn broker_config(body: &[u8]) -> Result<BrokerConfig, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: BTreeMap<_, _> = pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    if pairs.is_empty() {
        Err("there is no key=value line".to_owned())
    } else {
        Ok(BrokerConfig(pairs))
    }
}

/// Escaped, other than what the broker itself writes: it reads them with `java.util.Properties`.
pub(in crate::admin) fn update_broker_config(changes: &BTreeMap<String, String>) -> Request {
    let changes = changes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    UPDATE_BROKER_CONFIG.request().body(properties::write(changes))
}

/// `{"master":true,"masterCommitLogMaxOffset":423,"inSyncSlaveNums":1,"haConnectionInfo":[{"addr":"ip:port",…}],…}`
pub(in crate::admin) fn ha_status(body: &[u8]) -> Result<HaStatus, String> {
    let value = parse(body)?;
    let master = value.get("master").and_then(Value::truth);
    let master = master.ok_or("it does not tell whether it is a master")?;
    let slaves = value
        .get("haConnectionInfo")
        .map(Value::items)
        .unwrap_or_default();
    let slaves = slaves.iter().map(|slave| HaSlave {
        address: text(slave, "addr"),
        ack_offset: integer(slave, "slaveAckOffset"),
        behind_bytes: integer(slave, "diff"),
        in_sync: truth(slave, "inSync"),
    });
    let following = value.get("haClientRuntimeInfo").filter(|_| !master);
    Ok(HaStatus {
        master,
        max_offset: integer(&value, "masterCommitLogMaxOffset"),
        in_sync_slaves: integer(&value, "inSyncSlaveNums"),
        slaves: slaves.collect(),
        following: following.map(|client| (text(client, "masterAddr"), integer(client, "maxOffset"))),
    })
}
