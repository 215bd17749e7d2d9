//! What waits for its time at a master: messages of delay levels, and those in the timer of RocketMQ 5.x.

use std::collections::BTreeMap;

use crate::admin::system::SCHEDULE_TOPIC;
use crate::admin::{Admin, BrokerConfig, Delayed, Error, RuntimeInfo, Version};

/// What the broker says of its state. Everything that it says of its timers must be there to read: what is not would count
/// as nothing.
pub(super) async fn runtime(admin: &dyn Admin, address: &str) -> Result<RuntimeInfo, Error> {
    let runtime = admin.runtime_info(address).await?;
    let of_levels = runtime
        .0
        .keys()
        .filter(|key| key.starts_with("scheduleMessageOffset_"));
    let of_timer = ["timerOffsetBehind", "timerCongestNum", "timerReadBehind"];
    let reason = if runtime.delayed().len() != of_levels.count() {
        "a scheduleMessageOffset is not two numbers"
    } else if runtime.timer().is_none() && of_timer.iter().any(|key| runtime.0.contains_key(*key)) {
        "timerOffsetBehind, timerCongestNum and timerReadBehind are not all numbers"
    } else if runtime.timer().is_some_and(|timer| timer.congested < 0) {
        // Each message that is cancelled twice hides one that is not (`TimerMessageStore.doEnqueue`).
        "timerCongestNum is less than nothing: it does not tell how many messages wait"
    } else if runtime.dispatch_behind_bytes().is_none() {
        "dispatchBehindBytes is not a number"
    } else {
        return Ok(runtime);
    };
    Err(Error::Malformed {
        address: address.to_owned(),
        request: "GET_BROKER_RUNTIME_INFO",
        reason: reason.to_owned(),
    })
}

/// How far each delay level is: what `runtime`, read before, says of it, and where its queue ends. Of a level that is not
/// told nothing was delivered (see [`Version::tells_levels_that_wait`]); what is older than the first message of its queue
/// is gone.
pub(super) async fn levels(
    admin: &dyn Admin,
    address: &str,
    runtime: &RuntimeInfo,
    config: &BrokerConfig,
) -> Result<BTreeMap<i32, Delayed>, Error> {
    let mut levels = runtime.delayed();
    let tells_all = runtime.release().is_some_and(Version::tells_levels_that_wait);
    let queues = match admin.topic_stats(address, SCHEDULE_TOPIC).await? {
        Some(queues) => queues,
        None if tells_all => BTreeMap::new(),
        None => {
            return Err(Error::Malformed {
                address: address.to_owned(),
                request: "GET_TOPIC_STATS_INFO",
                reason: format!("there is no {SCHEDULE_TOPIC}"),
            });
        }
    };
    for (id, queue) in &queues {
        let level = levels.entry(id.saturating_add(1)).or_default();
        level.delivered = level.delivered.max(queue.min);
        level.max = level.max.max(queue.max);
    }
    if !tells_all {
        for level in 1..=count(config) {
            let id = level - 1;
            if !queues.contains_key(&id) && !levels.contains_key(&level) {
                let max = admin.max_offset(address, SCHEDULE_TOPIC, id).await?;
                levels.insert(level, Delayed { delivered: 0, max });
            }
        }
    }
    levels.retain(|_, level| level.max > 0);
    Ok(levels)
}

/// How many delay levels there are. The topic has 18 queues however many they are (`TopicConfigManager`).
fn count(config: &BrokerConfig) -> i32 {
    let levels = config.get("messageDelayLevel").unwrap_or_default();
    i32::try_from(levels.split_ascii_whitespace().count()).unwrap_or(i32::MAX)
}
