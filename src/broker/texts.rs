//! The user's `broker-common.conf`.

use k8s_openapi::api::core::v1::ConfigMapVolumeSource;

use super::config::COMMON_KEY;
use super::valid::{Rejected, Valid};
use crate::api::BrokerSpec;
use crate::context::Context;
use crate::error::Error;
use crate::workload::texts;

/// The ConfigMap that may hold it, and under which key: that of `spec.volumes[0]`.
fn source(spec: &BrokerSpec) -> Option<(&ConfigMapVolumeSource, &str)> {
    let source = spec.volumes.iter().flatten().next()?.config_map.as_ref()?;
    Some((source, key(source)))
}

/// The ConfigMap and the key that hold it, by name.
#[must_use]
pub fn place(spec: &BrokerSpec) -> Option<(&str, &str)> {
    source(spec).map(|(source, key)| (source.name.as_str(), key))
}

/// The user's `broker-common.conf`, if `spec.volumes[0]` holds one. The inner error is for the user.
pub async fn common(valid: &Valid, ctx: &Context) -> Result<Result<Option<String>, Rejected>, Error> {
    let Some((source, key)) = source(&valid.spec) else {
        return Ok(Ok(None));
    };
    let Some(held) = texts::read(&valid.target.namespace, &source.name, ctx).await? else {
        return Ok(if source.optional == Some(true) {
            Ok(None)
        } else {
            Err(missing(&source.name))
        });
    };
    Ok(Ok(held.data.get(key).cloned()))
}

/// The key that is mounted under the name `broker-common.conf`.
fn key(source: &ConfigMapVolumeSource) -> &str {
    let items = source.items.iter().flatten();
    items
        .into_iter()
        .find(|item| item.path == COMMON_KEY)
        .map_or(COMMON_KEY, |item| item.key.as_str())
}

fn missing(name: &str) -> Rejected {
    Rejected {
        reason: "ConfigMapNotFound",
        message: format!(
            "spec.volumes[0]: there is no ConfigMap {name:?} in this namespace; create it, or name another"
        ),
    }
}
