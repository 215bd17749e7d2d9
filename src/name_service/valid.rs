//! A `NameService` as the reconciler takes it: checked once at the door.

use kube::ResourceExt;

use crate::api::{NameService, NameServiceSpec};
use crate::broker::valid::{Rejected, check_service_name, unreadable};
use crate::error::Error;
use crate::k8s::Target;
use crate::k8s::labels::{RESTARTED_AT, Switches};
use crate::workload::storage::Storage;

/// The volume that data is on where the spec has no claim template to name it.
const DATA_VOLUME: &str = "namesrv-storage";
/// A StatefulSet's name is cut off by the revision label of its pods beyond this.
const NAME_LIMIT: usize = 52;

/// A `NameService` that can be acted on.
#[derive(Clone, Debug)]
pub struct Valid {
    /// Its name, also its StatefulSet's and its Service's.
    pub name: String,
    /// Where its children go.
    pub target: Target,
    /// Its spec, for the fields that are passed through.
    pub spec: NameServiceSpec,
    /// How many name servers the spec asks for.
    pub asked: i32,
    /// How many were published when the status was last written: then a change of `asked` is a scaling.
    pub published: Option<i32>,
    /// Pod addresses of the name servers that served when the status was last written.
    pub served: Vec<String>,
    /// The user's latest wish for a restart, if there was one.
    pub restarted_at: Option<String>,
    /// Where its data lives.
    pub storage: Storage,
    /// What the user switched by annotation.
    pub switches: Switches,
}

impl Valid {
    /// Checks a `NameService`. The outer error is an object that was never stored; the inner one is for its user.
    pub fn check(service: &NameService) -> Result<Result<Self, Rejected>, Error> {
        let target = Target::of(service)?;
        Ok(Self::of_spec(service, target))
    }

    fn of_spec(service: &NameService, target: Target) -> Result<Self, Rejected> {
        let (name, spec) = (service.name_any(), &service.spec);
        unreadable(&spec.unreadable)?;
        if spec.size < 1 {
            return Err(Rejected::invalid(format!(
                "spec.size is {}; a cluster has at least 1 name server",
                spec.size
            )));
        }
        if name.len() > NAME_LIMIT {
            return Err(Rejected::invalid(format!(
                "metadata.name has {} characters of at most {NAME_LIMIT}; make a NameService with a shorter name",
                name.len()
            )));
        }
        check_service_name(&name)?;
        let templates = spec.volume_claim_templates.as_deref().unwrap_or_default();
        let storage = Storage::new(
            &spec.storage_mode,
            spec.host_path.as_deref(),
            templates,
            DATA_VOLUME,
        )
        .map_err(Rejected::invalid)?;
        let status = service.status.as_ref();
        Ok(Self {
            asked: spec.size,
            published: status.map(|status| status.size).filter(|size| *size > 0),
            served: status
                .map(|status| status.name_servers.clone())
                .unwrap_or_default(),
            restarted_at: service.annotations().get(RESTARTED_AT).cloned(),
            switches: Switches::of(service.annotations()),
            spec: spec.clone(),
            name,
            target,
            storage,
        })
    }

    /// The name of the pod with that ordinal.
    #[must_use]
    pub fn pod_name(&self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.name)
    }
}
