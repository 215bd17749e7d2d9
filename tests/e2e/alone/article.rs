//! The article's flow, with the commands that a reader of it types.

use crate::harness::cluster::{condition, kubectl, name_of, repository, text};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::harness::wait::seconds;

const EXAMPLE: &str = "examples/rocketmq_v1alpha1_rocketmq_cluster.yaml";

#[tokio::test]
async fn the_article_is_followed_from_install_to_purge() {
    alone(async |stage| {
        let told = operator::install().await;
        assert!(told.contains("running"), "install-operator.sh ends with: {told}");
        let pods = kubectl(&["get", "pods", "-n", operator::NAMESPACE]).await.done();
        assert!(pods.contains("1/1") && pods.contains("Running"), "{pods}");

        let space = stage.namespace().await;
        space.kubectl(&["apply", "-f", EXAMPLE]).await.done();
        let rocketmq = space.rocketmq("name-service", "broker");
        rocketmq.wait_until_ready().await;
        for pod in ["name-service-0", "broker-0-master-0", "broker-0-replica-1-0"] {
            assert_eq!(text(&space.pod(pod).await, "/status/phase"), "Running", "{pod}");
        }
        for (kind, object) in [
            ("NameService", rocketmq.name_service().await),
            ("Broker", rocketmq.broker().await),
        ] {
            assert_eq!(condition(object.as_ref(), "Ready").status, "True", "{kind}");
        }
        let (master, replica) = (rocketmq.pod_name(0, 0), rocketmq.pod_name(0, 1));
        let sent = rocketmq.produce(&master).await;
        assert_eq!(
            sent.len(),
            1000,
            "the quickstart Producer sends a thousand messages"
        );
        rocketmq.consume(&replica, &sent).await;

        space
            .kubectl(&["delete", "-f", EXAMPLE, "--wait=true", "--timeout=150s"])
            .await
            .done();
        nothing_of_it_is_left(&space).await;

        let left = everyone_elses_clusters().await;
        let told = operator::purge(&[]).await.done();
        space
            .wait_for("the operator's namespace is gone", seconds(60), async || {
                let namespace = space.cluster.get("Namespace", "", operator::NAMESPACE).await;
                if namespace.is_none() {
                    Ok(())
                } else {
                    Err("it is still there".into())
                }
            })
            .await;
        let definitions = kubectl(&["get", "crd", "-o", "name"]).await.done();
        if left.is_empty() {
            assert!(
                !definitions.contains("rocketmq.apache.org"),
                "purge left {definitions}"
            );
        } else {
            assert!(
                definitions.contains("brokers.rocketmq.apache.org"),
                "purge deleted the definitions of {left}"
            );
            assert!(told.contains("stay"), "purge does not say what stays: {told}");
        }
        for kind in ["ClusterRole", "ClusterRoleBinding"] {
            assert!(
                space.cluster.get(kind, "", operator::NAME).await.is_none(),
                "purge left a {kind}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn purge_never_takes_a_definition_that_still_has_objects() {
    alone(async |stage| {
        let space = stage.namespace().await;
        space
            .apply(&crate::harness::fixtures::name_service("keep").size(1))
            .await;
        let told = operator::purge(&[]).await;
        assert!(
            told.all().contains(&format!("{}/keep", space.name)),
            "purge does not name what stays: {}",
            told.all()
        );
        assert!(
            space.get("NameService", "keep").await.is_some(),
            "purge deleted a user's object"
        );
        operator::install().await;
        space.wait_until_ready("NameService", "keep").await;
    })
    .await;
}

async fn nothing_of_it_is_left(space: &crate::harness::stage::Space) {
    space
        .wait_for("everything of the example is gone", seconds(150), async || {
            let mut left = Vec::new();
            for kind in [
                "Pod",
                "StatefulSet",
                "Service",
                "ConfigMap",
                "PodDisruptionBudget",
                "PersistentVolumeClaim",
            ] {
                let all = space.cluster.list(kind, &space.name, "").await;
                left.extend(
                    all.iter()
                        .map(|o| format!("{kind} {}", name_of(o)))
                        .filter(|n| n != "ConfigMap kube-root-ca.crt"),
                );
            }
            if left.is_empty() {
                Ok(())
            } else {
                Err(left.join(", "))
            }
        })
        .await;
}

/// Clusters that were there before, as a quickstart's.
async fn everyone_elses_clusters() -> String {
    assert!(repository().join(EXAMPLE).is_file());
    kubectl(&[
        "get",
        "brokers,nameservices",
        "-A",
        "--no-headers",
        "--ignore-not-found",
    ])
    .await
    .done()
}
