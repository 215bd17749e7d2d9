//! Commands go to brokers whose identity was read first: a pod's address goes on to other pods.

use std::collections::BTreeMap;

use super::{Admin, Attributes, BrokerConfig, ConsumedQueue, Error, SubscriptionGroup, TopicConfig};

/// The address of a broker whose name and id were confirmed; only [`confirm`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedAddress(String);

impl ConfirmedAddress {
    /// As `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A server that a test is sure of.
    #[cfg(test)]
    pub(super) fn of_a_test(address: &str) -> Self {
        Self(address.to_owned())
    }
}

/// A broker that is who it is meant to be, to be told what to do now, not kept: its address may go on to another one.
///
/// Every command may be told again without harm, after an [`Error::Closed`] or an [`Error::Timeout`] too.
#[derive(Clone)]
pub struct Confirmed<'a> {
    admin: &'a dyn Admin,
    address: ConfirmedAddress,
    config: BrokerConfig,
}

/// Reads who answers at `address`, as `host:port`: an [`Error::AnotherBroker`] if that is not `broker_name` with
/// `broker_id`.
///
/// ```
/// # use rocketmq_operator::admin::fake::{FakeBroker, FakeRocketMq};
/// use rocketmq_operator::admin::{Admin, Attributes, TopicConfig, confirm};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let admin = FakeRocketMq::default();
/// # admin.broker(FakeBroker::master("orders-0").at("198.18.0.3:10911"));
/// let broker = confirm(&admin, "198.18.0.3:10911", "orders-0", 0).await.unwrap();
/// broker.put_topic(&TopicConfig::new("payments", 4), Attributes::Create).await.unwrap();
/// assert!(confirm(&admin, "198.18.0.3:10911", "orders-1", 0).await.is_err());
/// # });
/// ```
pub async fn confirm<'a>(
    admin: &'a dyn Admin,
    address: &str,
    broker_name: &str,
    broker_id: i64,
) -> Result<Confirmed<'a>, Error> {
    let config = admin.broker_config(address).await?;
    if config.broker_name() == Some(broker_name) && config.broker_id() == Some(broker_id) {
        let address = ConfirmedAddress(address.to_owned());
        return Ok(Confirmed {
            admin,
            address,
            config,
        });
    }
    let name = config.broker_name().unwrap_or("without a name");
    let id = config
        .broker_id()
        .map_or("unknown".to_owned(), |id| id.to_string());
    Err(Error::AnotherBroker {
        address: address.to_owned(),
        expected: format!("{broker_name} id {broker_id}"),
        found: format!("{name} id {id}"),
    })
}

impl Confirmed<'_> {
    /// As `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.address.as_str()
    }

    /// What it runs with, as it was read to confirm who it is.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// See [`Admin::update_broker_config`].
    pub async fn update_config(&self, changes: &BTreeMap<String, String>) -> Result<(), Error> {
        self.admin.update_broker_config(&self.address, changes).await
    }

    /// See [`Admin::put_topic`].
    pub async fn put_topic(&self, topic: &TopicConfig, attributes: Attributes) -> Result<(), Error> {
        self.admin.put_topic(&self.address, topic, attributes).await
    }

    /// See [`Admin::delete_topic`].
    pub async fn delete_topic(&self, topic: &str) -> Result<(), Error> {
        self.admin.delete_topic(&self.address, topic).await
    }

    /// See [`Admin::put_subscription_group`].
    pub async fn put_subscription_group(&self, group: &SubscriptionGroup) -> Result<(), Error> {
        self.admin.put_subscription_group(&self.address, group).await
    }

    /// See [`Admin::delete_subscription_group`].
    pub async fn delete_subscription_group(&self, group: &str) -> Result<(), Error> {
        self.admin.delete_subscription_group(&self.address, group).await
    }

    /// See [`Admin::update_consumer_offset`].
    pub async fn update_consumer_offset(&self, queue: ConsumedQueue<'_>, offset: i64) -> Result<(), Error> {
        self.admin
            .update_consumer_offset(&self.address, queue, offset)
            .await
    }
}
