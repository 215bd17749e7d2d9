use serde_json::{Value, json};

use super::*;
use crate::api::BrokerSpec;

fn used(spec: &Value) -> Vec<String> {
    let spec: BrokerSpec = serde_json::from_value(spec.clone()).unwrap();
    let line = |((kind, name), used): (&(Kind, String), &Used)| {
        let keys: Vec<_> = used.keys.iter().map(String::as_str).collect();
        let all = if used.whole { "all" } else { "" };
        format!("{kind:?} {name} {all}{} needed={}", keys.join("+"), used.needed)
    };
    all_used(&PodFields::from(&spec)).iter().map(line).collect()
}

#[test]
fn what_pods_use_is_what_they_mount_or_take_into_their_environment() {
    let spec = json!({
        "volumes": [
            {"name": "acl", "configMap": {"name": "acl"}},
            {"name": "tls", "secret": {"secretName": "tls", "items": [{"key": "crt", "path": "c"}], "optional": true}},
            {"name": "all", "projected": {"sources": [
                {"configMap": {"name": "logback"}}, {"secret": {"name": "extra", "items": [{"key": "k", "path": "p"}]}}]}},
            {"name": "idle", "configMap": {"name": "idle"}},
        ],
        "volumeMounts": [
            {"name": "acl", "mountPath": "/a"}, {"name": "tls", "mountPath": "/t"}, {"name": "all", "mountPath": "/l"}],
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "memory", "key": "size"}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "tls", "key": "pass"}}},
            {"name": "C", "value": "plain"},
        ],
    });
    assert_eq!(
        used(&spec),
        [
            "ConfigMap acl all needed=true",
            "ConfigMap logback all needed=true",
            "ConfigMap memory size needed=true",
            "Secret extra k needed=true",
            "Secret tls crt+pass needed=true",
        ]
    );
}

fn notes(noted: &Noted) -> Labels {
    let mut annotations = Labels::new();
    annotations.extend(noted.contents.clone().map(|text| (CONTENT.to_owned(), text)));
    annotations.extend(noted.mark.clone().map(|text| (CONTENT_HASH.to_owned(), text)));
    annotations
}

fn now(acl: Option<&str>, tls: Option<&str>) -> Contents {
    let of = |name: &str, hash: Option<&str>| (name.to_owned(), hash.map(ToOwned::to_owned));
    [of("ConfigMap/acl", acl), of("Secret/tls", tls)].into()
}

#[test]
fn what_is_seen_first_is_noted_and_marks_nothing() {
    let first = noted(Some(&Labels::new()), &now(Some("1"), Some("2")));
    assert_eq!(first.mark, None);
    assert_eq!(
        first.contents.as_deref(),
        Some(r#"{"ConfigMap/acl":"1","Secret/tls":"2"}"#)
    );
    assert_eq!(noted(Some(&notes(&first)), &now(Some("1"), Some("2"))), first);
    assert_eq!(noted(None, &Contents::new()), Noted::default());
}

#[test]
fn a_change_marks_and_going_back_before_it_was_carried_out_does_not() {
    let first = noted(None, &now(Some("1"), Some("2")));
    let changed = noted(Some(&notes(&first)), &now(Some("9"), Some("2")));
    assert!(changed.mark.is_some());
    assert_eq!(noted(Some(&notes(&first)), &now(Some("1"), Some("2"))), first);
    // Once carried out it stays marked.
    assert_eq!(noted(Some(&notes(&changed)), &now(Some("9"), Some("2"))), changed);
}

#[test]
fn what_is_gone_or_cannot_be_read_is_remembered_and_marks_nothing() {
    let first = noted(None, &now(Some("1"), Some("2")));
    assert_eq!(noted(Some(&notes(&first)), &now(None, None)), first);
    let later = noted(Some(&notes(&first)), &now(None, Some("3")));
    assert!(later.mark.is_some());
    // One that can be read for the first time.
    let unread = noted(None, &now(Some("1"), None));
    assert_eq!(
        noted(Some(&notes(&unread)), &now(Some("1"), Some("2"))).mark,
        None
    );
}
