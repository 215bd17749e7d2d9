//! `broker-common.conf` is edited: some keys reach brokers that run, others restart them.

use serde_json::{Value, json};

use super::{carried_out, lasting, pods};
use crate::harness::cluster::text;
use crate::harness::fixtures::{config_map, name_service};
use crate::harness::ledger::{Ledger, Options};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds};

async fn edit(space: &Space, text: &str) {
    let data = json!({ "data": { "broker-common.conf": text } });
    space.merge("ConfigMap", "conf", data).await;
}

/// Waits until every broker runs with a value, as `mqadmin` reads it.
async fn run_with(rocketmq: &Rocketmq, key: &str, value: &str) {
    rocketmq
        .space
        .wait_for(
            &format!("brokers run with {key}={value}"),
            seconds(600),
            async || {
                for id in 0..2 {
                    let pod = rocketmq.pod_name(0, id);
                    let pod = rocketmq.space.get("Pod", &pod).await.ok_or("it is away")?;
                    let address = format!("{}:10911", text(&pod, "/status/podIP"));
                    let said = rocketmq
                        .try_mqadmin(&format!("getBrokerConfig -b {address}"))
                        .await;
                    if !said.ok {
                        return Err(said.all());
                    }
                    let line = said
                        .out
                        .lines()
                        .find(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
                    let now = line
                        .and_then(|line| line.split_once('='))
                        .map(|(_, now)| now.trim());
                    if now != Some(value) {
                        return Err(format!("{address} runs with {now:?}"));
                    }
                }
                Ok(())
            },
        )
        .await;
}

#[tokio::test]
async fn a_live_key_restarts_nothing_and_outlives_a_restart_and_another_key_rolls() {
    scenario(4, async |stage| {
        let space = stage.restricted_namespace().await;
        let conf: Value = json!({ "broker-common.conf": "fileReservedTime=24\n" });
        space.apply(&config_map("conf", &conf)).await;
        let volumes = json!([{ "name": "broker-config", "configMap": { "name": "conf" } }]);
        let broker = lasting().replicas(1).with("spec.volumes", volumes);
        let rocketmq = space.start(&name_service("name-service"), &broker).await;
        let ledger = Ledger::start(&rocketmq, Options::default()).await;
        run_with(&rocketmq, "fileReservedTime", "24").await;

        let before = rocketmq.broker_lives().await;
        edit(
            &space,
            "# a week\nfileReservedTime=168\nwaitTimeMillsInSendQueue=400\n",
        )
        .await;
        run_with(&rocketmq, "fileReservedTime", "168").await;
        run_with(&rocketmq, "waitTimeMillsInSendQueue", "400").await;
        carried_out(&rocketmq).await;
        rocketmq.no_broker_was_restarted(&before).await;

        // By hand; what the user set is put back.
        let master = rocketmq.broker_address(0, 0).await;
        let by_hand = format!("updateBrokerConfig -b {master} -k fileReservedTime -v 5");
        rocketmq.mqadmin(&by_hand).await;
        run_with(&rocketmq, "fileReservedTime", "168").await;
        space
            .wait_for("an event tells of the drift", START, async || {
                let args = ["get", "events", "-o", "jsonpath={.items[*].reason}"];
                let said = space.kubectl(&args).await.done();
                if said.contains("Drift") { Ok(()) } else { Err(said) }
            })
            .await;
        rocketmq.no_broker_was_restarted(&before).await;

        let story = async {
            let text = "fileReservedTime=100\nsendMessageThreadPoolNums=7\nwaitTimeMillsInSendQueue=400\n";
            edit(&space, text).await;
            run_with(&rocketmq, "sendMessageThreadPoolNums", "7").await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 1), (0, 0)]));
        assert_eq!(replaced.most_away, 1);
        run_with(&rocketmq, "fileReservedTime", "100").await;
        run_with(&rocketmq, "waitTimeMillsInSendQueue", "400").await;
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn another_listen_port_reaches_every_broker() {
    scenario(3, async |stage| {
        let space = stage.restricted_namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &lasting().replicas(1))
            .await;
        let story = async {
            rocketmq
                .change(json!({ "config": { "listenPort": "20911" } }))
                .await;
            carried_out(&rocketmq).await;
        };
        let ((), replaced) = rocketmq.replaced_during(story).await;
        assert_eq!(replaced.order, pods(&rocketmq, [(0, 1), (0, 0)]));
        let listed = rocketmq.listed(0, 0).await.expect("the master");
        assert!(listed.address.ends_with(":20911"), "{}", listed.address);
        rocketmq.messages_flow().await;
    })
    .await;
}
