//! What ConfigMaps of users hold: read when one changes, and only then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::context::{self, Context};
use crate::error::Error;
use crate::k8s::apply::hash;

/// What ConfigMaps hold, by the version at which they were read: a cache, not a memory. One entry per ConfigMap that a
/// spec names.
#[derive(Debug, Default)]
pub struct Texts(Mutex<HashMap<(String, String), Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    version: String,
    held: Arc<Held>,
}

/// What a ConfigMap holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Its texts by key.
    pub data: BTreeMap<String, String>,
    /// A hash of every value, of texts and of bytes, by key.
    pub hashes: BTreeMap<String, String>,
}

impl From<ConfigMap> for Held {
    fn from(map: ConfigMap) -> Self {
        let data = map.data.unwrap_or_default();
        let bytes = map.binary_data.unwrap_or_default();
        let hashes = data.iter().map(|(key, value)| (key.clone(), hash(value)));
        let of_bytes = bytes.iter().map(|(key, value)| (key.clone(), hash(value)));
        Self {
            hashes: hashes.chain(of_bytes).collect(),
            data,
        }
    }
}

impl Texts {
    fn get(&self, key: &(String, String), version: &str) -> Option<Arc<Held>> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts
            .get(key)
            .filter(|entry| entry.version == version)
            .map(|entry| entry.held.clone())
    }

    fn put(&self, key: (String, String), entry: Entry) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, entry);
    }
}

/// What the ConfigMap of that name holds, if there is one.
pub async fn read(namespace: &str, name: &str, ctx: &Context) -> Result<Option<Arc<Held>>, Error> {
    let Some(meta) = context::get(&ctx.stores.config_maps, namespace, name) else {
        return Ok(None);
    };
    let version = meta.metadata.resource_version.clone().unwrap_or_default();
    let key = (namespace.to_owned(), name.to_owned());
    if let Some(held) = ctx.texts.get(&key, &version) {
        return Ok(Some(held));
    }
    let api = Api::<ConfigMap>::namespaced(ctx.client.clone(), namespace);
    let read = api
        .get_opt(name)
        .await
        .map_err(Error::kube(format!("read ConfigMap {namespace}/{name}")))?;
    let Some(map) = read else { return Ok(None) };
    let version = map.metadata.resource_version.clone().unwrap_or_default();
    let held = Arc::new(Held::from(map));
    ctx.texts.put(
        key,
        Entry {
            version,
            held: held.clone(),
        },
    );
    Ok(Some(held))
}
