//! Name servers come, go and restart; brokers and messages do not notice.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;

use crate::harness::cluster::{name_of, uid_of};
use crate::harness::fixtures::{Image, Storage, broker, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::node::is_ready;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};
use crate::harness::wire;

/// No producer may go without an acknowledged message for longer, whatever happens to name servers.
const GAP: Duration = seconds(5);

/// Waits until a name server's pod is ready, and from then on no longer than this until it lists every broker.
async fn lists_every_broker(rocketmq: &Rocketmq, pod: &str, within: Duration) {
    let address = rocketmq
        .space
        .wait_for(&format!("{pod} is ready"), START, async || {
            let found = rocketmq.name_server_pods().await;
            let found = found.iter().find(|p| name_of(p) == pod && is_ready(p));
            let ip = found.and_then(|p| p.pointer("/status/podIP")?.as_str());
            ip.map(|ip| format!("{ip}:9876")).ok_or_else(|| "not yet".into())
        })
        .await;
    let ready = Instant::now();
    rocketmq
        .space
        .wait_for(&format!("{pod} lists every broker"), within, async || {
            rocketmq.is_listed_by(&address).await
        })
        .await;
    println!(
        "{pod} lists every broker {:.1?} after it was ready",
        ready.elapsed()
    );
}

#[tokio::test]
async fn name_servers_1_to_3_to_1_restart_no_broker_and_lose_nothing() {
    scenario(9, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(
                &name_service("name-service"),
                &broker("broker").size(2).replicas(1),
            )
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let brokers = rocketmq.broker_lives().await;
        let first = rocketmq.name_server_lives().await;

        rocketmq.change_name_service(json!({ "size": 3 })).await;
        let new = ["name-service-1", "name-service-2"];
        join_all(new.map(|pod| lists_every_broker(&rocketmq, pod, seconds(40)))).await;
        rocketmq.wait_until_ready().await;
        ledger.sending().await;
        let mut now = rocketmq.name_server_lives().await;
        now.retain(|pod, _| first.contains_key(pod));
        assert_eq!(now, first, "the first name server was restarted");

        rocketmq.change_name_service(json!({ "size": 1 })).await;
        space
            .wait_for("one name server is left", START, async || {
                rocketmq.everything_is_listed().await
            })
            .await;
        rocketmq.wait_until_ready().await;
        ledger.sending().await;
        ledger.sends(2_000).await;
        assert_eq!(
            rocketmq.name_server_lives().await,
            first,
            "the first name server was restarted"
        );
        rocketmq.no_broker_was_restarted(&brokers).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}

async fn name_servers_deleted_in_turn_keep_their_kv(size: u32, storage: &Storage) {
    scenario(size + 4, async |stage| {
        let space = stage.restricted_namespace().await;
        let servers = name_service("name-service").size(size).storage(storage);
        let rocketmq = space.start(&servers, &broker("broker").size(2)).await;
        let (namespace, value) = ("ORDER_TOPIC_CONFIG", "broker-0:4;broker-1:4");
        rocketmq
            .mqadmin(&format!("updateKvConfig -s {namespace} -k parcels -v '{value}'"))
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        let brokers = rocketmq.broker_lives().await;

        for n in 0..size {
            let pod = format!("name-service-{n}");
            let old = uid_of(&space.pod(&pod).await).to_owned();
            space.delete("Pod", &pod).await;
            space
                .wait_for(&format!("there is another {pod}"), START, async || {
                    let found = space.get("Pod", &pod).await.ok_or("there is none")?;
                    if uid_of(&found) == old {
                        Err("it is the old one".into())
                    } else {
                        Ok(())
                    }
                })
                .await;
            lists_every_broker(&rocketmq, &pod, seconds(40)).await;
            space
                .wait_for("every name server has the KV", seconds(40), async || {
                    for server in rocketmq.name_servers().await {
                        let has = wire::kv(&server, namespace, "parcels").await?;
                        if has != value {
                            return Err(format!("{server} has {has:?}"));
                        }
                    }
                    Ok(())
                })
                .await;
            ledger.sending().await;
        }
        rocketmq.wait_until_ready().await;
        rocketmq.no_broker_was_restarted(&brokers).await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn each_name_server_deleted_in_turn_restarts_no_broker_and_learns_the_kv_from_another() {
    name_servers_deleted_in_turn_keep_their_kv(3, &Storage::EmptyDir).await;
}

#[tokio::test]
async fn the_only_name_server_deleted_restarts_no_broker_and_has_the_kv_on_its_volume() {
    name_servers_deleted_in_turn_keep_their_kv(1, &Storage::StorageClass).await;
}

#[tokio::test]
async fn on_4_9_7_another_name_server_is_told_to_running_brokers() {
    scenario(6, async |stage| {
        let space = stage.restricted_namespace().await;
        let image = Image::Official("4.9.7");
        let rocketmq = space
            .start(
                &name_service("name-service").image(image),
                &broker("broker").replicas(1).image(image),
            )
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default().client("4.9.7")).await;
        let brokers = rocketmq.broker_lives().await;
        rocketmq.change_name_service(json!({ "size": 2 })).await;
        lists_every_broker(&rocketmq, "name-service-1", seconds(150)).await;
        rocketmq.wait_until_ready().await;
        ledger.sending().await;
        rocketmq.no_broker_was_restarted(&brokers).await;
        let books = ledger.finish().await;
        books.nothing_is_lost();
        books.no_gap_over(GAP);
    })
    .await;
}

#[tokio::test]
async fn on_4_5_0_another_name_server_restarts_brokers_one_at_a_time_replicas_first() {
    scenario(8, async |stage| {
        let space = stage.restricted_namespace().await;
        let image = Image::Official("4.5.0");
        let brokers = broker("broker")
            .size(2)
            .replicas(1)
            .image(image)
            .storage(&Storage::StorageClass);
        let rocketmq = space
            .start(&name_service("name-service").image(image), &brokers)
            .await;
        let ledger = Ledger::start(&rocketmq, Options::default().client("4.9.7")).await;

        let scaling = async {
            rocketmq.change_name_service(json!({ "size": 2 })).await;
            space
                .wait_for("both name servers list every broker", seconds(600), async || {
                    rocketmq.everything_is_listed().await
                })
                .await;
            rocketmq.wait_until_ready().await;
        };
        let ((), replaced) = rocketmq.replaced_during(scaling).await;
        println!("{replaced:?}");
        let expected = [(0, 1), (0, 0), (1, 1), (1, 0)].map(|(group, id)| rocketmq.pod_name(group, id));
        assert_eq!(replaced.order, expected);
        assert_eq!(replaced.most_away, 1);
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn on_4_5_0_with_allow_restart_false_another_name_server_is_said_and_restarts_nothing() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let image = Image::Official("4.5.0");
        let rocketmq = space
            .start(
                &name_service("name-service").image(image),
                &broker("broker")
                    .image(image)
                    .with("spec.allowRestart", json!(false)),
            )
            .await;
        let brokers = rocketmq.broker_lives().await;
        rocketmq.change_name_service(json!({ "size": 2 })).await;
        space
            .wait_for_condition("Broker", "broker", "Degraded", "True", START)
            .await;
        rocketmq.no_broker_was_restarted(&brokers).await;
    })
    .await;
}
