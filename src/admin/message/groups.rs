//! Subscription groups of a broker: how they are read, and how they are put.

use std::collections::BTreeMap;

use super::codes::{DELETE_SUBSCRIPTIONGROUP, UPDATE_AND_CREATE_SUBSCRIPTIONGROUP};
use super::{Request, data_version, integer, parse, table, text, texts};
use crate::admin::json::{Key, Value};
use crate::admin::{ATTRIBUTES, Client, ConsumerConnection, SubscriptionGroup, SubscriptionGroups};

/// `{"dataVersion":{…},"subscriptionGroupTable":{"billing":{"consumeEnable":true,"groupName":"billing",…}}}`
pub(in crate::admin) fn subscription_groups(body: &[u8]) -> Result<SubscriptionGroups, String> {
    let value = parse(body)?;
    let groups = table(&value, "subscriptionGroupTable")?
        .iter()
        .map(|(name, group)| {
            let name = name.text().ok_or("a group's name is no text")?;
            let settings = group.entries().iter().filter_map(|(key, value)| {
                let key = key.text().filter(|key| *key != "groupName")?;
                Some((key.to_owned(), value.to_standard()))
            });
            let group = SubscriptionGroup::told(name.to_owned(), settings.collect());
            Ok((name.to_owned(), group))
        });
    Ok(SubscriptionGroups {
        groups: groups.collect::<Result<_, String>>()?,
        version: data_version(&value),
    })
}

/// Its settings as they were told. `attributes` are changes, as those of topics are: `+name` sets one
/// (`AttributeUtil.alterCurrentAttributes`); one that the broker's version does not know is refused, and 4.x drops all.
pub(in crate::admin) fn put_subscription_group(group: &SubscriptionGroup) -> Request {
    let name = serde_json::Value::String(group.name.clone());
    let settings = group.settings.iter().map(|(name, value)| {
        let value = match value.as_object().filter(|_| name == ATTRIBUTES) {
            Some(attributes) => {
                let each = attributes.iter();
                each.map(|(name, value)| (format!("+{name}"), value.clone()))
                    .collect()
            }
            None => value.clone(),
        };
        (name.clone(), value)
    });
    let mut body: serde_json::Map<_, _> = settings.collect();
    body.insert("groupName".to_owned(), name);
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP
        .request()
        .body(serde_json::Value::Object(body).to_string())
}

/// `removeOffset` is its name in 4.9.x, `cleanOffset` from 5.0.0.
pub(in crate::admin) fn delete_subscription_group(group: &str) -> Request {
    DELETE_SUBSCRIPTIONGROUP
        .request()
        .with("groupName", group)
        .with("removeOffset", true)
        .with("cleanOffset", true)
}

/// `{"groupList":["billing"]}`
pub(in crate::admin) fn consumer_groups(body: &[u8]) -> Result<Vec<String>, String> {
    let value = parse(body)?;
    match value.get("groupList") {
        Some(Value::List(_)) => Ok(texts(&value, "groupList")),
        _ => Err("there is no groupList".to_owned()),
    }
}

/// `{"connectionSet":[{"clientAddr":"ip:port","clientId":"…","language":"JAVA","version":313}],…,"subscriptionTable":{"T":{…}}}`
pub(in crate::admin) fn consumer_connection(body: &[u8]) -> Result<ConsumerConnection, String> {
    let value = parse(body)?;
    let Some(Value::List(connections)) = value.get("connectionSet") else {
        return Err("there is no connectionSet".to_owned());
    };
    let clients = connections.iter().map(|client| {
        let known = Client {
            address: text(client, "clientAddr"),
            language: text(client, "language"),
            version: integer(client, "version"),
        };
        (text(client, "clientId"), known)
    });
    let subscribed = value
        .get("subscriptionTable")
        .map(Value::entries)
        .unwrap_or_default();
    let topics = subscribed.iter().filter_map(|(topic, _)| Key::text(topic));
    let model = value.get("messageModel").and_then(Value::text);
    Ok(ConsumerConnection {
        clients: clients.collect::<BTreeMap<_, _>>(),
        topics: topics.map(ToOwned::to_owned).collect(),
        message_model: model.map(ToOwned::to_owned),
    })
}
