//! Which node a pod is pinned to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, NodeSelectorRequirement, NodeSelectorTerm};

/// The label of a node that no other node has.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// The only node that these fields of a pod let it run on, if there is one.
#[must_use]
pub fn node<'a>(
    selector: Option<&'a BTreeMap<String, String>>,
    affinity: Option<&'a Affinity>,
) -> Option<&'a str> {
    let selected = selector.and_then(|labels| labels.get(HOSTNAME));
    let required = affinity
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|nodes| nodes.required_during_scheduling_ignored_during_execution.as_ref());
    let required = required.and_then(|nodes| match nodes.node_selector_terms.as_slice() {
        [term] => one_node(term),
        _ => None,
    });
    selected.map(String::as_str).or(required)
}

fn one_node(term: &NodeSelectorTerm) -> Option<&str> {
    let labels = term
        .match_expressions
        .iter()
        .flatten()
        .filter(|rule| rule.key == HOSTNAME);
    let fields = term
        .match_fields
        .iter()
        .flatten()
        .filter(|rule| rule.key == "metadata.name");
    labels
        .chain(fields)
        .find_map(|rule: &NodeSelectorRequirement| match rule.values.as_deref() {
            Some([only]) if rule.operator == "In" => Some(only.as_str()),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pinned(affinity: &Value) -> Option<String> {
        let affinity: Affinity = serde_json::from_value(json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": affinity}}}))
        .unwrap();
        node(None, Some(&affinity)).map(ToOwned::to_owned)
    }

    #[test]
    fn a_pod_is_pinned_by_what_leaves_one_node_only() {
        let selector = [(HOSTNAME.to_owned(), "node-1".to_owned())].into();
        assert_eq!(node(Some(&selector), None), Some("node-1"));
        assert_eq!(
            node(Some(&[("disk".to_owned(), "ssd".to_owned())].into()), None),
            None
        );
        let on = |key: &str, values: &[&str]| json!([{"matchExpressions": [{"key": key, "operator": "In", "values": values}]}]);
        assert_eq!(pinned(&on(HOSTNAME, &["node-2"])).as_deref(), Some("node-2"));
        assert_eq!(pinned(&on(HOSTNAME, &["node-1", "node-2"])), None);
        assert_eq!(pinned(&on("zone", &["a"])), None);
        let by_name =
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-3"]}]}]);
        assert_eq!(pinned(&by_name).as_deref(), Some("node-3"));
    }
}
