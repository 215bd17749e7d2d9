//! Waiting for something to become true, never for time to pass.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// Within this a JVM starts, however busy the node is.
pub const START: Duration = seconds(300);

/// So many seconds; reads better in a story.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Looks until it is so, and returns what it saw. The look says with `Err` why it is not yet so.
///
/// # Errors
/// After the deadline: what was waited for, and what was seen last.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    let mut last = "nothing yet: the first look did not end".to_owned();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            tick.tick().await;
            match look().await {
                Ok(seen) => return seen,
                Err(why) => last = why,
            }
        }
    };
    match timeout(within, looking).await {
        Ok(seen) => Ok(seen),
        Err(_) => Err(format!(
            "{what}: not within {within:?} (gave up after {:.1?}). Seen last: {last}",
            start.elapsed()
        )),
    }
}

/// As [`until`], and the test fails when it does not become so.
pub async fn wait_for<T>(what: &str, within: Duration, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, within, look)
        .await
        .unwrap_or_else(|why| panic!("{why}"))
}

/// Looks for the whole of a window of time and fails as soon as it is not so: a measurement, for what must *stay* as it is.
pub async fn stays(what: &str, window: Duration, mut look: impl AsyncFnMut() -> Result<(), String>) {
    let start = Instant::now();
    let mut tick = interval(EVERY);
    while start.elapsed() < window {
        tick.tick().await;
        if let Err(why) = look().await {
            panic!("{what}: no longer so after {:.1?}: {why}", start.elapsed());
        }
    }
}
