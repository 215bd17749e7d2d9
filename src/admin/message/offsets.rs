//! Offsets of queues and of their consumers.

use std::collections::BTreeMap;

use super::codes::Code;
use super::{Request, integer, numbers, parse, table, text};
use crate::admin::json::{self, Key, Value};
use crate::admin::{ConsumeStats, ConsumedQueue, ConsumerOffsets, Progress, Queue, QueueOffsets};

/// `{"offsetTable":{"payments@billing":{0:5,1:6}}}`; the names of topics and groups have no `@`.
pub(in crate::admin) fn consumer_offsets(body: &[u8]) -> Result<ConsumerOffsets, String> {
    let value = parse(body)?;
    let mut all = ConsumerOffsets::default();
    for (key, offsets) in table(&value, "offsetTable")? {
        // RocketMQ itself skips what is no such pair.
        let Some((topic, group)) = key.text().and_then(|key| key.split_once('@')) else {
            continue;
        };
        let groups = all.topics.entry(topic.to_owned()).or_default();
        groups.insert(group.to_owned(), numbers(offsets.entries())?);
    }
    Ok(all)
}

/// `{"offsetTable":{3:12,4:1}}`
pub(in crate::admin) fn delay_offsets(body: &[u8]) -> Result<BTreeMap<i32, i64>, String> {
    let value = parse(body)?;
    numbers(table(&value, "offsetTable")?)
}

/// `{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":5,"minOffset":0}}}`
pub(in crate::admin) fn topic_stats(body: &[u8]) -> Result<BTreeMap<i32, QueueOffsets>, String> {
    of_queues(body, |offsets| QueueOffsets {
        min: integer(offsets, "minOffset"),
        max: integer(offsets, "maxOffset"),
        last_update_ms: integer(offsets, "lastUpdateTimestamp"),
    })
    .map(|queues| {
        queues
            .into_iter()
            .map(|(queue, offsets)| (queue.id, offsets))
            .collect()
    })
}

/// `{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"brokerOffset":5,"consumerOffset":3,"lastTimestamp":0}}}`
pub(in crate::admin) fn consume_stats(body: &[u8]) -> Result<ConsumeStats, String> {
    let queues = of_queues(body, |progress| Progress {
        broker_offset: integer(progress, "brokerOffset"),
        consumer_offset: integer(progress, "consumerOffset"),
        last_timestamp_ms: integer(progress, "lastTimestamp"),
    })?;
    Ok(ConsumeStats { queues })
}

fn of_queues<T>(body: &[u8], read: impl Fn(&Value) -> T) -> Result<BTreeMap<Queue, T>, String> {
    let value = parse(body)?;
    let queues = table(&value, "offsetTable")?.iter();
    queues
        .map(|(key, offsets)| Ok((queue(key)?, read(offsets))))
        .collect()
}

/// A queue as a key: a bean, or one that was made text.
fn queue(key: &Key) -> Result<Queue, String> {
    let bean = match key {
        Key::Object(bean) => Value::Object(bean.clone()),
        Key::Text(text) => json::parse(text.as_bytes())?,
    };
    let id = bean.get("queueId").and_then(Value::integer);
    Ok(Queue {
        topic: text(&bean, "topic"),
        id: id.ok_or("a queue has no queueId")?,
    })
}

/// The fields that tell a queue of a group.
pub(in crate::admin) fn of_queue(code: Code, queue: ConsumedQueue<'_>) -> Request {
    code.request()
        .with("consumerGroup", queue.group)
        .with("topic", queue.topic)
        .with("queueId", queue.id)
}

/// The offset that is told beside the body.
pub(in crate::admin) fn offset(fields: &BTreeMap<String, String>) -> Result<i64, String> {
    let offset = fields.get("offset").and_then(|offset| offset.trim().parse().ok());
    offset.ok_or_else(|| "there is no offset".to_owned())
}
