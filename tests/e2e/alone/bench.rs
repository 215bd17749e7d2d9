//! `make bench`: what the operator adds to the time that a cluster, and a group more of it, needs to come up.

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
/// What is timed: a cluster of one group, and a second group beside it.
const EVENTS: [&str; 2] = ["a cluster is created", "it gets another group"];

#[tokio::test]
#[ignore = "a benchmark: `make bench`"]
async fn benchmark_of_a_creation_and_a_scale_out_against_kubectl_alone() {
    alone(async |stage| {
        let (_, objects) = with_the_operator(stage).await;
        println!("from apply until the name server lists the new master and its replica, in seconds:");
        println!("round  {:21}  operator  kubectl alone", "");
        let (mut ours, mut plain) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
        for round in 1..=ROUNDS {
            // In turn, so that neither always has the warmer node.
            let (mine, alone);
            if round % 2 == 0 {
                mine = with_the_operator(stage).await.0;
                alone = with_kubectl_alone(stage, &objects).await;
            } else {
                alone = with_kubectl_alone(stage, &objects).await;
                mine = with_the_operator(stage).await.0;
            }
            for (n, event) in EVENTS.iter().enumerate() {
                let [mine, alone] = [mine[n], alone[n]].map(|took| took.as_secs_f64());
                println!("{round:5}  {event:21}  {mine:8.1}  {alone:13.1}");
                ours[n].push(Duration::from_secs_f64(mine));
                plain[n].push(Duration::from_secs_f64(alone));
            }
        }
        for (event, (ours, plain)) in EVENTS.iter().zip(ours.into_iter().zip(plain)) {
            let [ours, plain] = [ours, plain].map(|all| median(all).as_secs_f64());
            let ratio = ours / plain;
            println!("median {event:21}  {ours:8.1}  {plain:13.1}  ratio {ratio:.2}, at most {AT_MOST}");
            assert!(
                ratio <= AT_MOST,
                "{event}: the operator takes {ratio:.2} times as long as kubectl alone"
            );
        }
    })
    .await;
}

pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2
}

/// Creates a cluster with the operator and adds a group; returns how long each took, and the objects as kubectl could have made
/// them.
async fn with_the_operator(stage: &Stage) -> ([Duration; 2], Exported) {
    let space = stage.namespace().await;
    let servers = name_service("name-service");
    let [small, large] = [1, 2].map(|size| broker("broker").replicas(1).size(size));
    let created = apply(&space, &[(*servers).clone(), (*small).clone()], 2).await;
    space.wait_until_ready("Broker", "broker").await;
    let scaled = apply(&space, &[(*large).clone()], 4).await;
    space.wait_until_ready("Broker", "broker").await;
    let exported = export(&space).await;
    remove(&space, &["nameservices", "brokers"]).await;
    ([created, scaled], exported)
}

async fn with_kubectl_alone(stage: &Stage, exported: &Exported) -> [Duration; 2] {
    let space = stage.namespace().await;
    let text = serde_json::to_string(&exported.objects)
        .unwrap()
        .replace(&exported.namespace, &space.name);
    let objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    let (second, first): (Vec<Value>, Vec<Value>) = objects
        .into_iter()
        .partition(|object| name_of(object).starts_with("broker-1"));
    let took = [apply(&space, &first, 2).await, apply(&space, &second, 4).await];
    remove(&space, &["statefulsets", "services"]).await;
    took
}

/// Applies with kubectl and waits until so many brokers are listed.
async fn apply(space: &Space, objects: &[Value], brokers: usize) -> Duration {
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
                .is_ok_and(|listed| listed.len() == brokers)
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
