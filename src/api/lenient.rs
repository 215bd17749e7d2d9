//! Reading what is already stored, whatever an older operator's schema let pass.
//!
//! A watch that meets one object it cannot parse fails as a whole, so one bad object would stop every cluster.
//! A spec is therefore read field by field: what cannot be read is left out and named, and the reconciler
//! rejects that one object.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value};

/// Reads an object whose type accepts the absence of every field. Returns what could be read, and one line
/// for each field that could not: its name and why.
pub(super) fn read<T, E>(stored: Value, strict: impl Fn(Value) -> Result<T, E>) -> (T, Vec<String>)
where
    T: Default,
    E: std::fmt::Display,
{
    let fields = match stored {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        _ => return (T::default(), vec!["is not an object".to_owned()]),
    };
    if let Ok(whole) = strict(Value::Object(fields.clone())) {
        return (whole, Vec::new());
    }
    let mut readable = Map::new();
    let mut unreadable = Vec::new();
    for (name, value) in fields {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match strict(Value::Object(alone)) {
            Ok(_) => drop(readable.insert(name, value)),
            Err(why) => unreadable.push(format!("{name}: {why}")),
        }
    }
    (strict(Value::Object(readable)).unwrap_or_default(), unreadable)
}

/// `null` and `""` are `None`.
pub(super) fn blank_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        value => serde_json::from_value(value).map(Some).map_err(D::Error::custom),
    }
}

/// `null` is the default.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::{Broker, NameService, StorageMode};

    #[test]
    fn a_stored_broker_with_nonsense_in_one_field_is_read_and_the_field_is_named() {
        let broker: Broker = serde_json::from_value(json!({
            "apiVersion": "rocketmq.apache.org/v1alpha1", "kind": "Broker", "metadata": {"name": "b"},
            "spec": {"size": 2, "brokerImage": "image", "storageMode": "LocalDisk", "resources": "many"},
        }))
        .unwrap();
        assert_eq!(broker.spec.size, 2);
        assert_eq!(broker.spec.broker_image, "image");
        assert_eq!(broker.spec.unreadable.len(), 2);
        assert!(
            broker.spec.unreadable[0].starts_with("resources: "),
            "{:?}",
            broker.spec.unreadable
        );
        assert!(
            broker.spec.unreadable[1].starts_with("storageMode: unknown variant `LocalDisk`"),
            "{:?}",
            broker.spec.unreadable
        );
    }

    #[test]
    fn a_status_left_by_another_operator_is_read_as_far_as_it_can() {
        let name_service: NameService = serde_json::from_value(json!({
            "metadata": {"name": "n"}, "spec": {"size": 1, "nameServiceImage": "i", "storageMode": "EmptyDir"},
            "status": {"nameServers": null, "conditions": "none", "size": 3},
        }))
        .unwrap();
        let status = name_service.status.unwrap();
        assert_eq!(
            (status.size, status.name_servers.len(), status.conditions.len()),
            (3, 0, 0)
        );
        assert!(name_service.spec.unreadable.is_empty());
    }

    #[test]
    fn null_and_blank_mean_not_given() {
        let broker: Broker = serde_json::from_value(json!({
            "metadata": {"name": "b"},
            "spec": {
                "size": 1, "brokerImage": "i", "storageMode": "HostPath", "hostPath": "", "nameServers": "",
                "imagePullPolicy": "", "clusterMode": "", "replicationMode": "", "replicaPerGroup": null,
                "env": null, "volumes": [], "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
            },
        }))
        .unwrap();
        let spec = broker.spec;
        assert_eq!(spec.unreadable, Vec::<String>::new());
        assert_eq!(spec.storage_mode, StorageMode::HostPath);
        assert_eq!((spec.host_path, spec.name_servers), (None, None));
        assert_eq!(
            (spec.image_pull_policy, spec.cluster_mode, spec.replication_mode),
            (None, None, None)
        );
        assert_eq!(spec.volumes.map(|volumes| volumes.len()), Some(0));
        assert_eq!(spec.resources.unwrap().limits.unwrap()["cpu"].0, "1");
    }
}
