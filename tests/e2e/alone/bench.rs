//! `make bench`: what the operator adds to the time that a cluster needs to come up.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::interval;

use crate::harness::cluster::{name_of, run, text};
use crate::harness::fixtures::{broker, name_service};
use crate::harness::stage::{Space, Stage, alone};
use crate::harness::wait::seconds;
use crate::harness::wire;

/// How often both are measured.
const ROUNDS: u32 = 4;
/// What is promised.
const AT_MOST: f64 = 1.25;

#[tokio::test]
#[ignore = "a benchmark: `make bench`"]
async fn benchmark_of_a_creation_against_kubectl_alone() {
    alone(async |stage| {
        let (_, objects) = with_the_operator(stage).await;
        println!("from apply until the name server lists the master and its replica, in seconds:");
        println!("round  operator  kubectl alone");
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            // In turn, so that neither always has the warmer node.
            if round % 2 == 0 {
                ours.push(with_the_operator(stage).await.0);
                plain.push(with_kubectl_alone(stage, &objects).await);
            } else {
                plain.push(with_kubectl_alone(stage, &objects).await);
                ours.push(with_the_operator(stage).await.0);
            }
            println!(
                "{round:5}  {:8.1}  {:13.1}",
                ours.last().unwrap().as_secs_f64(),
                plain.last().unwrap().as_secs_f64()
            );
        }
        let (ours, plain) = (median(ours), median(plain));
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        println!(
            "median {:8.1}  {:13.1}  ratio {ratio:.2}, at most {AT_MOST}",
            ours.as_secs_f64(),
            plain.as_secs_f64()
        );
        assert!(
            ratio <= AT_MOST,
            "the operator takes {ratio:.2} times as long as kubectl alone"
        );
    })
    .await;
}

pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2
}

/// Creates a cluster with the operator; returns how long it took, and its objects as kubectl could have made them.
async fn with_the_operator(stage: &Stage) -> (Duration, Exported) {
    let space = stage.namespace().await;
    let objects = [name_service("name-service"), broker("broker").replicas(1)].map(|f| (*f).clone());
    let took = create(&space, &objects).await;
    let exported = export(&space).await;
    remove(&space, &["nameservices", "brokers"]).await;
    (took, exported)
}

async fn with_kubectl_alone(stage: &Stage, exported: &Exported) -> Duration {
    let space = stage.namespace().await;
    let text = serde_json::to_string(&exported.objects)
        .unwrap()
        .replace(&exported.namespace, &space.name);
    let took = create(&space, &serde_json::from_str::<Vec<Value>>(&text).unwrap()).await;
    remove(&space, &["statefulsets", "services"]).await;
    took
}

/// Applies with kubectl and waits until master and replica are listed.
async fn create(space: &Space, objects: &[Value]) -> Duration {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let start = Instant::now();
    run(
        "kubectl",
        &["apply", "-n", &space.name, "-f", "-"],
        &list,
        seconds(60),
    )
    .await
    .done();
    let mut tick = interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        let pods = space.pods("app=name_service").await;
        let address = pods
            .first()
            .map(|pod| text(pod, "/status/podIP"))
            .unwrap_or_default();
        if !address.is_empty()
            && wire::listed_by(&format!("{address}:9876"))
                .await
                .is_ok_and(|l| l.len() == 2)
        {
            return start.elapsed();
        }
        assert!(start.elapsed() < seconds(180), "{} did not come up", space.name);
    }
}

/// A cluster's objects and the namespace that is written in them.
struct Exported {
    namespace: String,
    objects: Vec<Value>,
}

/// The objects of a cluster, without what Kubernetes or the operator's ownership put into them.
async fn export(space: &Space) -> Exported {
    let mut objects = Vec::new();
    for kind in ["ConfigMap", "Service", "PodDisruptionBudget", "StatefulSet"] {
        for object in space.cluster.list(kind, &space.name, "").await {
            if name_of(&object) == "kube-root-ca.crt" {
                continue;
            }
            let metadata = json!({ "name": name_of(&object), "labels": object["metadata"]["labels"] });
            let (mut spec, data) = (object["spec"].clone(), object["data"].clone());
            if let Some(claims) = spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut) {
                for claim in claims {
                    claim["status"] = Value::Null;
                }
            }
            let mut object =
                json!({ "apiVersion": object["apiVersion"], "kind": kind, "metadata": metadata });
            for (field, value) in [("spec", spec), ("data", data)] {
                if !value.is_null() {
                    object[field] = value;
                }
            }
            objects.push(object);
        }
    }
    Exported {
        namespace: space.name.clone(),
        objects,
    }
}

/// Removes a cluster; the addresses of its Services are free for the next one.
async fn remove(space: &Space, kinds: &[&str]) {
    let kinds = kinds.join(",");
    space
        .kubectl(&["delete", &kinds, "--all", "--wait=true"])
        .await
        .done();
    space
        .wait_for("its pods and Services are gone", seconds(120), async || {
            let left = [
                space.pods("").await,
                space.cluster.list("Service", &space.name, "").await,
            ]
            .concat();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{} are left", left.len()))
            }
        })
        .await;
}
