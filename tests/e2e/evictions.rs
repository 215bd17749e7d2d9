//! Evictions, as `kubectl drain` asks for them: a group never loses its last member to one.

use serde_json::{Value, json};

use crate::harness::cluster::{run, uid_of};
use crate::harness::fixtures::{Storage, broker, name_service};
use crate::harness::stage::{Space, scenario};
use crate::harness::wait::{START, seconds};

/// Asks for an eviction; what the API server said.
async fn evict(space: &Space, pod: &str) -> String {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": space.name },
    });
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", space.name);
    let args = ["create", "--raw", &path, "-f", "-"];
    run("kubectl", &args, &eviction.to_string(), seconds(60))
        .await
        .all()
}

fn refused(said: &str) -> bool {
    said.contains("disruption budget")
}

#[tokio::test]
async fn evictions_take_one_member_of_a_group_at_a_time() {
    scenario(3, async |stage| {
        let space = stage.restricted_namespace().await;
        let brokers = broker("broker").replicas(1).storage(&Storage::StorageClass);
        let rocketmq = space.start(&name_service("name-service"), &brokers).await;
        let [master, replica] = [0, 1].map(|id| rocketmq.pod_name(0, id));
        let before = uid_of(&space.pod(&replica).await).to_owned();
        let said = space
            .wait_for("a replica is evicted", seconds(60), async || {
                let said = evict(&space, &replica).await;
                // The budget is counted anew a moment after everything is ready.
                if refused(&said) { Err(said) } else { Ok(said) }
            })
            .await;
        assert!(said.contains("Success"), "{said}");
        let said = evict(&space, &master).await;
        assert!(refused(&said), "its master went with it: {said}");
        space
            .wait_for("another replica is there", START, async || {
                match space.get("Pod", &replica).await {
                    Some(pod) if uid_of(&pod) != before => Ok(()),
                    other => Err(format!("{:?}", other.map(|pod: Value| uid_of(&pod).to_owned()))),
                }
            })
            .await;
        rocketmq.wait_until_ready().await;
        space
            .wait_for("now the master may go", seconds(60), async || {
                let said = evict(&space, &master).await;
                if refused(&said) { Err(said) } else { Ok(()) }
            })
            .await;
        let said = evict(&space, &replica).await;
        assert!(refused(&said), "the last member went: {said}");
    })
    .await;
}
