//! Request codes, and how answers are read: leniently, because fields come and go with versions.

use std::collections::BTreeMap;

use super::json::{self, Value};
use super::{BrokerConfig, BrokerData, ClusterInfo, RuntimeInfo};

/// A request without fields or body: its `RequestCode` and its name in messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) code: i32,
    pub(super) name: &'static str,
}

pub(super) const GET_BROKER_CONFIG: Request = Request {
    code: 26,
    name: "GET_BROKER_CONFIG",
};
pub(super) const GET_BROKER_RUNTIME_INFO: Request = Request {
    code: 28,
    name: "GET_BROKER_RUNTIME_INFO",
};
pub(super) const GET_BROKER_CLUSTER_INFO: Request = Request {
    code: 106,
    name: "GET_BROKER_CLUSTER_INFO",
};

/// `{"brokerAddrTable":{"b-0":{"brokerAddrs":{0:"host:port"},"brokerName":"b-0","cluster":"b"}},"clusterAddrTable":…}`
pub(super) fn cluster_info(body: &[u8]) -> Result<ClusterInfo, String> {
    let value = json::parse(body)?;
    let table = value
        .get("brokerAddrTable")
        .ok_or("there is no brokerAddrTable")?;
    let brokers = table.entries().iter().map(|(name, data)| {
        let name = name.text().ok_or("a broker's name is no text")?;
        Ok((name.to_owned(), broker_data(data)?))
    });
    Ok(ClusterInfo {
        brokers: brokers.collect::<Result<_, String>>()?,
    })
}

fn broker_data(data: &Value) -> Result<BrokerData, String> {
    let addresses = data
        .get("brokerAddrs")
        .map(Value::entries)
        .unwrap_or_default()
        .iter()
        .map(|(id, address)| {
            let id = id
                .text()
                .and_then(|id| id.parse().ok())
                .ok_or("a broker id is no number")?;
            Ok((
                id,
                address.text().ok_or("a broker's address is no text")?.to_owned(),
            ))
        });
    Ok(BrokerData {
        cluster: data
            .get("cluster")
            .and_then(Value::text)
            .unwrap_or_default()
            .to_owned(),
        addresses: addresses.collect::<Result<_, String>>()?,
    })
}

/// `{"table":{"key":"value"}}`
pub(super) fn runtime_info(body: &[u8]) -> Result<RuntimeInfo, String> {
    let value = json::parse(body)?;
    let table = value.get("table").ok_or("there is no table")?;
    let pairs = table
        .entries()
        .iter()
        .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())));
    Ok(RuntimeInfo(pairs.collect()))
}

/// `key=value` lines as `MixAll.properties2String` writes them: nothing is escaped.
pub(super) fn broker_config(body: &[u8]) -> Result<BrokerConfig, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_with_a_replica_is_read_with_unquoted_ids() {
        let body = br#"{"brokerAddrTable":{"b-0":{"brokerAddrs":{0:"a:10911",1:"b:10911"},"brokerName":"b-0","cluster":"b","enableActingMaster":false}},"clusterAddrTable":{"b":["b-0"]}}"#;
        let info = cluster_info(body).unwrap();
        let data = &info.brokers["b-0"];
        assert_eq!(
            (
                data.cluster.as_str(),
                data.addresses[&0].as_str(),
                data.addresses[&1].as_str()
            ),
            ("b", "a:10911", "b:10911")
        );
    }

    #[test]
    fn an_empty_cluster_lists_no_broker_and_a_strange_body_is_an_error() {
        assert_eq!(
            cluster_info(br#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#).unwrap(),
            ClusterInfo::default()
        );
        assert!(cluster_info(b"{}").is_err());
        assert!(broker_config(b"").is_err());
    }

    #[test]
    fn a_configuration_keeps_equal_signs_of_its_values() {
        let config = broker_config(b"brokerName=b-0\nbrokerId=1\nx=a=b\n").unwrap();
        assert_eq!(
            (config.broker_name(), config.broker_id(), config.get("x")),
            (Some("b-0"), Some(1), Some("a=b"))
        );
    }
}
