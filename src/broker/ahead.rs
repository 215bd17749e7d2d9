//! Consumer groups that would go on beyond the end of a queue, because their offset is of another store or of an earlier life of the
//! topic: they would skip what comes first.

use std::collections::BTreeMap;

use crate::admin::system::is_system_group;
use crate::admin::{self, Admin, Confirmed, ConsumedQueue, ConsumerOffsets};

/// A consumer group that would go on beyond the end of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// `queueId`.
    pub id: i32,
    /// From where it would go on.
    pub offset: i64,
    /// Where the queue ends.
    pub end: i64,
}

/// The groups whose offset is beyond the end of a queue, of topics that are `looked` for. A topic that is not there has no
/// messages, nor has a queue that is not told in a store that is `new`; elsewhere it is one that only takes no more. The `offsets` of
/// the broker were read before, so that one which is committed meanwhile never seems to be beyond.
pub async fn read(
    offsets: &ConsumerOffsets,
    (address, admin): (&str, &dyn Admin),
    new: bool,
    looked: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Vec<Ahead>, admin::Error> {
    let mut found = Vec::new();
    for (topic, groups) in &offsets.topics {
        if !looked(topic) {
            continue;
        }
        let users = groups.iter().filter(|(group, _)| !is_system_group(group));
        let users: BTreeMap<_, _> = users.collect();
        if users
            .values()
            .flat_map(|queues| queues.values())
            .all(|offset| *offset == 0)
        {
            continue;
        }
        let queues = admin.topic_stats(address, topic).await?;
        let is_empty = new || queues.is_none();
        let queues = queues.unwrap_or_default();
        for (group, queue_offsets) in users {
            found.extend(queue_offsets.iter().filter_map(|(&id, &offset)| {
                let end = queues.get(&id).map(|queue| queue.max);
                let end = end.or(is_empty.then_some(0))?;
                (offset > end).then(|| Ahead {
                    group: group.clone(),
                    topic: topic.clone(),
                    id,
                    offset,
                    end,
                })
            }));
        }
    }
    Ok(found)
}

/// Moves an offset back to where its queue ends.
pub async fn move_back(broker: &Confirmed<'_>, ahead: &Ahead) -> Result<(), admin::Error> {
    let queue = ConsumedQueue {
        group: &ahead.group,
        topic: &ahead.topic,
        id: ahead.id,
    };
    broker.update_consumer_offset(queue, ahead.end).await
}
