//! Restarting masters whose store goes with their pod, one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

mod support;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use rocketmq_operator::admin::{SubscriptionGroup, TopicConfig};
use rocketmq_operator::api::Broker;
use serde_json::{Value, json};
use support::fixtures::broker;
use support::rolling::{address, brokers, edit, says, serving, time_passes};
use support::world::World;

const MASTER: &str = "orders-0-master-0";
const NOTE: &str = "mq/orders-0-master-tables";

fn other_image() -> Value {
    json!({"spec": {"brokerImage": "apache/rocketmq:5.5.1"}})
}

/// A topic `payments` with ten messages on each of these masters, of which `billing` has consumed so many.
fn has_payments(world: &World, pods: &[&str], consumed: i64) {
    for pod in pods {
        world.rocketmq.becomes(&address(world, pod), |broker| {
            let topic = TopicConfig::new("payments", 1);
            let group = SubscriptionGroup::new("billing").with("retryMaxTimes", 7);
            let broker = broker.topic(topic).group(&group);
            broker
                .queue("payments", 0, 0, 10)
                .consumed("payments", "billing", 0, consumed)
        });
    }
    world.rocketmq.register_all();
}

fn permission(world: &World, pod: &str) -> Option<i32> {
    let broker = world.rocketmq.broker_at(&address(world, pod));
    broker?.whole_config().broker_permission()
}

/// Goes on for so many rounds, time passing between them; the pods that were replaced. Nowhere are two away.
async fn goes_on(world: &mut World, rounds: usize) -> Vec<String> {
    let (mut seen, mut order) = (brokers(world), Vec::new());
    for _ in 0..rounds {
        time_passes(world, "mq/orders");
        let _ = world.reconcile_all().await;
        let now = brokers(world);
        let away: Vec<_> = seen.keys().filter(|name| !now.contains_key(*name)).collect();
        assert!(away.len() <= 1, "{away:?} are away at the same time");
        world.kubelet.step();
        for (name, uid) in brokers(world) {
            if seen.get(&name).is_some_and(|before| *before != uid) {
                order.push(name.clone());
            }
            seen.insert(name, uid);
        }
    }
    order
}

fn is_done(world: &World) {
    assert!(
        world.ready::<Broker>("mq/orders"),
        "{:#?}",
        world.conditions::<Broker>("mq/orders")
    );
    assert!(world.get::<Broker>("mq/orders").status.unwrap().rollout.is_none());
    assert!(world.find::<ConfigMap>(NOTE).is_none(), "still noted");
}

fn has_everything_again(world: &World, pod: &str) {
    let broker = world.rocketmq.broker_at(&address(world, pod)).unwrap();
    assert!(broker.topics().contains_key("payments"), "{pod}");
    let group = broker.groups().get("billing").cloned();
    assert_eq!(group.unwrap().settings["retryMaxTimes"], json!(7), "{pod}");
    assert_eq!(permission(world, pod), Some(6), "{pod}");
}

#[tokio::test]
async fn it_is_not_restarted_while_somebody_has_still_to_consume_and_then_gets_its_topics_back() {
    let masters = [MASTER, "orders-1-master-0"];
    let mut world = serving(broker("orders").groups(2)).await;
    has_payments(&world, &masters, 4);
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 12).await, Vec::<String>::new());
    says(
        &world,
        "Degraded=True StoreWouldBeLost: 6 messages would be lost: group billing on topic payments",
    );
    assert_eq!(
        masters.map(|pod| permission(&world, pod)),
        [Some(4), Some(6)],
        "producers can go elsewhere, so it is read-only from the start"
    );
    has_payments(&world, &masters, 10);
    let order = goes_on(&mut world, 60).await;
    assert_eq!(order, masters);
    is_done(&world);
    for pod in masters {
        has_everything_again(&world, pod);
    }
}

#[tokio::test]
async fn a_group_that_a_consumer_makes_on_the_new_store_gets_its_settings_back() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 10);
    edit(&world, &other_image());
    for _ in 0..60 {
        goes_on(&mut world, 1).await;
        let pod = world.find::<Pod>(&format!("mq/{MASTER}"));
        let Some(ip) = pod.and_then(|pod| pod.status?.pod_ip) else {
            continue;
        };
        let back = format!("{ip}:10911");
        let broker = world.rocketmq.broker_at(&back);
        if broker.is_some_and(|broker| !broker.groups().contains_key("billing")) {
            let made = SubscriptionGroup::new("billing");
            world.rocketmq.becomes(&back, |broker| broker.group(&made));
        }
    }
    is_done(&world);
    has_everything_again(&world, MASTER);
}

#[tokio::test]
async fn the_only_group_takes_messages_until_it_is_empty() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 4);
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 12).await, Vec::<String>::new());
    assert_eq!(permission(&world, MASTER), Some(6));
    has_payments(&world, &[MASTER], 10);
    assert_eq!(goes_on(&mut world, 60).await, [MASTER]);
    is_done(&world);
    has_everything_again(&world, MASTER);
}

#[tokio::test]
async fn a_consumer_with_an_offset_of_the_old_store_keeps_it_read_only_and_is_moved_to_the_end() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 10);
    let before = brokers(&world);
    edit(&world, &other_image());
    for _ in 0..60 {
        if brokers(&world) != before && world.rocketmq.broker_at(&address_or(&world)).is_some() {
            break;
        }
        goes_on(&mut world, 1).await;
    }
    world.rocketmq.becomes(&address(&world, MASTER), |broker| {
        broker.consumed("payments", "billing", 0, 10)
    });
    for _ in 0..3 {
        world.reconcile_all().await.unwrap();
        world.kubelet.step();
        assert_eq!(permission(&world, MASTER), Some(4));
    }
    goes_on(&mut world, 20).await;
    is_done(&world);
    has_everything_again(&world, MASTER);
    let changes = format!("{:?}", world.rocketmq.changes());
    assert!(changes.contains("UPDATE_CONSUMER_OFFSET"), "{changes}");
}

#[tokio::test]
async fn a_group_that_consumes_elsewhere_and_not_yet_here_is_waited_for() {
    let masters = [MASTER, "orders-1-master-0"];
    let mut world = serving(broker("orders").groups(2)).await;
    has_payments(&world, &masters, 10);
    world.rocketmq.becomes(&address(&world, masters[1]), |broker| {
        broker.consumed("payments", "nightly", 0, 10)
    });
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 30).await, Vec::<String>::new());
    says(
        &world,
        "Degraded=True StoreWouldBeLost: 10 messages would be lost: group nightly on topic payments",
    );
    edit(
        &world,
        &json!({"spec": {"scaleIn": {"ignoreConsumerGroups": ["nightly"]}}}),
    );
    assert_eq!(goes_on(&mut world, 60).await, masters);
}

#[tokio::test]
async fn a_master_that_keeps_messages_where_nobody_can_count_them_waits_for_its_user() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 10);
    world.rocketmq.becomes(&address(&world, MASTER), |broker| {
        broker.config("popConsumerKVServiceEnable", "true")
    });
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 30).await, Vec::<String>::new());
    says(
        &world,
        "it cannot be told whether messages that were popped and not acknowledged are left (popConsumerKVServiceEnable=true)",
    );
    says(&world, "rocketmq.apache.org/accept-loss=orders-0-master-0");
}

#[tokio::test]
async fn delayed_messages_of_which_its_broker_does_not_tell_are_waited_for() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 10);
    let delayed = |world: &World, delivered| {
        world.rocketmq.becomes(&address(world, MASTER), |broker| {
            broker.version("V4_9_7").delayed(16, delivered, 2)
        });
    };
    delayed(&world, 0);
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 30).await, Vec::<String>::new());
    says(
        &world,
        "Degraded=True StoreWouldBeLost: 2 messages would be lost: 2 messages delayed",
    );
    delayed(&world, 2);
    assert_eq!(goes_on(&mut world, 60).await, [MASTER]);
}

/// Where the master answers, if it has an address.
fn address_or(world: &World) -> String {
    let pod = world.find::<k8s_openapi::api::core::v1::Pod>(&format!("mq/{MASTER}"));
    let ip = pod.and_then(|pod| pod.status?.pod_ip);
    ip.map_or_else(String::new, |ip| format!("{ip}:10911"))
}

#[tokio::test]
async fn what_is_not_known_is_waited_for() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 10);
    world.rocketmq.becomes(&address(&world, MASTER), |broker| {
        broker.runtime("dispatchBehindBytes", "much")
    });
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 30).await, Vec::<String>::new());
    says(&world, "what it holds is not known");
}

#[tokio::test]
async fn its_user_can_accept_the_loss_and_its_topics_come_back_all_the_same() {
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 4);
    edit(&world, &other_image());
    edit(
        &world,
        &json!({"metadata": {"annotations": {"rocketmq.apache.org/accept-loss": MASTER}}}),
    );
    assert_eq!(goes_on(&mut world, 20).await, [MASTER]);
    is_done(&world);
    has_everything_again(&world, MASTER);
}

#[tokio::test]
async fn a_loss_is_accepted_of_one_pod_and_not_of_those_that_come_after_it() {
    let accept = json!({"metadata": {"annotations": {"rocketmq.apache.org/accept-loss": MASTER}}});
    let mut world = serving(broker("orders")).await;
    has_payments(&world, &[MASTER], 4);
    edit(&world, &other_image());
    edit(&world, &accept);
    assert_eq!(goes_on(&mut world, 20).await, [MASTER]);
    has_payments(&world, &[MASTER], 4);
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.2"}}));
    assert_eq!(goes_on(&mut world, 12).await, Vec::<String>::new());
    says(
        &world,
        "it was accepted of an earlier pod: take the annotation away, then set it again",
    );
    edit(
        &world,
        &json!({"metadata": {"annotations": {"rocketmq.apache.org/accept-loss": null}}}),
    );
    goes_on(&mut world, 1).await;
    edit(&world, &accept);
    assert_eq!(goes_on(&mut world, 20).await, [MASTER]);
}

#[tokio::test]
async fn one_that_does_not_serve_for_now_is_not_replaced_with_its_messages() {
    for crashes in [true, false] {
        let mut world = serving(broker("orders")).await;
        has_payments(&world, &[MASTER], 4);
        if crashes {
            world.kubelet.crashes(MASTER);
        } else {
            world.kubelet.hold(MASTER);
        }
        world.settle().await;
        edit(&world, &other_image());
        assert_eq!(
            goes_on(&mut world, 12).await,
            Vec::<String>::new(),
            "crashes: {crashes}"
        );
        says(&world, "Degraded=True StoreWouldBeLost");
        let accept = json!({"metadata": {"annotations": {"rocketmq.apache.org/accept-loss": MASTER}}});
        edit(&world, &accept);
        world.kubelet.heal();
        assert_eq!(goes_on(&mut world, 20).await, [MASTER], "crashes: {crashes}");
    }
}

#[tokio::test]
async fn one_that_never_served_holds_nothing_and_is_replaced_at_once() {
    let mut world = World::default();
    world.apply::<rocketmq_operator::api::NameService>(support::fixtures::name_service("names"));
    world.kubelet.crashes(MASTER);
    world.apply::<Broker>(broker("orders"));
    world.settle().await;
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 4).await, [MASTER]);
}

#[tokio::test]
async fn a_disk_that_the_spec_moves_it_away_from_counts_as_lost_with_its_pod() {
    let on = |node: &str| json!({"kubernetes.io/hostname": node});
    let moves = [
        json!({"spec": {"nodeSelector": on("node-2")}}),
        json!({"spec": {"hostPath": "/elsewhere"}}),
    ];
    for change in moves {
        let pinned = |spec: &mut rocketmq_operator::api::BrokerSpec| {
            spec.node_selector = serde_json::from_value(on("node-1")).unwrap();
        };
        let mut world = serving(broker("orders").host_path("/data").with(pinned)).await;
        has_payments(&world, &[MASTER], 4);
        edit(&world, &change);
        assert_eq!(goes_on(&mut world, 12).await, Vec::<String>::new(), "{change}");
        says(&world, "Degraded=True StoreWouldBeLost: 6 messages would be lost");
        has_payments(&world, &[MASTER], 10);
        assert_eq!(goes_on(&mut world, 60).await, [MASTER], "{change}");
    }
}

#[tokio::test]
async fn its_replicas_are_emptied_after_it() {
    let mut world = serving(broker("orders").replicas(1)).await;
    has_payments(&world, &[MASTER], 10);
    edit(&world, &other_image());
    assert_eq!(goes_on(&mut world, 60).await, [MASTER, "orders-0-replica-1-0"]);
    is_done(&world);
}

#[tokio::test]
async fn a_change_that_is_undone_while_it_waits_leaves_no_trace() {
    let mut world = serving(broker("orders").groups(2)).await;
    let before = brokers(&world);
    has_payments(&world, &[MASTER, "orders-1-master-0"], 4);
    edit(&world, &other_image());
    goes_on(&mut world, 6).await;
    assert_eq!(permission(&world, MASTER), Some(4));
    edit(&world, &json!({"spec": {"brokerImage": "apache/rocketmq:5.5.0"}}));
    goes_on(&mut world, 6).await;
    is_done(&world);
    assert_eq!(permission(&world, MASTER), Some(6));
    assert_eq!(brokers(&world), before);
}

#[tokio::test]
async fn an_operator_killed_after_any_write_ends_it_all_the_same() {
    let emptied = async |crash: Option<usize>| {
        let mut world = serving(broker("orders")).await;
        has_payments(&world, &[MASTER], 10);
        edit(&world, &other_image());
        world.api.writes();
        if let Some(write) = crash {
            world.api.crash_after_write(write);
        }
        let mut order = Vec::new();
        for _ in 0..30 {
            order.extend(goes_on(&mut world, 1).await);
            if world.api.has_crashed() || order == [MASTER] && world.ready::<Broker>("mq/orders") {
                break;
            }
        }
        let writes = world.api.writes().len();
        world.api.heal();
        world.restart_operator();
        for _ in 0..30 {
            order.extend(goes_on(&mut world, 1).await);
            if order == [MASTER] && world.ready::<Broker>("mq/orders") {
                break;
            }
        }
        assert_eq!(order, [MASTER], "killed after write {crash:?}");
        is_done(&world);
        has_everything_again(&world, MASTER);
        writes
    };
    let writes = emptied(None).await;
    assert!(writes > 10, "{writes}");
    for write in 1..=writes {
        emptied(Some(write)).await;
    }
}
