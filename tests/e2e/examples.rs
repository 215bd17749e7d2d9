//! Every file in `examples/` is applied as it is, and works.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::sync::Mutex;

use crate::harness::cluster::{name_of, repository, text};
use crate::harness::stage::{NODE_PORT, scenario};

const ARTICLE: &str = "rocketmq_v1alpha1_rocketmq_cluster.yaml";
const HOST_PATH: &str = "rocketmq_v1alpha1_rocketmq_cluster_host_path.yaml";
const STORAGE_CLASS: &str = "rocketmq_v1alpha1_rocketmq_cluster_storage_class.yaml";
const TWO_GROUPS: &str = "rocketmq_v1alpha1_rocketmq_cluster_two_groups.yaml";
const GO_OPERATOR: &str = "go_operator_0.2.1.yaml";

/// One example at a time: they ask for the processor time that users should give, and the node is small.
static ROOM: Mutex<()> = Mutex::const_new(());

#[test]
fn no_example_is_untold() {
    let files = std::fs::read_dir(repository().join("examples")).unwrap();
    let files: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    // The article's has its story in `alone/article.rs` too.
    let told = [ARTICLE, HOST_PATH, STORAGE_CLASS, TWO_GROUPS, GO_OPERATOR];
    assert_eq!(files, told.map(str::to_owned).into());
}

#[tokio::test]
async fn the_articles_example_works_under_restricted_pod_security() {
    it_works(3, ARTICLE, PodSecurity::Restricted).await;
}

#[tokio::test]
async fn the_host_path_example_works() {
    it_works(3, HOST_PATH, PodSecurity::Privileged).await;
}

#[tokio::test]
async fn the_storage_class_example_works_under_restricted_pod_security() {
    it_works(3, STORAGE_CLASS, PodSecurity::Restricted).await;
}

#[tokio::test]
async fn the_example_of_two_groups_and_three_name_servers_works_under_restricted_pod_security() {
    it_works(7, TWO_GROUPS, PodSecurity::Restricted).await;
}

#[tokio::test]
async fn the_example_written_for_the_go_operator_works() {
    let _port = NODE_PORT.lock().await;
    it_works(3, GO_OPERATOR, PodSecurity::Privileged).await;
}

/// What the namespace admits.
enum PodSecurity {
    Restricted,
    Privileged,
}

async fn it_works(pods: u32, file: &str, security: PodSecurity) {
    let objects = objects(file);
    let named = |kind: &str| {
        let found = objects.iter().find(|o| o["kind"] == kind);
        name_of(found.unwrap_or_else(|| panic!("{file} has no {kind}"))).to_owned()
    };
    let _room = ROOM.lock().await;
    let _directories = Directories::of(&objects);
    scenario(pods, async |stage| {
        let space = match security {
            PodSecurity::Restricted => stage.restricted_namespace().await,
            PodSecurity::Privileged => stage.namespace().await,
        };
        let path = Path::new("examples").join(file);
        space
            .kubectl(&["apply", "-f", path.to_str().unwrap()])
            .await
            .done();
        let rocketmq = space.rocketmq(&named("NameService"), &named("Broker"));
        rocketmq.wait_until_ready().await;
        rocketmq.messages_flow().await;
    })
    .await;
}

/// The objects of an example.
fn objects(file: &str) -> Vec<Value> {
    let yaml = std::fs::read_to_string(repository().join("examples").join(file)).unwrap();
    let documents = serde_yaml_ng::Deserializer::from_str(&yaml);
    let objects = documents.map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// Directories of the node that an example makes. What was there before stays.
struct Directories(Vec<PathBuf>);

impl Directories {
    fn of(objects: &[Value]) -> Self {
        let used = objects
            .iter()
            .filter(|object| text(object, "/spec/storageMode") == "HostPath");
        let used = used.map(|object| PathBuf::from(text(object, "/spec/hostPath")));
        Self(
            used.filter(|path| path.components().count() > 2 && !path.exists())
                .collect(),
        )
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        for path in &self.0 {
            if let Err(why) = std::fs::remove_dir_all(path) {
                eprintln!("{}: {why}", path.display());
            }
        }
    }
}
