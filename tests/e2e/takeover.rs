//! A running cluster of the Go operator is taken over, with messages flowing from before to after.

use serde_json::{Value, json};

use crate::harness::cluster::{condition, name_of, uid_of};
use crate::harness::fixtures::Image;
use crate::harness::ledger::{Ledger, Options};
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::{Space, alone};
use crate::harness::wait::{seconds, stays};
use crate::harness::{go_operator, operator};

/// How clients find name servers before our operator makes a Service for that.
const CLIENTS: &str = "clients:9876";

/// What a StatefulSet makes pods from, and its UID.
async fn sets(space: &Space) -> Vec<(String, Value, Value)> {
    let all = space.cluster.list("StatefulSet", &space.name, "").await;
    let what = |set: &Value| {
        (
            format!("{} {}", name_of(set), uid_of(set)),
            set["metadata"]["generation"].clone(),
            set["spec"].clone(),
        )
    };
    all.iter().map(what).collect()
}

async fn claims(space: &Space) -> Vec<String> {
    let all = space.cluster.list("PersistentVolumeClaim", &space.name, "").await;
    all.iter()
        .map(|claim| format!("{} {}", name_of(claim), uid_of(claim)))
        .collect()
}

async fn restart(space: &Space, kind: &str, name: &str) {
    let wish = json!({ "metadata": { "annotations": { "rocketmq.apache.org/restartedAt": "now" } } });
    space.merge(kind, name, wish).await;
}

/// No broker's pod has a hook, and both custom resources are ready.
async fn is_rolled(rocketmq: &Rocketmq) {
    let space = &rocketmq.space;
    space
        .wait_for("every broker's pod is made anew", seconds(420), async || {
            let pods = rocketmq.broker_pods().await;
            match pods
                .iter()
                .find(|pod| !pod["spec"]["containers"][0]["lifecycle"].is_null())
            {
                Some(pod) => Err(format!("{} has the hook", name_of(pod))),
                None => Ok(()),
            }
        })
        .await;
    rocketmq.wait_until_ready().await;
}

async fn is_taken_over(image: Image) {
    alone(async |stage| {
        operator::away(&stage.cluster).await;
        let space = stage.namespace().await;
        space
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "clients" },
                "spec": { "selector": { "app": "name_service" }, "ports": [{ "port": 9876 }] },
            }))
            .await;
        let rocketmq = go_operator::makes(&space, image).await;
        let ledger = Ledger::start(
            &rocketmq,
            Options {
                names: Some(CLIENTS),
                ..Options::default()
            },
        )
        .await;
        let (sets_before, claims_before) = (sets(&space).await, claims(&space).await);
        let (brokers, servers) = (rocketmq.broker_lives().await, rocketmq.name_server_lives().await);

        stage.operator_comes(&space).await;
        rocketmq.wait_until_ready().await;
        let taken = space
            .wait_for("the Broker says that it is taken over", seconds(60), async || {
                let told = condition(rocketmq.broker().await.as_ref(), "Progressing");
                if told.reason == "TakenOver" {
                    Ok(told)
                } else {
                    Err(told.message)
                }
            })
            .await;
        println!("{taken:?}");
        stage.operator_goes().await;
        stage.operator_comes(&space).await;
        stays("nothing restarts", seconds(20), async || {
            if sets(&space).await == sets_before {
                Ok(())
            } else {
                Err("a set changed".into())
            }
        })
        .await;
        rocketmq.no_broker_was_restarted(&brokers).await;
        assert_eq!(rocketmq.name_server_lives().await, servers);

        restart(&space, "Broker", "broker").await;
        let ((), replaced) = rocketmq.replaced_during(is_rolled(&rocketmq)).await;
        println!("{replaced:?}");
        assert_eq!(replaced.order, [rocketmq.pod_name(0, 1), rocketmq.pod_name(0, 0)]);
        assert_eq!(replaced.most_away, 1);
        assert_eq!(claims(&space).await, claims_before);
        assert_eq!(rocketmq.name_server_lives().await, servers);
        ledger.sending().await;

        let brokers = rocketmq.broker_lives().await;
        restart(&space, "NameService", "name-service").await;
        space
            .wait_for("brokers are told a name that stays", seconds(300), async || {
                let told = rocketmq.broker().await.unwrap()["status"]["nameServers"].clone();
                if told
                    == json!(format!(
                        "name-service-0.name-service-headless.{}.svc:9876",
                        space.name
                    ))
                {
                    Ok(())
                } else {
                    Err(told.to_string())
                }
            })
            .await;
        rocketmq.wait_until_ready().await;
        rocketmq.no_broker_was_restarted(&brokers).await;
        ledger.sending().await;
        ledger.finish().await.nothing_is_lost();
    })
    .await;
}

#[tokio::test]
async fn a_cluster_of_the_go_operator_is_taken_over_without_a_restart_and_rolled_once_when_asked() {
    is_taken_over(Image::GoOperator("5.5.0")).await;
}
