//! Order topics, which name servers keep and nobody else.

use k8s_openapi::api::core::v1::Pod;
use rocketmq_operator::admin::ORDER_TOPICS;

use crate::support::fixtures::name_service;
use crate::support::names::*;

#[tokio::test]
async fn a_new_name_server_gets_the_order_topics_of_the_others() {
    let mut world = serving(name_service("names").size(2)).await;
    for topic in ["a", "b", "c"] {
        put_order_topic(&world, 2, topic);
    }
    scale(&world, 3);
    world.settle().await;
    assert_eq!(order_topics(&world, "names-2").await, ["a", "b", "c"]);
    assert_eq!(published(&world), 3);
    world.delete::<Pod>("mq/names-0");
    world.settle().await;
    assert_eq!(order_topics(&world, "names-0").await, ["a", "b", "c"]);
    change_image(&world, NEWER);
    world.settle().await;
    for name in ["names-0", "names-1", "names-2"] {
        assert_eq!(order_topics(&world, name).await, ["a", "b", "c"], "{name}");
    }
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn a_name_server_that_takes_no_order_topics_is_not_published_and_what_was_begun_is_continued() {
    let mut world = serving(name_service("names")).await;
    for topic in ["a", "b", "c"] {
        put_order_topic(&world, 1, topic);
    }
    scale(&world, 2);
    world.reconcile_name_service("mq/names").await.unwrap();
    world.kubelet.step();
    world.kubelet.step();
    world
        .rocketmq
        .fails_at_change(2, rocketmq_operator::admin::fake::Moment::Before);
    world.reconcile_name_service("mq/names").await.unwrap();
    assert_eq!(order_topics(&world, "names-1").await, ["a"]);
    assert_eq!(published(&world), 1);
    says(
        &world,
        "names-1: has to be given 3 order topics of the others first",
    );
    says(&world, "Degraded=True OrderTopicsRefused");
    world.settle().await;
    assert_eq!(order_topics(&world, "names-1").await, ["a", "b", "c"]);
    assert_eq!(published(&world), 2);
}

#[tokio::test]
async fn a_user_that_deletes_an_order_topic_does_not_see_it_come_back() {
    let mut world = serving(name_service("names").size(2)).await;
    put_order_topic(&world, 2, "a");
    world.settle().await;
    delete_order_topic(&world, "names-1", "a").await;
    world.rocketmq.forget_asked();
    world.settle().await;
    world.restart_operator();
    world.settle().await;
    assert!(order_topics(&world, "names-1").await.is_empty());
    assert_eq!(changes_of_rocketmq(&world), 0);
    delete_order_topic(&world, "names-0", "a").await;
    change_image(&world, NEWER);
    world.settle().await;
    for name in ["names-0", "names-1"] {
        assert!(order_topics(&world, name).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn the_only_one_without_a_volume_is_not_restarted_while_it_keeps_order_topics() {
    let mut world = serving(name_service("names")).await;
    let before = uid(&world, "names-0");
    world.rocketmq.kv(
        &address(&world, "names-0"),
        ORDER_TOPICS,
        "payments",
        "orders-0:4",
    );
    change_image(&world, NEWER);
    world.settle().await;
    assert_eq!(uid(&world, "names-0"), before);
    says(&world, "TopicsWouldBeLost: names-0 keeps 1 order topics");
    scale(&world, 2);
    world.settle().await;
    assert_ne!(uid(&world, "names-0"), before);
    assert_eq!(order_topics(&world, "names-0").await, ["payments"]);
}
