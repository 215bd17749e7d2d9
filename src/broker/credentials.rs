//! Who the operator is to brokers with access control: an account from a Secret of the user.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::valid::{Rejected, Valid};
use crate::admin::Credentials;
use crate::context::Context;
use crate::error::Error;

/// The account that `spec.adminCredentialsSecret` holds, or none if it names no Secret. The inner error is for the user.
/// Read each time: the operator keeps no copy of a Secret.
pub async fn read(valid: &Valid, ctx: &Context) -> Result<Result<Option<Credentials>, Rejected>, Error> {
    let name = valid.spec.admin_credentials_secret.as_deref();
    read_named(name, "spec.adminCredentialsSecret", &valid.target.namespace, ctx).await
}

/// As [`read`], of the Secret that a field of some spec names.
pub async fn read_named(
    name: Option<&str>,
    field: &str,
    namespace: &str,
    ctx: &Context,
) -> Result<Result<Option<Credentials>, Rejected>, Error> {
    let Some(name) = name else {
        return Ok(Ok(None));
    };
    let api = Api::<Secret>::namespaced(ctx.client.clone(), namespace);
    let found = match api.get_opt(name).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Ok(Err(refused(format!(
                "{field}: the operator may not read Secret {name:?}; grant it with \
                 deploy/secret_reader.yaml in this namespace"
            ))));
        }
        read => read.map_err(Error::kube(format!("read Secret {namespace}/{name}")))?,
    };
    let Some(secret) = found else {
        return Ok(Err(refused(format!(
            "{field}: there is no Secret {name:?} in namespace {namespace}; create it, or name another"
        ))));
    };
    let data = secret.data.unwrap_or_default();
    let value = |key: &str| {
        data.get(key)
            .and_then(|value| String::from_utf8(value.0.clone()).ok())
    };
    Ok(match (value("accessKey"), value("secretKey")) {
        (Some(access), Some(secret)) => Ok(Some(Credentials::new(access.trim(), secret.trim()))),
        _ => Err(refused(format!(
            "{field}: Secret {name:?} needs the keys accessKey and secretKey"
        ))),
    })
}

fn refused(message: String) -> Rejected {
    Rejected {
        reason: "CredentialsNotFound",
        message,
    }
}
