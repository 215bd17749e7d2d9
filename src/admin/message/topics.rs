//! Topics of a broker: how they are read, and how they are put.

use super::codes::UPDATE_AND_CREATE_TOPIC;
use super::{Request, data_version, pairs, parse, table, text, truth};
use crate::admin::json::Value;
use crate::admin::{Attributes, TopicConfig, Topics};

/// `{"dataVersion":{…},"topicConfigTable":{"payments":{"order":false,"perm":6,"readQueueNums":8,…}}}`
pub(in crate::admin) fn topics(body: &[u8]) -> Result<Topics, String> {
    let value = parse(body)?;
    let topics = table(&value, "topicConfigTable")?.iter().map(|(name, topic)| {
        let name = name.text().ok_or("a topic's name is no text")?;
        Ok((name.to_owned(), topic_config(name, topic)))
    });
    Ok(Topics {
        topics: topics.collect::<Result<_, String>>()?,
        version: data_version(&value),
    })
}

/// What is missing is what Java leaves it at.
fn topic_config(name: &str, topic: &Value) -> TopicConfig {
    let plain = TopicConfig::new(name, 16);
    let number = |names: &[&str], otherwise| {
        let found = names.iter().find_map(|name| topic.get(name));
        found.and_then(Value::integer).unwrap_or(otherwise)
    };
    let filter = Some(text(topic, "topicFilterType")).filter(|filter| !filter.is_empty());
    let attributes = topic.get("attributes").map(Value::entries).unwrap_or_default();
    TopicConfig {
        read_queues: number(&["readQueueNums"], plain.read_queues),
        write_queues: number(&["writeQueueNums"], plain.write_queues),
        perm: number(&["perm"], plain.perm),
        sys_flag: number(&["topicSysFlag", "topicSynFlag"], plain.sys_flag),
        order: truth(topic, "order"),
        filter: filter.unwrap_or(plain.filter),
        attributes: pairs(attributes),
        name: plain.name,
    }
}

/// `defaultTopic` matters to a topic that a producer makes, but must be there.
pub(in crate::admin) fn put_topic(topic: &TopicConfig, attributes: Attributes) -> Request {
    let request = UPDATE_AND_CREATE_TOPIC
        .request()
        .with("topic", &topic.name)
        .with("defaultTopic", "TBW102")
        .with("readQueueNums", topic.read_queues)
        .with("writeQueueNums", topic.write_queues)
        .with("perm", topic.perm)
        .with("topicFilterType", &topic.filter)
        .with("topicSysFlag", topic.sys_flag)
        .with("order", topic.order);
    let added = topic
        .attributes
        .iter()
        .map(|(key, value)| format!("+{key}={value}"));
    match attributes {
        Attributes::Create if !topic.attributes.is_empty() => {
            request.with("attributes", added.collect::<Vec<_>>().join(","))
        }
        Attributes::Create | Attributes::Keep => request,
    }
}
