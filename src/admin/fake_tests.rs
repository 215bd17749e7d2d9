use super::fake::{Asked, FakeBroker, FakeRocketMq};
use super::message::codes::NOT_SUPPORTED;
use super::{Admin, Error};

const NS: [&str; 2] = ["198.18.0.2:9876", "198.18.1.2:9876"];
const MASTER: &str = "198.18.0.3:10911";

fn with_a_master() -> FakeRocketMq {
    let rocketmq = FakeRocketMq::default();
    let master = FakeBroker::master("orders-0").cluster("orders").at(MASTER);
    rocketmq
        .name_server(NS[0])
        .broker(master.registers_as("198.19.0.3:10911"))
        .name_server(NS[1]);
    rocketmq
}

async fn listed(rocketmq: &FakeRocketMq, name_server: &str) -> Vec<(String, i64, String)> {
    let info = rocketmq.cluster_info(name_server).await.unwrap();
    let groups = info.brokers.into_iter();
    groups
        .flat_map(|(name, data)| {
            let addresses = data.addresses.into_iter();
            addresses.map(move |(id, address)| (name.clone(), id, address))
        })
        .collect()
}

fn orders_0(id: i64, address: &str) -> Vec<(String, i64, String)> {
    vec![("orders-0".to_owned(), id, address.to_owned())]
}

#[tokio::test]
async fn a_broker_registers_on_every_name_server_whichever_starts_first() {
    let rocketmq = with_a_master();
    for name_server in NS {
        assert_eq!(
            listed(&rocketmq, name_server).await,
            orders_0(0, "198.19.0.3:10911")
        );
    }
}

#[tokio::test]
async fn a_broker_may_register_on_some_name_servers_only() {
    let rocketmq = with_a_master();
    rocketmq.broker(
        FakeBroker::master("stock-0")
            .at("198.18.0.9:10911")
            .registers_on(&[NS[1]]),
    );
    assert_eq!(listed(&rocketmq, NS[0]).await.len(), 1);
    assert_eq!(listed(&rocketmq, NS[1]).await.len(), 2);
}

#[tokio::test]
async fn a_broker_says_who_it_is_on_its_own_address_not_on_the_registered_one() {
    let rocketmq = with_a_master();
    let config = rocketmq.broker_config(MASTER).await.unwrap();
    assert_eq!(
        (config.broker_name(), config.broker_id()),
        (Some("orders-0"), Some(0))
    );
    assert_eq!(config.get("brokerIP1"), Some("198.19.0.3"));
    assert!(matches!(
        rocketmq.broker_config("198.19.0.3:10911").await,
        Err(Error::Connect { .. })
    ));
}

#[tokio::test]
async fn a_killed_broker_is_neither_listed_nor_answers() {
    let rocketmq = with_a_master();
    rocketmq.kill(MASTER);
    assert_eq!(listed(&rocketmq, NS[0]).await, []);
    assert!(matches!(
        rocketmq.runtime_info(MASTER).await,
        Err(Error::Connect { .. })
    ));
}

#[tokio::test]
async fn a_late_death_does_not_strike_off_the_successor() {
    let rocketmq = with_a_master();
    rocketmq.broker(FakeBroker::master("orders-0").at("198.18.0.4:10911"));
    rocketmq.kill(MASTER);
    assert_eq!(listed(&rocketmq, NS[0]).await, orders_0(0, "198.18.0.4:10911"));
}

#[tokio::test]
async fn an_unreachable_broker_stays_listed() {
    let rocketmq = with_a_master();
    rocketmq.unreachable(MASTER);
    assert!(matches!(
        rocketmq.runtime_info(MASTER).await,
        Err(Error::Connect { .. })
    ));
    assert_eq!(listed(&rocketmq, NS[0]).await.len(), 1);
    rocketmq.heal(MASTER);
    assert_eq!(
        rocketmq.runtime_info(MASTER).await.unwrap().version(),
        Some("V5_5_0")
    );
}

#[tokio::test]
async fn what_one_name_server_struck_off_comes_back_with_the_next_registration() {
    let rocketmq = with_a_master();
    rocketmq.strike_off(NS[1], "orders-0", 0);
    assert_eq!(listed(&rocketmq, NS[0]).await.len(), 1);
    assert_eq!(listed(&rocketmq, NS[1]).await, []);
    rocketmq.register_all();
    assert_eq!(listed(&rocketmq, NS[1]).await.len(), 1);
}

#[tokio::test]
async fn the_deaf_time_out_and_the_unwilling_refuse() {
    let rocketmq = with_a_master();
    rocketmq.deaf(NS[0]).refuses(MASTER, 1, "no");
    assert!(matches!(
        rocketmq.cluster_info(NS[0]).await,
        Err(Error::Timeout {
            request: "GET_BROKER_CLUSTER_INFO",
            ..
        })
    ));
    assert!(matches!(
        rocketmq.broker_config(MASTER).await,
        Err(Error::Refused { code: 1, .. })
    ));
    assert!(matches!(
        rocketmq.broker_config(NS[1]).await,
        Err(Error::Refused {
            code: NOT_SUPPORTED,
            ..
        })
    ));
}

#[tokio::test]
async fn clones_are_the_same_and_remember_who_was_asked() {
    let rocketmq = with_a_master();
    rocketmq.clone().broker_config(MASTER).await.unwrap();
    let asked = Asked {
        address: MASTER.to_owned(),
        request: "GET_BROKER_CONFIG",
    };
    assert_eq!(rocketmq.asked(), [asked]);
    assert_eq!(rocketmq.forget_asked().asked(), []);
}
