//! The fake API server is only worth something if it behaves like the real one.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::api::{Failure, FakeApi};

fn read<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn map(name: &str, data: &Value) -> ConfigMap {
    read(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": data.clone()}))
}

fn set(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "s"},
        "spec": {
            "replicas": 1, "serviceName": "s", "selector": {"matchLabels": {"app": "s"}},
            "template": {
                "metadata": {"labels": {"app": "s"}},
                "spec": {"containers": [{"name": "main", "image": image, "env": [{"name": "A", "value": "1"}]}]},
            },
        },
    })
}

fn by(manager: &str) -> PatchParams {
    PatchParams::apply(manager).force()
}

#[tokio::test]
async fn applying_the_same_twice_makes_no_new_version() {
    let api = FakeApi::default();
    let sets: Api<StatefulSet> = Api::default_namespaced(api.client());
    let first = sets
        .patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    let second = sets
        .patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    assert_eq!(first, second);
    assert_eq!(first.metadata.generation, Some(1));
    let third = sets
        .patch("s", &by("us"), &Patch::Apply(set("i:2")))
        .await
        .unwrap();
    assert_eq!(third.metadata.generation, Some(2));
    assert_eq!(
        api.changes(),
        ["apply StatefulSet mq/s", "apply StatefulSet mq/s"]
    );
}

#[tokio::test]
async fn applying_takes_away_what_its_manager_no_longer_wants_and_leaves_what_others_added() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    let wanted = |data: Value, labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "labels": labels}, "data": data});
    maps.patch(
        "m",
        &by("us"),
        &Patch::Apply(wanted(json!({"a": "1", "b": "1"}), json!({"x": "1"}))),
    )
    .await
    .unwrap();
    maps.patch(
        "m",
        &by("them"),
        &Patch::Apply(wanted(json!({"theirs": "1"}), json!({"y": "1"}))),
    )
    .await
    .unwrap();
    let now = maps
        .patch(
            "m",
            &by("us"),
            &Patch::Apply(wanted(json!({"a": "2"}), json!({}))),
        )
        .await
        .unwrap();
    assert_eq!(json!(now.data), json!({"a": "2", "theirs": "1"}));
    assert_eq!(json!(now.metadata.labels), json!({"y": "1"}));
}

#[tokio::test]
async fn applying_merges_environment_by_name_and_refuses_a_name_twice() {
    let api = FakeApi::default();
    let sets: Api<StatefulSet> = Api::default_namespaced(api.client());
    sets.patch("s", &by("them"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    let mut ours = set("i:1");
    ours["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B", "value": "2"}]);
    let merged = sets.patch("s", &by("us"), &Patch::Apply(&ours)).await.unwrap();
    let env = merged.spec.unwrap().template.spec.unwrap().containers[0]
        .env
        .clone()
        .unwrap();
    assert_eq!(
        env.iter().map(|env| env.name.as_str()).collect::<Vec<_>>(),
        ["A", "B"]
    );
    ours["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B"}, {"name": "B"}]);
    let refused = sets
        .patch("s", &by("us"), &Patch::Apply(&ours))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("duplicate entries"), "{refused}");
}

#[tokio::test]
async fn what_a_stateful_set_cannot_change_is_refused() {
    let api = FakeApi::default();
    let sets: Api<StatefulSet> = Api::default_namespaced(api.client());
    sets.patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    let mut other = set("i:1");
    other["spec"]["serviceName"] = json!("other");
    let refused = sets
        .patch("s", &by("us"), &Patch::Apply(&other))
        .await
        .unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_invalid()));
}

#[tokio::test]
async fn a_write_over_an_old_version_and_a_second_creation_are_conflicts() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    let first = maps
        .create(&PostParams::default(), &map("m", &json!({})))
        .await
        .unwrap();
    let exists = maps
        .create(&PostParams::default(), &map("m", &json!({})))
        .await
        .unwrap_err();
    assert!(matches!(exists, kube::Error::Api(status) if status.is_already_exists()));
    let mut newer = first.clone();
    newer.data = Some([("a".to_owned(), "1".to_owned())].into());
    maps.replace("m", &PostParams::default(), &newer).await.unwrap();
    let conflict = maps
        .replace("m", &PostParams::default(), &newer)
        .await
        .unwrap_err();
    assert!(matches!(conflict, kube::Error::Api(status) if status.is_conflict()));
}

#[tokio::test]
async fn the_status_is_written_apart_from_the_rest() {
    let api = FakeApi::default();
    let sets: Api<StatefulSet> = Api::default_namespaced(api.client());
    sets.patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    let status = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "status": {"replicas": 1}, "spec": {"replicas": 9}});
    let after = sets
        .patch_status("s", &by("us"), &Patch::Apply(&status))
        .await
        .unwrap();
    assert_eq!(
        (after.status.unwrap().replicas, after.metadata.generation),
        (1, Some(1))
    );
    assert_eq!(after.spec.unwrap().replicas, Some(1));
    let again = sets
        .patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    assert_eq!(again.status.unwrap().replicas, 1);
}

#[tokio::test]
async fn a_delete_takes_what_was_owned_and_heeds_its_preconditions() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    let owner = maps
        .create(&PostParams::default(), &map("owner", &json!({})))
        .await
        .unwrap();
    let mut child = map("child", &json!({}));
    child.metadata.owner_references = Some(vec![read(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(), "controller": true,
    }))]);
    maps.create(&PostParams::default(), &child).await.unwrap();
    let mistaken = DeleteParams::default().preconditions(Preconditions {
        uid: Some("another".to_owned()),
        resource_version: None,
    });
    assert!(maps.delete("owner", &mistaken).await.is_err());
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    assert!(api.all::<ConfigMap>().is_empty());
}

#[tokio::test]
async fn an_object_with_a_finalizer_is_marked_and_goes_when_the_finalizer_does() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    let mut held = map("m", &json!({}));
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.delete("m", &DeleteParams::default()).await.unwrap();
    assert!(maps.get("m").await.unwrap().metadata.deletion_timestamp.is_some());
    let release = json!({"metadata": {"finalizers": null}});
    maps.patch("m", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    assert!(maps.get_opt("m").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_are_selected_by_labels_and_fields_and_come_in_pages() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &map(name, &json!({})))
            .await
            .unwrap();
    }
    let names =
        |list: kube::core::ObjectList<ConfigMap>| list.iter().map(ResourceExt::name_any).collect::<Vec<_>>();
    let some = maps
        .list(&ListParams::default().labels("app in (a,c)"))
        .await
        .unwrap();
    assert_eq!(names(some), ["a", "c"]);
    let others = maps
        .list(&ListParams::default().fields("metadata.name!=b"))
        .await
        .unwrap();
    assert_eq!(names(others), ["a", "c"]);
    let page = maps.list(&ListParams::default().limit(2)).await.unwrap();
    let rest = ListParams::default()
        .limit(2)
        .continue_token(page.metadata.continue_.as_ref().unwrap());
    assert_eq!(names(page), ["a", "b"]);
    assert_eq!(names(maps.list(&rest).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn metadata_alone_is_given_when_asked_for() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    maps.create(&PostParams::default(), &map("m", &json!({"a": "1"})))
        .await
        .unwrap();
    let meta = maps.get_metadata("m").await.unwrap();
    assert_eq!(meta.name_any(), "m");
    assert_eq!(api.requests(), ["create ConfigMap mq/m", "get ConfigMap mq/m"]);
}

#[tokio::test]
async fn a_service_gets_an_address_unless_it_is_headless() {
    let api = FakeApi::default();
    let services: Api<Service> = Api::default_namespaced(api.client());
    let service =
        |name: &str, spec: Value| read::<Service>(json!({"metadata": {"name": name}, "spec": spec}));
    let one = services
        .create(&PostParams::default(), &service("one", json!({})))
        .await
        .unwrap();
    assert_eq!(one.spec.unwrap().cluster_ip.as_deref(), Some("198.19.0.1"));
    let none = services
        .create(
            &PostParams::default(),
            &service("none", json!({"clusterIP": "None"})),
        )
        .await
        .unwrap();
    assert_eq!(none.spec.unwrap().cluster_ip.as_deref(), Some("None"));
    let digit = services
        .create(&PostParams::default(), &service("1st", json!({})))
        .await
        .unwrap_err();
    assert!(matches!(digit, kube::Error::Api(status) if status.is_invalid()));
}

#[tokio::test]
async fn a_crash_comes_after_the_write_and_lasts() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    api.crash_after_write(2);
    maps.create(&PostParams::default(), &map("a", &json!({})))
        .await
        .unwrap();
    assert!(
        maps.create(&PostParams::default(), &map("b", &json!({})))
            .await
            .is_err()
    );
    assert!(maps.get("a").await.is_err());
    api.heal();
    assert!(maps.get("b").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn requests_fail_as_asked_and_as_often() {
    let api = FakeApi::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(api.client());
    api.fail("create ConfigMap mq/m", Failure::DoneButTimedOut, 1);
    assert!(
        maps.create(&PostParams::default(), &map("m", &json!({})))
            .await
            .is_err()
    );
    api.fail("get ConfigMap", Failure::Internal, 2);
    assert!(maps.get("m").await.is_err());
    assert!(maps.get("m").await.is_err());
    assert!(maps.get("m").await.is_ok());
    api.fail_always("ConfigMap", Failure::Hangs);
    let hour = std::time::Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, maps.get("m")).await.is_err());
}

#[tokio::test]
async fn rights_are_those_that_rbac_would_ask_for() {
    let api = FakeApi::default();
    let sets: Api<StatefulSet> = Api::default_namespaced(api.client());
    sets.patch("s", &by("us"), &Patch::Apply(set("i:1")))
        .await
        .unwrap();
    let status = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "status": {"replicas": 1}});
    sets.patch_status("s", &by("us"), &Patch::Apply(&status))
        .await
        .unwrap();
    Api::<Pod>::all(api.client())
        .list(&ListParams::default())
        .await
        .unwrap();
    let used = api.rights_used().into_iter();
    let words: Vec<_> = used
        .map(|right| format!("{} {} {}", right.verb, right.group, right.resource))
        .collect();
    assert_eq!(
        words,
        [
            "list  pods",
            "create apps statefulsets",
            "patch apps statefulsets",
            "patch apps statefulsets/status"
        ]
    );
}
