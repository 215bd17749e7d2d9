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

/// `ours`, then `users`. Where a name appears twice the last of the user's wins, except over the names in `kept`, which are
/// ours alone. The user's order is kept only where it means something, because a value refers to another variable: so a list
/// in another order is the same, and restarts nothing.
#[must_use]
pub fn merge(ours: Vec<EnvVar>, users: &[EnvVar], kept: &[&str]) -> Vec<EnvVar> {
    let mut merged: Vec<EnvVar> = Vec::with_capacity(ours.len() + users.len());
    let mut users: Vec<EnvVar> = users
        .iter()
        .filter(|var| !kept.contains(&var.name.as_str()))
        .cloned()
        .collect();
    let refers = |var: &EnvVar| var.value.as_ref().is_some_and(|value| value.contains("$("));
    if !users.iter().any(refers) {
        // Stable: of two of a name the last one stays the last.
        users.sort_by(|one, other| one.name.cmp(&other.name));
    }
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
    fn a_users_order_counts_only_where_a_value_refers_to_another() {
        let (a, b) = (value("A", "1"), value("B", "2"));
        let merged = |users: &[EnvVar]| merge(vec![], users, &[]);
        assert_eq!(merged(&[a.clone(), b.clone()]), merged(&[b.clone(), a.clone()]));
        let refers = value("A", "$(B)");
        assert_eq!(merged(&[b.clone(), refers.clone()]), [b.clone(), refers.clone()]);
        assert_eq!(merged(&[refers.clone(), b.clone()]), [refers, b]);
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
            [("NAMESRV_ADDR", "ours"), ("A", "2"), ("POD_IP", "theirs")]
        );
    }
}
