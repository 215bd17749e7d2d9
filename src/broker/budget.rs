//! How long a reconcile goes on telling brokers what to do. It has a deadline, by which the status is to be written too; what
//! is not begun in time, the next one finds missing again.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::admin::{self, Attributes, Confirmed, SubscriptionGroup, TopicConfig};

/// What is begun by then is done by the deadline, with what came before.
const BUDGET: Duration = Duration::from_secs(30);
/// How many commands one broker is told at a time; it writes its whole list of topics or groups with each.
const AT_A_TIME: usize = 4;

/// The time that is left; one for all that a reconcile tells, whomever.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    until: Instant,
}

impl Budget {
    /// All of it, from now on.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            until: Instant::now() + BUDGET,
        }
    }

    /// Whether nothing more is to be begun.
    #[must_use]
    pub fn is_spent(self) -> bool {
        Instant::now() >= self.until
    }

    /// Makes on a broker what can be begun in time. One that is refused does not keep others of its kind back; the first
    /// refusal is told. No topic is made before every group is there: a consumer that finds a topic makes its group, with
    /// defaults, by its heartbeat.
    ///
    /// # Errors
    /// The first that the broker refuses or does not answer.
    pub async fn make<'a>(
        self,
        broker: &Confirmed<'_>,
        groups: &[SubscriptionGroup],
        topics: impl Iterator<Item = (&'a TopicConfig, Attributes)>,
    ) -> Result<(), admin::Error> {
        let groups = groups.iter();
        let groups = groups.map(|group| broker.put_subscription_group(group).boxed());
        self.in_time(groups.collect()).await?;
        let topics = topics.map(|(topic, attributes)| broker.put_topic(topic, attributes).boxed());
        self.in_time(topics.collect()).await
    }

    /// Begins what can be begun in time, as [`Self::make`].
    ///
    /// # Errors
    /// As there.
    pub async fn in_time(
        self,
        commands: Vec<BoxFuture<'_, Result<(), admin::Error>>>,
    ) -> Result<(), admin::Error> {
        let begun = commands.into_iter().map(|command| {
            async move {
                if self.is_spent() {
                    return Ok(());
                }
                command.await
            }
            .boxed()
        });
        let results: Vec<_> = stream::iter(begun.collect::<Vec<_>>())
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        results.into_iter().collect()
    }
}
