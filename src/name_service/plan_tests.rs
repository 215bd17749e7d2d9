//! What is decided for name servers, case by case.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::observe::{Observed, Seen, View};
use super::plan::{Plan, Restart, SetStep, plan};
use super::users::User;
use super::valid::Valid;
use super::{children, stable_names};
use crate::admin::{BrokerData, ClusterInfo};
use crate::api::NameService;
use crate::workload::content::{Contents, Noted};
use crate::workload::set;

/// A NameService that asks for `asked`, of which `published` are told to brokers and those at `served` served.
fn asked(asked: i32, published: i32, served: &[&str]) -> Valid {
    let service: NameService = serde_json::from_value(json!({
        "metadata": {"name": "names", "namespace": "mq", "uid": "u", "generation": 1},
        "spec": {"size": asked, "nameServiceImage": "i", "storageMode": "EmptyDir"},
        "status": {"size": published, "nameServers": served},
    }))
    .unwrap();
    Valid::check(&service).unwrap().unwrap()
}

/// What runs as `valid` wants it, with so many replicas, of revision `new`.
fn running(valid: &Valid, replicas: i32, members: Vec<Seen>) -> Observed {
    let mut set = children::stateful_set(valid, replicas, None, &Noted::default());
    set.status = serde_json::from_value(json!({"replicas": replicas, "updateRevision": "new"})).unwrap();
    Observed {
        set: Some(Arc::new(set)),
        members,
        orphans: 0,
        users: vec![],
        informed_only: false,
        contents: Contents::new(),
    }
}

fn member(ordinal: i32, revision: &str, state: &Value) -> Seen {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("names-{ordinal}"), "labels": {"controller-revision-hash": revision}},
        "status": {"podIP": ip(ordinal), "containerStatuses": [{"name": "name-service", "image": "i", "imageID": "",
            "ready": true, "restartCount": 0, "state": state}]},
    }))
    .unwrap();
    Seen {
        name: pod.name_any(),
        pod: Some(Arc::new(pod)),
        answer: Ok(View::default()),
    }
}

fn ip(ordinal: i32) -> String {
    format!("198.18.0.{ordinal}")
}

fn up(ordinal: i32, revision: &str) -> Seen {
    member(ordinal, revision, &json!({"running": {}}))
}

impl Seen {
    fn silent(mut self) -> Self {
        self.answer = Err("no answer".to_owned());
        self
    }

    fn with_topics(mut self, topics: &[&str]) -> Self {
        let entry = |topic: &&str| ((*topic).to_owned(), "queues".to_owned());
        self.answer.as_mut().unwrap().order_topics = topics.iter().map(entry).collect();
        self
    }

    fn listing(mut self, broker: &str, id: i64, address: &str) -> Self {
        let group = BrokerData {
            cluster: "orders".to_owned(),
            addresses: [(id, address.to_owned())].into(),
        };
        self.answer.as_mut().unwrap().cluster = ClusterInfo {
            brokers: [(broker.to_owned(), group)].into(),
        };
        self
    }
}

fn spared(plan: &Plan) -> Option<String> {
    match plan.restart.as_ref()? {
        Restart::Spared(pod) => Some(pod.name_any()),
        Restart::Broken(pod) => panic!("{} is broken", pod.name_any()),
    }
}

fn told(plan: &Plan) -> String {
    plan.waits
        .iter()
        .map(|wait| wait.message.clone() + "\n")
        .collect()
}

const BOTH: [&str; 2] = ["198.18.0.0", "198.18.0.1"];

#[test]
fn the_highest_outdated_name_server_restarts_first_and_only_when_the_others_know_what_it_knows() {
    let valid = asked(2, 2, &BOTH);
    let of = |first: Seen, second: Seen| plan(&valid, &running(&valid, 2, vec![first, second]));
    let both = of(up(0, "old"), up(1, "old"));
    assert_eq!(spared(&both).unwrap(), "names-1");
    let one = of(up(0, "old"), up(1, "new"));
    assert_eq!(spared(&one).unwrap(), "names-0");
    assert_eq!(spared(&of(up(0, "new"), up(1, "new"))), None);
    for (first, second, why) in [
        (up(0, "old"), up(1, "new").silent(), "names-1: no answer"),
        (
            up(0, "old").listing("b", 0, "a:1"),
            up(1, "new"),
            "names-0 lists b id 0 at a:1, names-1 does not",
        ),
        (
            up(0, "old"),
            up(1, "new").listing("b", 0, "a:1"),
            "names-1 lists b id 0 at a:1, names-0 does not",
        ),
        (
            up(0, "old").listing("b", 0, "a:1"),
            up(1, "new").listing("b", 0, "a:2"),
            "names-0 lists b id 0 at a:1, names-1 does not",
        ),
        (
            up(0, "old").listing("b", 0, "a:1"),
            up(1, "new").listing("b", 1, "a:1"),
            "names-0 lists b id 0 at a:1, names-1 does not",
        ),
        (
            up(0, "old").with_topics(&["t"]),
            up(1, "new"),
            "names-0 and names-1 differ in order topic t",
        ),
    ] {
        let waits = of(first, second);
        assert_eq!(spared(&waits), None, "{why}");
        assert!(told(&waits).contains(why), "{why}: {}", told(&waits));
        assert!(told(&waits).contains("1 of 2 name servers run the newest template; names-0 is next"));
    }
}

#[test]
fn an_outdated_name_server_that_does_not_serve_is_the_first_to_restart() {
    let valid = asked(2, 2, &BOTH);
    let seen = running(&valid, 2, vec![up(0, "old").silent(), up(1, "old")]);
    assert_eq!(spared(&plan(&valid, &seen)).unwrap(), "names-0");
    let seen = running(&valid, 2, vec![up(0, "old").silent(), up(1, "old").silent()]);
    assert_eq!(spared(&plan(&valid, &seen)), None);
}

#[test]
fn a_broken_one_is_replaced_without_asking_anybody() {
    let valid = asked(2, 2, &BOTH);
    let broken = member(1, "old", &json!({"waiting": {}})).silent();
    let plan = plan(&valid, &running(&valid, 2, vec![up(0, "old").silent(), broken]));
    assert!(matches!(plan.restart, Some(Restart::Broken(pod)) if pod.name_any() == "names-1"));
}

#[test]
fn nothing_restarts_before_kubernetes_has_taken_note_of_the_set_or_while_it_is_written() {
    let valid = asked(2, 2, &BOTH);
    let members = || vec![up(0, "old"), up(1, "old")];
    let mut unseen = running(&valid, 2, members());
    Arc::make_mut(unseen.set.as_mut().unwrap()).metadata.generation = Some(2);
    let waits = plan(&valid, &unseen);
    assert_eq!(spared(&waits), None);
    assert!(
        told(&waits).contains("taken note of StatefulSet names"),
        "{}",
        told(&waits)
    );
    let mut changed = valid.clone();
    changed.spec.name_service_image = "another".to_owned();
    let writes = plan(&changed, &running(&valid, 2, members()));
    assert_eq!((spared(&writes), writes.step), (None, SetStep::Keep));
    assert!(told(&writes).contains("writing a change"));
    let scales = plan(&valid, &running(&valid, 3, members()));
    assert_eq!(spared(&scales), None);
}

#[test]
fn scaling_and_the_fate_of_claims_change_no_intent_and_all_else_does() {
    let valid = asked(2, 2, &BOTH);
    let intent = |valid: &Valid, replicas| {
        let set = children::stateful_set(valid, replicas, None, &Noted::default());
        set::intent(&set).unwrap().to_owned()
    };
    let mut kept = valid.clone();
    kept.spec.persistent_volume_claim_retention_policy =
        serde_json::from_value(json!({"whenScaled": "Delete"})).unwrap();
    assert_eq!(intent(&valid, 2), intent(&valid, 3));
    assert_eq!(intent(&valid, 2), intent(&kept, 2));
    let mut changed = valid.clone();
    changed.spec.jvm_options = Some("-Xmx1g".to_owned());
    assert_ne!(intent(&valid, 2), intent(&changed, 2));
    let wished = children::stateful_set(&valid, 2, Some("today"), &Noted::default());
    assert_ne!(set::intent(&wished).unwrap(), intent(&valid, 2));
}

#[test]
fn more_are_published_when_all_new_ones_serve_and_fewer_at_once() {
    let growing = asked(3, 1, &["198.18.0.0"]);
    let seen = |last: Seen| running(&growing, 3, vec![up(0, "new"), up(1, "new"), last]);
    assert_eq!(plan(&growing, &seen(up(2, "new").silent())).published, 1);
    assert_eq!(plan(&growing, &seen(up(2, "new"))).published, 3);
    let shrinking = asked(1, 2, &BOTH);
    let members = || vec![up(0, "new"), up(1, "new")];
    let first = plan(&shrinking, &running(&shrinking, 2, members()));
    assert_eq!((first.published, first.set.spec.unwrap().replicas), (1, Some(2)));
    let told = asked(1, 1, &BOTH);
    let second = plan(&told, &running(&told, 2, members()));
    assert_eq!(second.set.spec.unwrap().replicas, Some(1));
    let mut used = running(&told, 2, members());
    used.users = vec![User {
        name: "orders".to_owned(),
        means_it: true,
        runs_with: Some(stable_names("names", "mq", 2)),
        paused: false,
    }];
    assert_eq!(plan(&told, &used).set.spec.unwrap().replicas, Some(2));
}

#[test]
fn only_a_name_server_that_has_not_served_is_given_order_topics() {
    let valid = asked(2, 2, &["198.18.0.0"]);
    let seen = running(&valid, 2, vec![up(0, "new").with_topics(&["t"]), up(1, "new")]);
    let given = plan(&valid, &seen);
    assert_eq!(given.replays[0].address, "198.18.0.1:9876");
    assert_eq!(given.serving, ["198.18.0.0"]);
    let served = asked(2, 2, &BOTH);
    let left = plan(&served, &seen);
    assert_eq!((left.replays.len(), left.serving.len()), (0, 2));
}

#[test]
fn a_pod_that_comes_back_with_the_address_of_its_node_is_a_new_one() {
    let valid = asked(2, 2, &BOTH);
    let starting = member(1, "new", &json!({"waiting": {"reason": "ContainerCreating"}})).silent();
    let away = plan(&valid, &running(&valid, 2, vec![up(0, "new"), starting]));
    assert_eq!(away.serving, ["198.18.0.0"]);
    let hiccup = plan(
        &valid,
        &running(&valid, 2, vec![up(0, "new"), up(1, "new").silent()]),
    );
    assert_eq!(
        hiccup.serving, BOTH,
        "one that runs on and does not answer keeps its store"
    );
}

#[test]
fn a_new_name_server_waits_for_one_that_served_to_tell_and_takes_nothing_from_an_old_store() {
    let valid = asked(3, 1, &["198.18.0.0"]);
    let silent = running(&valid, 3, vec![up(0, "new").silent(), up(1, "new"), up(2, "new")]);
    let waits = plan(&valid, &silent);
    assert_eq!((waits.published, waits.replays.len()), (1, 0));
    assert!(
        told(&waits).contains("names-0 does not tell its order topics"),
        "{}",
        told(&waits)
    );
    let old_store = up(2, "new").with_topics(&["deleted meanwhile"]);
    let seen = running(&valid, 3, vec![up(0, "new"), up(1, "new"), old_store]);
    assert_eq!(plan(&valid, &seen).replays, []);
    let nobody_served = asked(2, 2, &[]);
    let seen = running(
        &nobody_served,
        2,
        vec![up(0, "new").with_topics(&["t"]), up(1, "new")],
    );
    assert_eq!(plan(&nobody_served, &seen).replays[0].name, "names-1");
}
