//! What users copy must be right: every document in `examples/` is read without loss and passes the rules.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::cel::Validator;
use rocketmq_operator::api::{Broker, NameService, crds};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The documents of each file, by the file's name.
fn examples() -> BTreeMap<String, Vec<Value>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let documents = serde_yaml_ng::Deserializer::from_str(&text)
            .map(|document| serde::Deserialize::deserialize(document).unwrap());
        (entry.file_name().into_string().unwrap(), documents.collect())
    };
    std::fs::read_dir(folder).unwrap().map(read).collect()
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents
        .iter()
        .filter(|document| document["kind"] == kind)
        .collect()
}

/// The document as its type reads and writes it.
fn through<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(document.clone()).unwrap()).unwrap()
}

/// Asserts that everything `given` says is in `kept`; what is empty means "not given" and may go.
fn assert_kept(place: &str, given: &Value, kept: &Value) {
    match (given, kept) {
        (Value::Object(given), _) => {
            for (name, value) in given {
                assert_kept(&format!("{place}.{name}"), value, &kept[name]);
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            assert_eq!(given.len(), kept.len(), "{place}");
            for (value, kept) in given.iter().zip(kept) {
                assert_kept(&format!("{place}[]"), value, kept);
            }
        }
        (Value::String(text), Value::Null) if text.is_empty() => {}
        _ => assert_eq!(given, kept, "{place}"),
    }
}

#[test]
fn every_field_of_every_example_is_known() {
    for (file, documents) in examples() {
        assert!(!documents.is_empty(), "{file} is empty");
        for document in documents {
            let kept = match document["kind"].as_str().unwrap() {
                "Broker" => through::<Broker>(&document),
                "NameService" => through::<NameService>(&document),
                "ConfigMap" => through::<ConfigMap>(&document),
                kind => panic!("{file} has a {kind}"),
            };
            assert_kept(&file, &document, &kept);
        }
    }
}

#[test]
fn every_example_passes_the_rules() {
    for (file, documents) in examples() {
        for definition in crds() {
            let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            // The API server gives these rules an optional; this evaluator gives them null for a new object.
            for rule in schema["x-kubernetes-validations"].as_array_mut().unwrap() {
                let plain = rule["rule"]
                    .as_str()
                    .unwrap()
                    .replace("oldSelf.hasValue()", "(oldSelf != null)");
                rule["rule"] = plain.into();
            }
            for document in of_kind(&documents, &definition.spec.names.kind) {
                let read = match definition.spec.names.kind.as_str() {
                    "Broker" => through::<Broker>(document),
                    _ => through::<NameService>(document),
                };
                Validator::new()
                    .validate(&schema, &read, None)
                    .unwrap_or_else(|why| panic!("{file}: {why:?}"));
            }
        }
    }
}

#[test]
fn every_example_is_a_whole_cluster() {
    for (file, documents) in examples() {
        assert_eq!(of_kind(&documents, "Broker").len(), 1, "{file}");
        assert_eq!(of_kind(&documents, "NameService").len(), 1, "{file}");
        let named: Vec<&Value> = of_kind(&documents, "ConfigMap")
            .iter()
            .map(|map| &map["metadata"]["name"])
            .collect();
        for broker in of_kind(&documents, "Broker") {
            for volume in broker["spec"]["volumes"].as_array().into_iter().flatten() {
                assert!(
                    named.contains(&&volume["configMap"]["name"]),
                    "{file}: {volume} is not in the file"
                );
            }
        }
    }
}

#[test]
fn no_example_names_a_namespace_so_that_the_user_chooses() {
    for (file, documents) in examples() {
        assert!(
            documents
                .iter()
                .all(|document| document["metadata"].get("namespace").is_none()),
            "{file}"
        );
    }
}

#[test]
fn the_quick_start_of_the_go_operator_is_here_with_the_same_objects() {
    let documents = &examples()["rocketmq_v1alpha1_rocketmq_cluster.yaml"];
    let names: Vec<(&str, &str)> = documents
        .iter()
        .map(|document| {
            (
                document["kind"].as_str().unwrap(),
                document["metadata"]["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("ConfigMap", "broker-config"),
            ("Broker", "broker"),
            ("NameService", "name-service")
        ]
    );
    let broker = &of_kind(documents, "Broker")[0]["spec"];
    assert_eq!(
        (&broker["size"], &broker["replicaPerGroup"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&broker["storageMode"], &broker["scalePodName"]),
        (&"EmptyDir".into(), &"broker-0-master-0".into())
    );
}
