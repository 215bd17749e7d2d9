//! Where data lives: claims, the node's disk, or the pod's own life; always below the Go operator's volume name and
//! sub-paths, so that its data is found again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeClaim, Volume, VolumeMount,
};
use kube::api::ObjectMeta;

use crate::api::StorageMode;

/// The storage of one custom resource, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// The name of the data volume in every mode: that of the first claim template.
    pub volume: String,
    /// What is behind it.
    pub medium: Medium,
    /// Whether the spec leaves the data volume without a name.
    pub unnamed: bool,
}

/// What is behind the data volume.
#[derive(Clone, Debug, PartialEq)]
pub enum Medium {
    /// A claim per pod from these templates; the first is the data volume.
    Claims(Vec<PersistentVolumeClaim>),
    /// A folder that ends with the pod.
    EmptyDir,
    /// A folder on the node's disk.
    HostPath(String),
}

impl Storage {
    /// The storage that a spec asks for; `volume` names the data volume where no claim template does. What is wrong
    /// is told as field and remedy.
    pub fn new(
        mode: &StorageMode,
        host_path: Option<&str>,
        templates: &[PersistentVolumeClaim],
        volume: &str,
    ) -> Result<Self, String> {
        let named = templates
            .first()
            .and_then(|claim| claim.metadata.name.as_deref())
            .filter(|name| !name.is_empty());
        let medium = match mode {
            StorageMode::EmptyDir => Medium::EmptyDir,
            StorageMode::HostPath => match host_path {
                Some(path) if path.starts_with('/') && !path.split('/').any(|part| part == "..") => {
                    Medium::HostPath(path.to_owned())
                }
                _ => {
                    return Err(
                        "spec.hostPath must be an absolute path without .. when spec.storageMode is HostPath"
                            .to_owned(),
                    );
                }
            },
            StorageMode::StorageClass if templates.is_empty() => {
                return Err(
                    "spec.volumeClaimTemplates needs an entry when spec.storageMode is StorageClass"
                        .to_owned(),
                );
            }
            StorageMode::StorageClass => Medium::Claims(claims(templates, volume)),
        };
        Ok(Self {
            volume: named.unwrap_or(volume).to_owned(),
            medium,
            unnamed: named.is_none(),
        })
    }

    /// The same under another name of the data volume, where the spec names none: that of a claim which is there.
    #[must_use]
    pub fn called(&self, volume: Option<&str>) -> Self {
        let mut storage = self.clone();
        let Some(volume) = volume else { return storage };
        if let Medium::Claims(claims) = &mut storage.medium
            && let Some(first) = claims.first_mut()
            && self.unnamed
        {
            first.metadata.name = Some(volume.to_owned());
            volume.clone_into(&mut storage.volume);
        }
        storage
    }

    /// Whether each pod has claims of its own.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        matches!(self.medium, Medium::Claims(_))
    }

    /// The claim templates of a StatefulSet with this storage.
    #[must_use]
    pub fn claim_templates(&self) -> Option<Vec<PersistentVolumeClaim>> {
        match &self.medium {
            Medium::Claims(claims) => Some(claims.clone()),
            Medium::EmptyDir | Medium::HostPath(_) => None,
        }
    }

    /// The StorageClass that the first claim template names.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        match &self.medium {
            Medium::Claims(claims) => claims.first()?.spec.as_ref()?.storage_class_name.as_deref(),
            Medium::EmptyDir | Medium::HostPath(_) => None,
        }
    }

    /// The data volume as part of the pod, where it is not a claim.
    #[must_use]
    pub fn pod_volume(&self) -> Option<Volume> {
        let mut volume = Volume {
            name: self.volume.clone(),
            ..Volume::default()
        };
        match &self.medium {
            Medium::Claims(_) => return None,
            Medium::EmptyDir => volume.empty_dir = Some(EmptyDirVolumeSource::default()),
            Medium::HostPath(path) => {
                volume.host_path = Some(HostPathVolumeSource {
                    path: path.clone(),
                    type_: Some("DirectoryOrCreate".to_owned()),
                });
            }
        }
        Some(volume)
    }

    /// A mount of a folder of the data volume.
    #[must_use]
    pub fn mount(&self, path: &str, sub_path: impl Into<String>) -> VolumeMount {
        VolumeMount {
            name: self.volume.clone(),
            mount_path: path.to_owned(),
            sub_path: Some(sub_path.into()),
            ..VolumeMount::default()
        }
    }
}

/// Claim templates as a StatefulSet takes them: what users own of them, none of what the API server adds.
fn claims(templates: &[PersistentVolumeClaim], volume: &str) -> Vec<PersistentVolumeClaim> {
    let some = |map: &Option<BTreeMap<String, String>>| map.clone().filter(|map| !map.is_empty());
    templates
        .iter()
        .enumerate()
        .map(|(index, claim)| {
            let name = claim.metadata.name.clone().filter(|name| !name.is_empty());
            PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: name.or_else(|| (index == 0).then(|| volume.to_owned())),
                    labels: some(&claim.metadata.labels),
                    annotations: some(&claim.metadata.annotations),
                    ..ObjectMeta::default()
                },
                spec: claim.spec.clone(),
                status: None,
            }
        })
        .collect()
}
