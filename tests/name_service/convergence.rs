//! Name servers that scale or restart end the same whenever the operator is killed in between.

use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::admin::fake::FakeBroker;
use rocketmq_operator::api::NameService;
use serde_json::{Value, json};

use crate::support::fixtures::name_service;
use crate::support::names::{
    NEWER, is_at_rest, order_topics, put_order_topic, runs_with, scale, serving, used,
};
use crate::support::world::World;

/// A world in which name servers with order topics are to become three of a newer image.
async fn changing() -> World {
    let world = serving(name_service("names").size(2)).await;
    world
        .rocketmq
        .broker(FakeBroker::master("stock-0").at("198.18.200.1:10911"));
    put_order_topic(&world, 2, "a");
    put_order_topic(&world, 2, "b");
    world.edit::<NameService>(
        "mq/names",
        &json!({"spec": {"size": 3, "nameServiceImage": NEWER}}),
    );
    world
}

/// A world in which name servers with order topics are to become one.
async fn shrinking() -> World {
    let mut world = used(3).await;
    put_order_topic(&world, 3, "a");
    scale(&world, 1);
    world.settle().await;
    runs_with(&world, "orders", 1);
    world.api.writes();
    world
}

/// What there is, without addresses: these depend on how often pods were made.
fn without_addresses(world: &World) -> Vec<Value> {
    let mut snapshot = world.snapshot();
    for object in &mut snapshot {
        if object["kind"] == "Pod" {
            object["status"] = Value::Null;
        } else if object["kind"] == "NameService" {
            let servers = object["status"]["nameServers"].as_array().unwrap().len();
            object["status"]["nameServers"] = json!(servers);
        }
    }
    snapshot
}

#[tokio::test]
async fn an_operator_killed_after_any_write_ends_with_the_same_name_servers() {
    for shrinks in [false, true] {
        let start = || async {
            if shrinks {
                shrinking().await
            } else {
                changing().await
            }
        };
        let mut calm = start().await;
        calm.settle().await;
        let writes = calm.api.writes().len();
        assert!(writes >= 2, "{writes}");
        for write in 1..=writes {
            let mut world = start().await;
            world.api.crash_after_write(write);
            world.run_until_crash().await;
            assert!(world.api.has_crashed(), "there was no write {write}");
            world.api.heal();
            world.restart_operator();
            world.settle().await;
            assert_eq!(
                without_addresses(&world),
                without_addresses(&calm),
                "killed after write {write}"
            );
            for name in calm
                .names::<Pod>()
                .iter()
                .filter(|name| name.starts_with("names"))
            {
                assert_eq!(
                    order_topics(&world, name).await,
                    order_topics(&calm, name).await,
                    "{name}"
                );
            }
            is_at_rest(&mut world).await;
        }
    }
}
