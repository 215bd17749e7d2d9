//! How the API server merges: server-side apply as far as our objects need it, merge patches, selectors.

use serde_json::{Map, Value};

/// The key fields by which the entries of a list are matched; a list without them is replaced as a whole.
fn list_keys(field: &str, item: &Value) -> &'static [&'static str] {
    match field {
        "conditions" => &["type"],
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "ownerReferences" => &["uid"],
        "volumeMounts" => &["mountPath"],
        "ports" if item.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        _ => &[],
    }
}

fn same_item(keys: &[&str], one: &Value, other: &Value) -> bool {
    keys.iter().all(|key| one.get(key) == other.get(key))
}

/// Server-side apply: `now` over `live`, without what the same manager wanted `before` and wants no more.
pub fn apply(live: &mut Value, before: &Value, now: &Value) {
    drop_unwanted("", live, before, now);
    overlay("", live, now);
}

fn drop_unwanted(field: &str, live: &mut Value, before: &Value, now: &Value) {
    match (live, before) {
        (Value::Object(live), Value::Object(before)) => {
            for (key, before) in before {
                let wanted = now.get(key);
                let Some(inner) = live.get_mut(key) else { continue };
                let nests = before.is_object() || (before.is_array() && is_keyed(key, before));
                if nests {
                    drop_unwanted(key, inner, before, wanted.unwrap_or(&Value::Null));
                }
                let emptied = inner.as_object().is_some_and(Map::is_empty)
                    || inner.as_array().is_some_and(Vec::is_empty);
                if wanted.is_none() && (!nests || emptied) {
                    live.remove(key);
                }
            }
        }
        (Value::Array(live), Value::Array(before)) => {
            for item in before {
                let keys = list_keys(field, item);
                let wanted = now
                    .as_array()
                    .and_then(|now| now.iter().find(|other| same_item(keys, item, other)));
                match wanted {
                    None => live.retain(|other| !same_item(keys, item, other)),
                    Some(wanted) => {
                        let found = live.iter_mut().find(|other| same_item(keys, item, other));
                        if let Some(found) = found {
                            drop_unwanted("", found, item, wanted);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

fn is_keyed(field: &str, list: &Value) -> bool {
    list.as_array()
        .into_iter()
        .flatten()
        .any(|item| !list_keys(field, item).is_empty())
}

fn overlay(field: &str, live: &mut Value, now: &Value) {
    match now {
        Value::Object(now) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            for (key, value) in now {
                overlay(key, &mut live[key], value);
            }
        }
        Value::Array(items) if is_keyed(field, now) => {
            if !live.is_array() {
                *live = Value::Array(Vec::new());
            }
            let list = live.as_array_mut().unwrap();
            for item in items {
                let keys = list_keys(field, item);
                match list.iter_mut().find(|other| same_item(keys, item, other)) {
                    Some(found) => overlay("", found, item),
                    None => list.push(item.clone()),
                }
            }
        }
        _ => *live = now.clone(),
    }
}

/// The path and key of an entry that a keyed list has twice, which server-side apply refuses.
pub fn duplicate(field: &str, intent: &Value) -> Option<String> {
    match intent {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(key, value)| duplicate(key, value).map(|at| format!(".{key}{at}"))),
        Value::Array(items) => {
            let repeated = items.iter().enumerate().find(|(at, item)| {
                let keys = list_keys(field, item);
                !keys.is_empty() && items[..*at].iter().any(|other| same_item(keys, item, other))
            });
            repeated
                .map(|(_, item)| {
                    format!(
                        ": duplicate entries for key {:?} of {item}",
                        list_keys(field, item)
                    )
                })
                .or_else(|| {
                    items
                        .iter()
                        .find_map(|item| duplicate("", item).map(|at| format!("[]{at}")))
                })
        }
        _ => None,
    }
}

/// JSON merge patch (RFC 7386).
pub fn merge_patch(live: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *live = patch.clone();
        return;
    };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            live.as_object_mut().unwrap().remove(key);
        } else {
            merge_patch(&mut live[key], value);
        }
    }
}

/// Whether an object's labels match a selector such as `a=b,c in (d,e)`.
pub fn labels_match(object: &Value, selector: &str) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
    requirements(selector).iter().all(|requirement| {
        if let Some((key, values)) = requirement.split_once(" in ") {
            let values = values.trim().trim_matches(['(', ')']);
            label(key).is_some_and(|value| values.split(',').any(|wanted| wanted.trim() == value))
        } else if let Some((key, value)) = requirement.split_once("!=") {
            label(key) != Some(value)
        } else if let Some((key, value)) = requirement.split_once('=') {
            label(key) == Some(value.trim_start_matches('='))
        } else {
            label(requirement).is_some()
        }
    })
}

/// The requirements of a selector: split at commas outside of parentheses.
fn requirements(selector: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for letter in selector.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        match letter {
            ',' if depth == 0 => found.push(String::new()),
            letter => found.last_mut().unwrap().push(letter),
        }
    }
    found.retain(|requirement| !requirement.is_empty());
    found
}

/// Whether an object's fields match a selector such as `metadata.name!=x`.
pub fn fields_match(object: &Value, selector: &str) -> bool {
    let field = |path: &str| {
        path.split('.')
            .fold(object, |at, key| &at[key])
            .as_str()
            .unwrap_or_default()
    };
    selector
        .split(',')
        .filter(|requirement| !requirement.is_empty())
        .all(
            |requirement| match (requirement.split_once("!="), requirement.split_once('=')) {
                (Some((path, value)), _) => field(path) != value,
                (None, Some((path, value))) => field(path) == value,
                (None, None) => panic!("field selector {selector:?}"),
            },
        )
}
