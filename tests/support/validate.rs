//! What the API server refuses, as far as the operator could run into it.

use serde_json::Value;

use super::objects::Key;

/// Why the API server does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    Conflict(String),
    Invalid(String),
    Forbidden,
    Internal,
    Timeout,
}

impl Refusal {
    /// The HTTP code and the reason in words.
    pub fn code(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound => (404, "NotFound"),
            Self::AlreadyExists => (409, "AlreadyExists"),
            Self::Conflict(_) => (409, "Conflict"),
            Self::Invalid(_) => (422, "Invalid"),
            Self::Forbidden => (403, "Forbidden"),
            Self::Internal => (500, "InternalError"),
            Self::Timeout => (504, "Timeout"),
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Conflict(why) | Self::Invalid(why) => why.clone(),
            _ => self.code().1.to_owned(),
        }
    }
}

/// Fields of a StatefulSet's spec that may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Checks a new object.
pub fn new(key: &Key, object: &Value) -> Result<(), Refusal> {
    let label = is_label(&key.name);
    match key.resource.as_str() {
        "services" if !label || !key.name.starts_with(|first: char| first.is_ascii_lowercase()) => Err(
            Refusal::Invalid(format!("metadata.name: {:?} is no DNS-1035 label", key.name)),
        ),
        _ if key.name.len() > 253 || !key.name.split('.').all(is_label) => Err(Refusal::Invalid(format!(
            "metadata.name: {:?} is no DNS-1123 subdomain",
            key.name
        ))),
        _ => common(key, object),
    }
}

/// Checks a change of an object.
pub fn change(key: &Key, before: &Value, after: &Value) -> Result<(), Refusal> {
    if key.resource == "statefulsets" {
        let without = |object: &Value| {
            let mut spec = object["spec"].clone();
            for field in MUTABLE {
                spec.as_object_mut().map(|spec| spec.remove(field));
            }
            spec
        };
        let (before, after) = (without(before), without(after));
        if before != after {
            return Err(Refusal::Invalid(format!(
                "spec: Forbidden: cannot be changed: {before} to {after}"
            )));
        }
    }
    if key.resource == "persistentvolumeclaims" {
        let (now, wanted) = (gibibytes(before), gibibytes(after));
        if wanted < now {
            return Err(Refusal::Invalid(
                "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
                    .to_owned(),
            ));
        }
        if wanted > now && after["spec"]["storageClassName"] != super::kubelet::GROWING {
            return Err(Refusal::Forbidden);
        }
    }
    common(key, after)
}

/// What a claim asks for; all ours are in Gi.
fn gibibytes(claim: &Value) -> u32 {
    let size = claim["spec"]["resources"]["requests"]["storage"]
        .as_str()
        .unwrap_or("0");
    size.trim_end_matches("Gi").parse().unwrap_or(0)
}

fn common(key: &Key, object: &Value) -> Result<(), Refusal> {
    let template = &object["spec"]["template"]["metadata"]["labels"];
    for labels in [&object["metadata"]["labels"], template] {
        let odd = labels
            .as_object()
            .into_iter()
            .flatten()
            .find(|(_, value)| !value.as_str().is_some_and(is_label_value));
        if let Some((name, value)) = odd {
            return Err(Refusal::Invalid(format!("metadata.labels: {name}: {value}")));
        }
    }
    if key.resource == "statefulsets" {
        let selector = &object["spec"]["selector"]["matchLabels"];
        let missing = selector
            .as_object()
            .into_iter()
            .flatten()
            .any(|(key, value)| template[key] != *value);
        if missing || selector.is_null() {
            return Err(Refusal::Invalid(
                "spec.template.metadata.labels: selector does not match".to_owned(),
            ));
        }
    }
    Ok(())
}

fn is_label(name: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_label_value(value: &str) -> bool {
    let edge = |letter: char| letter.is_ascii_alphanumeric();
    let inner = |letter: char| edge(letter) || "-_.".contains(letter);
    value.len() <= 63
        && value.chars().all(inner)
        && (value.is_empty() || (value.starts_with(edge) && value.ends_with(edge)))
}
