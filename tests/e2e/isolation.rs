//! Clusters never mix.

use crate::harness::fixtures::{broker, name_service};
use crate::harness::rocketmq::{Rocketmq, Row};
use crate::harness::stage::scenario;
use crate::harness::wire;

/// RocketMQ shows this cluster's one broker and nothing else, and its broker has the messages that were sent to it alone.
async fn is_by_itself(rocketmq: &Rocketmq, broker: &str, version: &str) {
    rocketmq.everything_is_listed().await.unwrap();
    let only = Row {
        cluster: broker.into(),
        broker: format!("{broker}-0"),
        id: 0,
        version: version.into(),
    };
    assert_eq!(rocketmq.cluster_list().await, [only]);
}

#[tokio::test]
async fn clusters_of_the_same_names_in_two_namespaces_never_mix() {
    scenario(4, async |stage| {
        let (here, there) = (stage.namespace().await, stage.namespace().await);
        let servers = name_service("name-service");
        let (one, other) = (
            here.begin(&servers, &broker("broker")).await,
            there.begin(&servers, &broker("broker")).await,
        );
        for cluster in [&one, &other] {
            cluster.wait_until_ready().await;
        }
        is_by_itself(&one, "broker", "V5_5_0").await;
        is_by_itself(&other, "broker", "V5_5_0").await;
        let addresses = [
            one.listed(0, 0).await.unwrap().address,
            other.listed(0, 0).await.unwrap().address,
        ];
        assert_ne!(addresses[0], addresses[1]);

        // The end of one is nothing to the other.
        let pods = other.pod_uids().await;
        here.delete("Broker", "broker").await;
        here.delete("NameService", "name-service").await;
        for name in ["broker-0-master", "name-service"] {
            here.wait_until_gone("StatefulSet", name, crate::harness::wait::seconds(60))
                .await;
        }
        other.wait_until_ready().await;
        assert_eq!(other.pod_uids().await, pods);
    })
    .await;
}

#[tokio::test]
async fn two_clusters_in_one_namespace_never_mix() {
    scenario(4, async |stage| {
        let space = stage.namespace().await;
        let red = space
            .begin(&name_service("red-names"), &broker("red").at("red-names"))
            .await;
        let blue = space
            .begin(&name_service("blue-names"), &broker("blue").at("blue-names"))
            .await;
        for cluster in [&red, &blue] {
            cluster.wait_until_ready().await;
        }
        is_by_itself(&red, "red", "V5_5_0").await;
        is_by_itself(&blue, "blue", "V5_5_0").await;
        red.messages_flow().await;
        let blue_server = &blue.name_servers().await[0];
        assert_eq!(wire::listed_by(blue_server).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn name_servers_given_by_address_serve_a_broker_of_another_namespace() {
    scenario(2, async |stage| {
        let (here, there) = (stage.namespace().await, stage.namespace().await);
        here.apply(&name_service("names")).await;
        here.wait_until_ready("NameService", "names").await;
        let address = format!("names-0.names-headless.{}.svc:9876", here.name);
        let servers = serde_json::json!(address);
        there
            .apply(&broker("broker").with("spec.nameServers", servers))
            .await;
        there.wait_until_ready("Broker", "broker").await;
        let server = format!(
            "{}:9876",
            crate::harness::cluster::text(&here.pod("names-0").await, "/status/podIP")
        );
        let listed = wire::listed_by(&server).await.unwrap();
        assert_eq!(
            listed.into_iter().map(|l| (l.broker, l.id)).collect::<Vec<_>>(),
            [("broker-0".to_owned(), 0)]
        );
    })
    .await;
}
