//! The operator is killed after a write, whichever it was; the one after it makes the same cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::cluster::{name_of, text};
use crate::harness::fixtures::{Fixture, broker, name_service};
use crate::harness::gate::Gate;
use crate::harness::operator;
use crate::harness::stage::{Space, alone};
use crate::harness::wait::{seconds, until};

/// Everything that belongs to the clusters of a namespace, by kind and name, as it would be in any other namespace.
async fn objects(space: &Space) -> BTreeMap<String, String> {
    let kinds = [
        "ConfigMap",
        "PodDisruptionBudget",
        "Service",
        "StatefulSet",
        "PersistentVolumeClaim",
    ];
    let mut all = Vec::new();
    for kind in kinds {
        all.extend(
            space
                .cluster
                .list(kind, &space.name, "")
                .await
                .into_iter()
                .map(|o| (kind, o)),
        );
    }
    all.retain(|(_, object)| name_of(object) != "kube-root-ca.crt");
    let addresses: Vec<(String, String)> = all
        .iter()
        .map(|(_, object)| {
            (
                text(object, "/spec/clusterIP").to_owned(),
                format!("address of {}", name_of(object)),
            )
        })
        .filter(|(address, _)| address.contains('.'))
        .collect();
    all.iter()
        .map(|(kind, object)| {
            let owners = object["metadata"]["ownerReferences"]
                .as_array()
                .into_iter()
                .flatten();
            let owners: Vec<Value> = owners
                .map(|o| json!([o["kind"], o["name"], o["controller"]]))
                .collect();
            let mut annotations = object["metadata"]["annotations"].clone();
            if let Some(annotations) = annotations.as_object_mut() {
                // Hashes of the whole object, its owner's UID included.
                annotations.retain(|key, _| !["applied", "intent"].iter().any(|hash| key.ends_with(hash)));
            }
            let metadata = json!([object["metadata"]["labels"], annotations, owners]);
            let mut shown = json!([metadata, object["spec"], object["data"]])
                .to_string()
                .replace(&space.name, "NAMESPACE");
            for (address, name) in &addresses {
                shown = shown.replace(address, name);
            }
            (format!("{kind} {}", name_of(object)), shown)
        })
        .collect()
}

/// A cluster whose pods no node takes: its objects are made, and no JVM is started.
fn unscheduled() -> [Fixture; 2] {
    let nowhere = json!({ "rocketmq-e2e": "nowhere" });
    let fixtures = [name_service("name-service"), broker("broker").replicas(1)];
    fixtures.map(|f| f.with("spec.nodeSelector", nowhere.clone()))
}

async fn apply(space: &Space, fixtures: &[Fixture]) {
    for fixture in fixtures {
        space.apply(fixture).await;
    }
}

#[tokio::test]
async fn the_operator_killed_after_any_of_its_writes_makes_the_same_objects() {
    alone(async |stage| {
        operator::stop(&stage.cluster).await;
        let gate = Gate::build(stage.cluster.client.clone()).await;

        let space = stage.namespace().await;
        gate.open_for(u32::MAX).await;
        apply(&space, &unscheduled()).await;
        let undisturbed = gate.operator(&space.name);
        let expected = settled(&gate, &space)
            .await
            .unwrap_or_else(|why| panic!("{why}\n{}", undisturbed.log()));
        let writes = gate.passed();
        undisturbed.kill().await;
        println!("{} objects by {writes} writes", expected.len());
        assert!(expected.len() >= 14, "{:?}", expected.keys());

        for k in 1..=writes {
            let space = stage.namespace().await;
            apply(&space, &unscheduled()).await;
            gate.open_for(k).await;
            let first = gate.operator(&space.name);
            let closed = until("the write happens", seconds(30), async || {
                if gate.passed() == k {
                    Ok(())
                } else {
                    Err(format!("{} of {k} writes", gate.passed()))
                }
            });
            if let Err(why) = closed.await {
                // How often a status is written on the way depends on how soon each object is seen.
                assert_eq!(objects(&space).await, expected, "{why}\n{}", first.log());
                first.kill().await;
                continue;
            }
            first.kill().await;

            gate.open_for(u32::MAX).await;
            let second = gate.operator(&space.name);
            let same = until("the same objects are made", seconds(30), async || {
                let now = objects(&space).await;
                if now == expected {
                    Ok(())
                } else {
                    Err(difference(&now, &expected))
                }
            });
            same.await
                .unwrap_or_else(|why| panic!("killed after write {k} of {writes}: {why}\n{}", second.log()));
            second.kill().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_operator_killed_after_every_single_write_still_brings_the_cluster_up() {
    alone(async |stage| {
        operator::stop(&stage.cluster).await;
        let gate = Gate::build(stage.cluster.client.clone()).await;
        let space = stage.namespace().await;
        let rocketmq = space
            .begin(&name_service("name-service"), &broker("broker").replicas(1))
            .await;
        let mut killed = 0;
        let ready = async { rocketmq.wait_until_ready().await };
        let killing = async {
            loop {
                gate.open_for(1).await;
                let operator = gate.operator(&space.name);
                gate.closed().await;
                operator.kill().await;
                killed += 1;
            }
        };
        tokio::select! {
            () = ready => {}
            () = killing => {}
        }
        println!("ready after {killed} kills");
        let pods = rocketmq.pod_uids().await;
        assert_eq!(pods.len(), 3, "{pods:?}");
        rocketmq.messages_flow().await;
    })
    .await;
}

/// What there is when three seconds brought no write.
async fn settled(gate: &Gate, space: &Space) -> Result<BTreeMap<String, String>, String> {
    let mut last = (0, std::time::Instant::now());
    until("the operator has made what it wants", seconds(60), async || {
        let passed = gate.passed();
        if passed != last.0 {
            last = (passed, std::time::Instant::now());
        }
        if passed > 0 && last.1.elapsed() > seconds(3) {
            Ok(())
        } else {
            Err(format!("{passed} writes"))
        }
    })
    .await?;
    Ok(objects(space).await)
}

fn difference(now: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) -> String {
    let missing = expected
        .iter()
        .filter(|(name, _)| !now.contains_key(*name))
        .map(|(name, _)| format!("no {name}"));
    let differs = now
        .iter()
        .filter(|(name, shown)| expected.get(*name) != Some(shown));
    let differs =
        differs.map(|(name, shown)| format!("{name} is {shown}, expected {:?}", expected.get(name)));
    missing.chain(differs).collect::<Vec<_>>().join("\n")
}
