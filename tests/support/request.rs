//! A request to the API server, in the words of people.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use http::request::Parts;

/// What is asked of which object.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub resource: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
    /// Empty, or `status`.
    pub subresource: String,
    pub query: BTreeMap<String, String>,
    /// Whether only metadata is wanted in the answer.
    pub metadata_only: bool,
}

impl Request {
    pub fn parse(parts: &Parts) -> Self {
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let query: BTreeMap<String, String> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), decode(value)))
            .collect();
        let mut path = parts
            .uri
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .peekable();
        let mut next = || path.next().unwrap_or_default().to_owned();
        let group = if next() == "api" { String::new() } else { next() };
        let version = next();
        let mut resource = next();
        let mut namespace = String::new();
        if resource == "namespaces" {
            namespace = next();
            resource = next();
        }
        let (name, subresource) = (next(), next());
        let watch = query.get("watch").is_some_and(|watch| watch == "true");
        let verb = match parts.method {
            Method::GET if watch => "watch",
            Method::GET if name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH if header("content-type").contains("apply-patch") => "apply",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => panic!("no such verb: {}", parts.method),
        };
        let metadata_only = header("accept").contains("PartialObjectMetadata");
        Self {
            verb,
            group,
            version,
            resource,
            namespace,
            name,
            subresource,
            query,
            metadata_only,
        }
    }

    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn is_discovery(&self) -> bool {
        self.resource.is_empty()
    }

    /// Whether it changes the cluster. Events are not counted: they are told, not acted on.
    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "apply" | "patch" | "delete")
            && self.resource != "events"
            && !self.is_dry_run()
    }

    /// Whether it only asks what would come of it.
    pub fn is_dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    pub fn kind(&self) -> String {
        kind(&self.resource)
    }

    /// The resource and the verb as RBAC rules name them.
    pub fn right(&self) -> Right {
        let resource = match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        };
        let verb = if self.verb == "apply" { "patch" } else { self.verb };
        Right {
            group: self.group.clone(),
            resource,
            verb: verb.to_owned(),
        }
    }
}

/// `apply StatefulSet mq/orders-0-master`, `patch Broker/status mq/orders`, `list Pod mq`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_discovery() {
            return write!(f, "discover {}/{}", self.group, self.version);
        }
        write!(f, "{} {}", self.verb, self.kind())?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => Ok(()),
            (namespace, "") => write!(f, " {namespace}"),
            ("", name) => write!(f, " {name}"),
            (namespace, name) => write!(f, " {namespace}/{name}"),
        }
    }
}

/// One verb on one resource, as RBAC grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub group: String,
    /// With its subresource: `brokers/status`.
    pub resource: String,
    pub verb: String,
}

/// The kind of a resource: `statefulsets` are of kind `StatefulSet`.
pub fn kind(resource: &str) -> String {
    match resource {
        "statefulsets" => "StatefulSet",
        "services" => "Service",
        "configmaps" => "ConfigMap",
        "pods" => "Pod",
        "poddisruptionbudgets" => "PodDisruptionBudget",
        "persistentvolumeclaims" => "PersistentVolumeClaim",
        "leases" => "Lease",
        "events" => "Event",
        "secrets" => "Secret",
        "brokers" => "Broker",
        "nameservices" => "NameService",
        "topictransfers" => "TopicTransfer",
        other => return other.to_owned(),
    }
    .to_owned()
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
