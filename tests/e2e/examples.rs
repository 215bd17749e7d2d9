//! Every file in `examples/` is applied as it is, and works.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::cluster::{name_of, repository, text};
use crate::harness::stage::scenario;

/// The examples that the tests below apply; the article's has its story in `alone/article.rs`.
const TOLD: [&str; 4] = [
    "rocketmq_v1alpha1_rocketmq_cluster.yaml",
    "rocketmq_v1alpha1_rocketmq_cluster_hostpath.yaml",
    "rocketmq_v1alpha1_rocketmq_cluster_storageclass.yaml",
    "rocketmq_v1alpha1_rocketmq_cluster_2m2s.yaml",
];

#[test]
fn no_example_is_untold() {
    let files = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|e| e.unwrap().file_name());
    let files: BTreeSet<String> = files
        .map(|f| f.into_string().unwrap())
        .filter(|f| f.contains(".yaml"))
        .collect();
    assert_eq!(files, TOLD.iter().map(|f| (*f).to_owned()).collect());
}

/// The objects of an example.
fn objects(file: &str) -> Vec<Value> {
    let yaml = std::fs::read_to_string(repository().join("examples").join(file)).unwrap();
    let documents = serde_yaml_ng::Deserializer::from_str(&yaml);
    let objects = documents.map(|d| <Value as serde::Deserialize>::deserialize(d).unwrap());
    objects.filter(|o| !o.is_null()).collect()
}

/// Directories of the node that an example makes; only what was not there before is removed.
struct Made(Vec<PathBuf>);

impl Made {
    fn by(objects: &[Value]) -> Self {
        let paths = objects
            .iter()
            .filter(|o| text(o, "/spec/storageMode") == "HostPath");
        let paths = paths.map(|o| PathBuf::from(text(o, "/spec/hostPath")));
        Self(
            paths
                .filter(|p| !p.exists() && p.components().count() > 2)
                .collect(),
        )
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            if let Err(why) = std::fs::remove_dir_all(path) {
                eprintln!("{}: {why}", path.display());
            }
        }
    }
}

async fn it_works(pods: u32, file: &str, restricted: Restricted) {
    let objects = objects(file);
    let _made = Made::by(&objects);
    scenario(pods, async |stage| {
        let space = match restricted {
            Restricted::Yes => stage.restricted_namespace().await,
            Restricted::No => stage.namespace().await,
        };
        let path = Path::new("examples").join(file);
        space
            .kubectl(&["apply", "-f", path.to_str().unwrap()])
            .await
            .done();
        let named = |kind: &str| {
            let found = objects.iter().find(|o| o["kind"] == kind);
            name_of(found.unwrap_or_else(|| panic!("{file} has no {kind}"))).to_owned()
        };
        let rocketmq = space.rocketmq(&named("NameService"), &named("Broker"));
        rocketmq.wait_until_ready().await;
        rocketmq.messages_flow().await;
    })
    .await;
}

/// Whether an example is made for Pod Security `restricted`.
enum Restricted {
    Yes,
    No,
}

#[tokio::test]
async fn the_host_path_example_works() {
    it_works(3, TOLD[1], Restricted::No).await;
}

#[tokio::test]
async fn the_storage_class_example_works() {
    it_works(3, TOLD[2], Restricted::Yes).await;
}

#[tokio::test]
async fn the_example_of_two_masters_with_replicas_and_three_name_servers_works() {
    it_works(7, TOLD[3], Restricted::Yes).await;
}
