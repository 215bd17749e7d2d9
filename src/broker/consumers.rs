//! Who is to consume what a master holds, beside the groups that have offsets there.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{FutureExt, try_join_all};

use super::backlog::{Facts, Kind, is_consumer, some_at_once};
use crate::admin::{Admin, ConsumerOffsets, Error, TopicConfig};

/// Another master: what people call it, and where it answers, `host:port`, if it serves.
pub type Other<'a> = (String, Option<&'a str>);

/// Reads what groups consumed at these masters: whoever consumes a topic anywhere is to consume all of it. An error if one
/// cannot be asked: whom it knows is not known.
pub async fn elsewhere(admin: &dyn Admin, masters: &[Other<'_>]) -> Result<Vec<ConsumerOffsets>, String> {
    let asked = masters.iter().map(|(name, address)| async move {
        let address = address.ok_or_else(|| format!("{name} does not serve"))?;
        let offsets = admin.consumer_offsets(address).await;
        offsets.map_err(|err| format!("{name}: {err}"))
    });
    try_join_all(asked).await
}

/// The groups that subscribe to topics with messages and have not consumed of them yet. Clients that are broadcast to keep
/// their offsets themselves: RocketMQ counts them nowhere, and so do we.
pub(super) async fn newcomers(
    admin: &dyn Admin,
    address: &str,
    facts: &Facts,
    narrowed: &[&TopicConfig],
) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let asked = facts.queues.iter().filter(|(topic, queues)| {
        let holds = queues.values().any(|queue| queue.max > queue.min);
        let may_hold = narrowed.iter().any(|narrowed| narrowed.name == **topic);
        facts.who.kind(topic) == Kind::User && (holds || may_hold)
    });
    let subscribed = asked.map(|(topic, _)| {
        async move {
            let mut groups = admin.consumer_groups_of(address, topic).await?;
            groups.retain(|group| is_consumer(group) && facts.offsets.of(topic, group).is_none());
            Ok((topic.clone(), groups.into_iter().collect::<BTreeSet<_>>()))
        }
        .boxed()
    });
    let subscribed = some_at_once(subscribed.collect()).await?;
    let mut subscribed: BTreeMap<_, _> = subscribed.into_iter().collect();
    let groups: BTreeSet<String> = subscribed.values().flatten().cloned().collect();
    let broadcast = groups.iter().map(|group| {
        async move {
            let connection = admin.consumer_connection(address, group).await?;
            let model = connection.and_then(|connection| connection.message_model);
            Ok((model.as_deref() == Some("BROADCASTING")).then_some(group))
        }
        .boxed()
    });
    let broadcast = some_at_once(broadcast.collect()).await?;
    for groups in subscribed.values_mut() {
        groups.retain(|group| !broadcast.contains(&Some(group)));
    }
    Ok(subscribed)
}
