//! Name servers restart for a change, one at a time; who comes new finds a route at every moment.

use std::time::Instant;

use serde_json::json;

use super::lasting;
use crate::harness::cluster::{condition, conditions};
use crate::harness::fixtures::name_service;
use crate::harness::stage::scenario;
use crate::harness::wait::{START, seconds};
use crate::harness::wire;

#[tokio::test]
async fn while_three_name_servers_roll_a_fresh_client_finds_its_route_every_second() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service").size(3), &lasting())
            .await;
        let master = rocketmq.broker_address(0, 0).await;
        wire::put_topic(&master, "parcels", 4, 6).await.unwrap();
        let service = space.get("Service", "name-service").await.expect("the Service");
        let address = format!("{}:9876", service["spec"]["clusterIP"].as_str().unwrap());
        let before = rocketmq.name_server_lives().await;
        let brokers = rocketmq.broker_lives().await;

        let rolled = async {
            let change = json!({ "resources": { "requests": { "cpu": "11m" } } });
            rocketmq.change_name_service(change).await;
            space
                .wait_for("all three were restarted", seconds(600), async || {
                    let now = rocketmq.name_server_lives().await;
                    let same = now
                        .iter()
                        .filter(|(pod, life)| before.get(*pod) == Some(life))
                        .count();
                    let service = rocketmq.name_service().await;
                    let ready = condition(service.as_ref(), "Ready").status == "True";
                    if same == 0 && now.len() == 3 && ready {
                        Ok(())
                    } else {
                        Err(format!("{same} live on; {}", conditions(service.as_ref())))
                    }
                })
                .await;
        };
        let mut rolled = Box::pin(rolled);
        let (mut asked, mut failed) = (0, Vec::new());
        let start = Instant::now();
        let mut tick = tokio::time::interval(seconds(1));
        loop {
            tokio::select! {
                () = &mut rolled => break,
                _ = tick.tick() => {
                    asked += 1;
                    // As a Java client does it: once more where the first connection is refused.
                    let mut found = wire::permissions(&address, "parcels").await;
                    if found.is_err() {
                        found = wire::permissions(&address, "parcels").await;
                    }
                    match found {
                        Ok(route) if route.contains_key("broker-0") => {}
                        other => failed.push(format!("after {:.0?}: {other:?}", start.elapsed())),
                    }
                }
            }
        }
        println!(
            "{asked} clients in {:.0?}, without a route: {failed:?}",
            start.elapsed()
        );
        assert!(asked > 10 && failed.is_empty(), "{failed:?}");
        rocketmq.no_broker_was_restarted(&brokers).await;
        space
            .wait_for("everything is listed", START, async || {
                rocketmq.everything_is_listed().await
            })
            .await;
    })
    .await;
}
