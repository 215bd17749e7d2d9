//! The user's `broker-common.conf`: read when its ConfigMap changes, and only then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource};
use kube::Api;

use super::config::COMMON_KEY;
use super::valid::{Rejected, Valid};
use crate::context::{self, Context};
use crate::error::Error;

/// Texts by the version of the ConfigMap they were read from: a cache, not a memory. One entry per ConfigMap that a
/// spec names.
#[derive(Debug, Default)]
pub struct Texts(Mutex<HashMap<(String, String), Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    version: String,
    data: Arc<HashMap<String, String>>,
}

impl Texts {
    fn get(&self, key: &(String, String), version: &str) -> Option<Arc<HashMap<String, String>>> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts
            .get(key)
            .filter(|entry| entry.version == version)
            .map(|entry| entry.data.clone())
    }

    fn put(&self, key: (String, String), entry: Entry) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, entry);
    }
}

/// The user's `broker-common.conf`, if `spec.volumes[0]` holds one. The inner error is for the user.
pub async fn common(valid: &Valid, ctx: &Context) -> Result<Result<Option<String>, Rejected>, Error> {
    let Some(source) = valid
        .spec
        .volumes
        .iter()
        .flatten()
        .next()
        .and_then(|volume| volume.config_map.as_ref())
    else {
        return Ok(Ok(None));
    };
    let Some(data) = data(&valid.target.namespace, &source.name, ctx).await? else {
        return Ok(if source.optional == Some(true) {
            Ok(None)
        } else {
            Err(missing(&source.name))
        });
    };
    Ok(Ok(data.get(key(source)).cloned()))
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

async fn data(
    namespace: &str,
    name: &str,
    ctx: &Context,
) -> Result<Option<Arc<HashMap<String, String>>>, Error> {
    let Some(meta) = context::get(&ctx.stores.config_maps, namespace, name) else {
        return Ok(None);
    };
    let version = meta.metadata.resource_version.clone().unwrap_or_default();
    let key = (namespace.to_owned(), name.to_owned());
    if let Some(data) = ctx.texts.get(&key, &version) {
        return Ok(Some(data));
    }
    let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), namespace);
    let read = api
        .get_opt(name)
        .await
        .map_err(Error::kube(format!("read ConfigMap {namespace}/{name}")))?;
    let Some(map) = read else { return Ok(None) };
    let common: HashMap<String, String> = map.data.unwrap_or_default().into_iter().collect();
    let data = Arc::new(common);
    ctx.texts.put(
        key,
        Entry {
            version: map.metadata.resource_version.unwrap_or_default(),
            data: data.clone(),
        },
    );
    Ok(Some(data))
}
