//! `make bench`: how fast a new group gets what the others have.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::interval;

use super::bench::median;
use crate::harness::fixtures::{broker, name_service};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Stage, alone};
use crate::harness::wait::seconds;
use crate::harness::wire::{self, Made};

const ROUNDS: u32 = 3;
const TOPICS: usize = 5_000;
const GROUPS: usize = 500;
/// What is promised.
const AT_MOST: f64 = 1.2;

#[tokio::test]
#[ignore = "a benchmark: `make bench`"]
async fn benchmark_of_a_copy_against_a_plain_client() {
    alone(async |stage| {
        println!("{TOPICS} topics and {GROUPS} subscription groups made on a new master, in seconds:");
        println!("round  operator  plain client");
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let (copied, made) = one_round(stage).await;
            println!(
                "{round:5}  {:8.1}  {:12.1}",
                copied.as_secs_f64(),
                made.as_secs_f64()
            );
            ours.push(copied);
            plain.push(made);
        }
        let (ours, plain) = (median(ours), median(plain));
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        println!(
            "median {:7.1}  {:12.1}  ratio {ratio:.2}, at most {AT_MOST}",
            ours.as_secs_f64(),
            plain.as_secs_f64()
        );
        assert!(
            ratio <= AT_MOST,
            "the operator takes {ratio:.2} times as long as a plain client"
        );
    })
    .await;
}

/// How long the operator took to copy everything to a new master, and a plain client to make it on the first one, which
/// was as new.
async fn one_round(stage: &Stage) -> (Duration, Duration) {
    let space = stage.namespace().await;
    let rocketmq = space
        .start(&name_service("name-service"), &broker("broker"))
        .await;
    let first = rocketmq.broker_address(0, 0).await;
    let start = Instant::now();
    wire::make(&first, &everything()).await.unwrap();
    let made = start.elapsed();

    rocketmq.change(json!({ "size": 2 })).await;
    let copied = copied(&rocketmq).await;
    rocketmq.wait_until_ready().await;
    space
        .kubectl(&["delete", "brokers,nameservices", "--all", "--wait=true"])
        .await
        .done();
    (copied, made)
}

fn everything() -> Vec<Made> {
    let groups = (0..GROUPS).map(|n| {
        Made::subscription_group(&json!({
            "groupName": format!("made-{n}"), "consumeEnable": true, "consumeBroadcastEnable": true,
            "consumeFromMinEnable": true, "retryQueueNums": 1, "retryMaxTimes": 16, "brokerId": 0,
            "whichBrokerWhenConsumeSlowly": 1, "notifyConsumerIdsChangedEnable": true,
        }))
    });
    groups
        .chain((0..TOPICS).map(|n| Made::topic(&format!("made-{n}"), 4, 6)))
        .collect()
}

/// From the first subscription group that appears on the new master until its last topic has. It is looked at seldom: the broker
/// writes the whole table into each answer, which it does not have to do for the plain client.
async fn copied(rocketmq: &Rocketmq) -> Duration {
    let begun = Instant::now();
    let mut first = None;
    let mut tick = interval(Duration::from_secs(1));
    loop {
        assert!(begun.elapsed() < seconds(300), "nothing was copied in 5 minutes");
        tick.tick().await;
        let Some(listed) = rocketmq.listed(1, 0).await else {
            continue;
        };
        if first.is_none() {
            let groups = wire::subscription_groups(&listed.address).await;
            if groups.is_ok_and(|groups| groups.keys().any(|name| name.starts_with("made-"))) {
                first = Some(Instant::now());
            }
            continue;
        }
        let topics = wire::topics(&listed.address).await.unwrap_or_default();
        if topics.keys().filter(|name| name.starts_with("made-")).count() == TOPICS {
            return first.unwrap().elapsed();
        }
    }
}
