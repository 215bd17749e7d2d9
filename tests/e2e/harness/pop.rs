//! Consuming by POP (RocketMQ 5.x): the broker hands a message out for a while, and again if it is not acknowledged in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::wire::{SHORT, ask};

/// A message that was handed out.
#[derive(Debug)]
pub struct Popped {
    /// Where it lies: the topic itself, or that of what its group is to consume again.
    topic: String,
    offset: String,
    /// What the broker wants to be told again with the acknowledgement (`ExtraInfoUtil`).
    handle: String,
}

/// Pops a message of queue 0 of a topic (`POP_MESSAGE`), which nobody else of that group gets for a while.
///
/// # Errors
/// When the broker does not answer, or has none.
pub async fn pop(
    broker: &str,
    name: &str,
    topic: &str,
    group: &str,
    hidden: Duration,
) -> Result<Popped, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let fields = json!({
        "consumerGroup": group, "topic": topic, "queueId": "0", "maxMsgNums": "1", "pollTime": "0", "initMode": "0",
        "invisibleTime": hidden.as_millis().to_string(), "bornTime": now.to_string(), "expType": "TAG", "exp": "*", "order": "false",
    });
    let answer = ask(broker, 200_050, fields, &[], SHORT).await?.good(broker)?;
    read(&answer.fields, name, topic, group).ok_or_else(|| format!("{broker}: popped: {}", answer.fields))
}

/// `startOffsetInfo` and `msgOffsetInfo` are kind of topic, queue and offset.
fn read(fields: &Value, name: &str, topic: &str, group: &str) -> Option<Popped> {
    let field = |name: &str| fields[name].as_str();
    let (_, start) = field("startOffsetInfo")?.rsplit_once(' ')?;
    let mut where_ = field("msgOffsetInfo")?.split(' ');
    let (kind, queue, offset) = (where_.next()?, where_.next()?, where_.next()?);
    let (at, hidden, revive) = (field("popTime")?, field("invisibleTime")?, field("reviveQid")?);
    Some(Popped {
        topic: match kind {
            "0" => topic.to_owned(),
            "1" => format!("%RETRY%{group}_{topic}"),
            _ => return None,
        },
        offset: offset.to_owned(),
        handle: [start, at, hidden, revive, kind, name, queue, offset].join(" "),
    })
}

/// Acknowledges what was popped (`ACK_MESSAGE`).
///
/// # Errors
/// When the broker does not answer, or refuses.
pub async fn acknowledge(broker: &str, group: &str, popped: &Popped) -> Result<(), String> {
    let fields = json!({
        "consumerGroup": group, "topic": popped.topic, "queueId": "0", "extraInfo": popped.handle, "offset": popped.offset,
    });
    let answer = ask(broker, 200_051, fields, &[], SHORT).await?;
    answer.good(broker).map(drop)
}

#[test]
fn what_was_popped_a_second_time_lies_with_what_its_group_is_to_consume_again() {
    let answered = json!({
        "startOffsetInfo": "1 0 3", "msgOffsetInfo": "1 0 3", "popTime": "1795479346413", "invisibleTime": "20000",
        "reviveQid": "5",
    });
    let popped = read(&answered, "broker-1", "parcels", "poppers").unwrap();
    assert_eq!(popped.topic, "%RETRY%poppers_parcels");
    assert_eq!(popped.handle, "3 1795479346413 20000 5 1 broker-1 0 3");
}
