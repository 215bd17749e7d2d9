//! The storage modes, and what survives a pod.

use std::path::Path;

use crate::harness::cluster::{text, uid_of};
use crate::harness::fixtures::{Image, NEWEST, Storage, broker, name_service};
use crate::harness::stage::{NODE_PORT, Space, scenario};
use crate::harness::wait::START;

/// Messages that were sent before all pods are deleted are received after it.
async fn data_outlives_the_pods(space: &Space, storage: &Storage, image: Image) {
    let servers = name_service("name-service").storage(storage).image(image);
    let rocketmq = space
        .start(&servers, &broker("broker").storage(storage).image(image))
        .await;
    let sent = rocketmq.produce(&rocketmq.pod_name(0, 0)).await;

    let old = uid_of(&rocketmq.pod(0, 0).await).to_owned();
    space.delete("Pod", &rocketmq.pod_name(0, 0)).await;
    space
        .wait_for("another pod takes its place", START, async || {
            match space.get("Pod", &rocketmq.pod_name(0, 0)).await {
                Some(pod) if uid_of(&pod) != old => Ok(()),
                Some(_) => Err("the old one is still there".into()),
                None => Err("there is none".into()),
            }
        })
        .await;
    space
        .wait_for("the new broker is listed", START, async || {
            rocketmq.everything_is_listed().await
        })
        .await;
    rocketmq.wait_until_ready().await;
    rocketmq.consume(&rocketmq.pod_name(0, 0), &sent).await;
}

#[tokio::test]
async fn data_on_a_storage_class_outlives_the_pod() {
    scenario(2, async |stage| {
        let space = stage.restricted_namespace().await;
        data_outlives_the_pods(&space, &Storage::StorageClass, NEWEST).await;
    })
    .await;
}

#[tokio::test]
async fn data_on_a_host_path_outlives_the_pod() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        let path = HostPath::new(&space.name);
        data_outlives_the_pods(&space, &path.storage(), NEWEST).await;
        assert!(
            path.0.join("store/broker-0-master").is_dir(),
            "the data is not where the Go operator had it"
        );
    })
    .await;
}

#[tokio::test]
async fn data_of_the_go_operators_images_on_a_host_path_outlives_the_pod() {
    scenario(2, async |stage| {
        let space = stage.namespace().await;
        let path = HostPath::new(&space.name);
        data_outlives_the_pods(&space, &path.storage(), Image::GoOperator("4.5.0")).await;
    })
    .await;
}

#[tokio::test]
async fn a_name_server_on_the_host_network_serves_as_in_the_article() {
    let _port = NODE_PORT.lock().await;
    scenario(3, async |stage| {
        let space = stage.namespace().await;
        let servers = name_service("name-service").host_network();
        let rocketmq = space.start(&servers, &broker("broker").replicas(1)).await;
        let pod = space.pod("name-service-0").await;
        assert_eq!(text(&pod, "/status/podIP"), text(&pod, "/status/hostIP"));
        rocketmq.messages_flow().await;
    })
    .await;
}

/// A directory of the node, removed in the end.
struct HostPath(std::path::PathBuf);

impl HostPath {
    fn new(name: &str) -> Self {
        Self(Path::new("/var/lib/rocketmq-e2e").join(name))
    }

    fn storage(&self) -> Storage {
        Storage::HostPath(self.0.display().to_string())
    }
}

impl Drop for HostPath {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {why}", self.0.display());
        }
    }
}
