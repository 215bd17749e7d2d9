//! The objects built for every example, as snapshots: a change of them is reviewed like code, because a changed pod
//! template is a restart of somebody's broker.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::core::{Selector, SelectorExt as _};
use rocketmq_operator::api::{Broker, NameService};
use rocketmq_operator::broker::children::Kept;
use rocketmq_operator::broker::config::{COMMON_KEY, UserConfig};
use rocketmq_operator::broker::live::Gate;
use rocketmq_operator::workload::content::Noted;
use rocketmq_operator::{broker, name_service};
use serde::Serialize;
use serde_json::Value;

fn documents(example: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(example);
    let text = std::fs::read_to_string(path).unwrap();
    let each = serde_yaml_ng::Deserializer::from_str(&text);
    each.map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

/// The only document of a kind, as if it were stored.
fn stored<K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned>(documents: &[Value]) -> K {
    let kind = K::kind(&());
    let document = documents
        .iter()
        .find(|document| document["kind"] == *kind)
        .unwrap();
    let mut object: K = serde_json::from_value(document.clone()).unwrap();
    object.meta_mut().namespace = Some("default".to_owned());
    object.meta_mut().uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    object
}

#[derive(Default)]
struct Objects(BTreeMap<String, Value>);

impl Objects {
    fn add<K: kube::Resource<DynamicType = ()> + Serialize>(&mut self, object: &K) {
        let key = format!("{} {}", K::kind(&()), object.meta().name.clone().unwrap());
        let mut value = serde_json::to_value(object).unwrap();
        if let Some(script) = value.pointer_mut("/data/start.sh") {
            *script = "(the start script)".into();
        }
        assert!(self.0.insert(key, value).is_none(), "two objects of one name");
    }
}

fn objects_of(example: &str) -> BTreeMap<String, Value> {
    let documents = documents(example);
    let mut objects = Objects::default();

    let service = name_service::valid::Valid::check(&stored::<NameService>(&documents))
        .unwrap()
        .unwrap();
    objects.add(&name_service::children::start_script(&service));
    objects.add(&name_service::children::client_service(&service, false));
    objects.add(&name_service::children::headless_service(&service));
    objects.add(&name_service::children::disruption_budget(&service));
    objects.add(&name_service::children::stateful_set(
        &service,
        service.asked,
        None,
        &Noted::default(),
    ));

    let valid = broker::valid::Valid::check(&stored::<Broker>(&documents))
        .unwrap()
        .unwrap();
    let common = documents
        .iter()
        .find_map(|document| document["data"][COMMON_KEY].as_str().map(ToOwned::to_owned));
    let user = UserConfig::read(common, &valid.spec.config.clone().unwrap_or_default()).unwrap();
    objects.add(&broker::children::start_script(&valid));
    objects.add(&broker::children::name_servers(
        &valid,
        &name_service::stable_names(&service.name, "default", service.asked).join(";"),
        &valid
            .shape
            .members()
            .map(|member| (member, broker::live::wanted(&valid, &user, Gate::Open, &[])))
            .collect(),
    ));
    objects.add(&broker::children::headless_service(&valid, user.ports));
    for group in 0..valid.shape.groups {
        objects.add(&broker::children::disruption_budget(&valid, group));
    }
    for member in valid.shape.members() {
        objects.add(&broker::children::member_service(
            &valid, user.ports, member, None,
        ));
        let set = broker::children::broker_set(&valid, &user, member, "198.19.0.10", Kept::default());
        objects.add(&set.config);
        objects.add(&set.set);
    }
    objects.0
}

#[test]
fn the_objects_of_every_example_are_as_reviewed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        insta::assert_yaml_snapshot!(name.trim_end_matches(".yaml"), objects_of(&name));
    }
}

/// What a StatefulSet puts on its pod is all that the Go operator's pods tell of their group.
#[test]
fn a_groups_budget_has_its_members_and_no_other_pod_whoever_made_them() {
    let documents = documents("rocketmq_v1alpha1_rocketmq_cluster_two_groups.yaml");
    let valid = broker::valid::Valid::check(&stored::<Broker>(&documents))
        .unwrap()
        .unwrap();
    let budget = broker::children::disruption_budget(&valid, 1);
    let selector: Selector = budget.spec.unwrap().selector.unwrap().try_into().unwrap();
    for (pod, mine) in [
        ("broker-1-master-0", true),
        ("broker-1-replica-1-0", true),
        ("broker-0-master-0", false),
        ("broker-0-replica-1-0", false),
    ] {
        let of_the_go_operator = [
            ("app", "broker"),
            ("broker_cr", "broker"),
            ("statefulset.kubernetes.io/pod-name", pod),
        ];
        let labels = of_the_go_operator.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(selector.matches(&labels.into()), mine, "{pod}");
    }
}
