//! What name servers answer.

use std::collections::BTreeMap;

use super::{integer, pairs, parse, text};
use crate::admin::json::Value;
use crate::admin::{BrokerData, ClusterInfo, QueueData, Route};

/// `{"brokerAddrTable":{"b-0":{"brokerAddrs":{0:"host:port"},"brokerName":"b-0","cluster":"b"}},"clusterAddrTable":…}`
pub(in crate::admin) fn cluster_info(body: &[u8]) -> Result<ClusterInfo, String> {
    let value = parse(body)?;
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

/// `{"topicList":["TBW102","payments"]}`
pub(in crate::admin) fn topic_list(body: &[u8]) -> Result<Vec<String>, String> {
    let value = parse(body)?;
    match value.get("topicList") {
        Some(Value::List(_)) => Ok(super::texts(&value, "topicList")),
        _ => Err("there is no topicList".to_owned()),
    }
}

/// `{"brokerDatas":[{"brokerAddrs":{0:"host:port"},"brokerName":"b-0","cluster":"b"}],"queueDatas":[{"brokerName":"b-0",…}]}`
pub(in crate::admin) fn route(body: &[u8]) -> Result<Route, String> {
    let value = parse(body)?;
    let list = |name: &str| match value.get(name) {
        Some(Value::List(items)) => Ok(items),
        _ => Err(format!("there is no {name}")),
    };
    let mut route = Route {
        order: Some(text(&value, "orderTopicConf")).filter(|order| !order.is_empty()),
        ..Route::default()
    };
    for queues in list("queueDatas")? {
        let broker = route.brokers.entry(text(queues, "brokerName")).or_default();
        broker.queues = queue_data(queues);
    }
    for data in list("brokerDatas")? {
        let broker = route.brokers.entry(text(data, "brokerName")).or_default();
        let BrokerData { cluster, addresses } = broker_data(data)?;
        broker.cluster = cluster;
        broker.addresses = addresses;
    }
    Ok(route)
}

fn queue_data(data: &Value) -> QueueData {
    let sys_flag = ["topicSysFlag", "topicSynFlag"]
        .into_iter()
        .find_map(|name| data.get(name));
    QueueData {
        read: integer(data, "readQueueNums"),
        write: integer(data, "writeQueueNums"),
        perm: integer(data, "perm"),
        sys_flag: sys_flag.and_then(Value::integer).unwrap_or_default(),
    }
}

/// `{"table":{"payments":"orders-0:4"}}`
pub(in crate::admin) fn kv_list(body: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let value = parse(body)?;
    Ok(pairs(super::table(&value, "table")?))
}
