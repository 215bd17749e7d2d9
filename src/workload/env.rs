//! Environment variables: ours and the user's in one list without a name twice, which server-side apply refuses.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, EnvVar, EnvVarSource, ObjectFieldSelector};

/// A variable with a value.
#[must_use]
pub fn value(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// A variable taken from a field of the pod.
#[must_use]
pub fn field(name: &str, path: &str) -> EnvVar {
    let source = ObjectFieldSelector {
        api_version: Some("v1".to_owned()),
        field_path: path.to_owned(),
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(source),
            ..EnvVarSource::default()
        }),
    }
}

/// A variable taken from a key of a ConfigMap when the container starts.
#[must_use]
pub fn config_map_key(name: &str, config_map: &str, key: &str) -> EnvVar {
    let source = ConfigMapKeySelector {
        name: config_map.to_owned(),
        key: key.to_owned(),
        optional: None,
    };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: Some(source),
            ..EnvVarSource::default()
        }),
    }
}

/// `ours`, then `users` in their order. Where a name appears twice the last of the user's wins, except over the names
/// in `kept`, which are ours alone.
#[must_use]
pub fn merge(ours: Vec<EnvVar>, users: &[EnvVar], kept: &[&str]) -> Vec<EnvVar> {
    let mut merged: Vec<EnvVar> = Vec::with_capacity(ours.len() + users.len());
    let users: Vec<EnvVar> = users
        .iter()
        .filter(|var| !kept.contains(&var.name.as_str()))
        .cloned()
        .collect();
    for var in ours.into_iter().chain(users) {
        merged.retain(|earlier| earlier.name != var.name);
        merged.push(var);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(vars: &[EnvVar]) -> Vec<(&str, &str)> {
        vars.iter()
            .map(|var| (var.name.as_str(), var.value.as_deref().unwrap_or("?")))
            .collect()
    }

    #[test]
    fn a_users_value_wins_except_over_identity() {
        let ours = vec![value("NAMESRV_ADDR", "ours"), value("POD_IP", "ours")];
        let users = [
            value("NAMESRV_ADDR", "theirs"),
            value("POD_IP", "theirs"),
            value("A", "1"),
            value("A", "2"),
        ];
        let merged = merge(ours, &users, &["NAMESRV_ADDR"]);
        assert_eq!(
            names(&merged),
            [("NAMESRV_ADDR", "ours"), ("POD_IP", "theirs"), ("A", "2")]
        );
    }
}
