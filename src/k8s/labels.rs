//! Labels, annotations and selectors, in one place because selectors of a StatefulSet can never change.

use std::collections::BTreeMap;

/// Labels as Kubernetes holds them.
pub type Labels = BTreeMap<String, String>;

/// Who manages an object; our watches select by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on everything we make.
pub const MANAGER: &str = "rocketmq-operator";
/// The broker group that a pod, a set or a Service belongs to, a number.
pub const GROUP: &str = "rocketmq.apache.org/group";
/// `master` or `replica`.
pub const ROLE: &str = "rocketmq.apache.org/role";
/// The Go operator's label that tells brokers from name servers.
pub const APP: &str = "app";
/// The Go operator's label that names the `Broker` of a pod.
pub const BROKER_CR: &str = "broker_cr";
/// The Go operator's label that names the `NameService` of a pod.
pub const NAME_SERVICE_CR: &str = "name_service_cr";
/// Set by the StatefulSet controller on each of its pods.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Set by the StatefulSet controller: the revision of the template that a pod was made from.
pub const REVISION: &str = "controller-revision-hash";
/// Label on a name server's pod, [`YES`] if it knew every broker that the others knew when the operator last set it: it does so
/// while some come, go or restart.
pub const INFORMED: &str = "rocketmq.apache.org/informed";
/// The value of [`INFORMED`].
pub const YES: &str = "true";

/// Annotation on a StatefulSet: the hash of what the operator last wanted it to be.
pub const INTENT: &str = "rocketmq.apache.org/intent";
/// Annotation on everything we make: the hash of the whole of it as it was last written.
pub const APPLIED: &str = "rocketmq.apache.org/applied";
/// Annotation on a StatefulSet: the hash of the claim templates it was made with, which can never change.
pub const CLAIMS: &str = "rocketmq.apache.org/claims";
/// Annotation on a StatefulSet of a cluster that the Go operator made: [`AS_FOUND`] until its pods are made from our template,
/// [`RENEWED`] since. Its brokers go on being dialled at their pods' addresses.
pub const TAKEN_OVER: &str = "rocketmq.apache.org/taken-over";
/// The value of [`TAKEN_OVER`] as long as the Go operator's template is untouched.
pub const AS_FOUND: &str = "as-found";
/// The value of [`TAKEN_OVER`] from then on, and that of the ConfigMap of name servers.
pub const RENEWED: &str = "renewed";
/// Annotation on a pod template: the hash of the configuration its pods start with, so that a change of it is a
/// change of the template.
pub const CONFIG_HASH: &str = "rocketmq.apache.org/config-hash";
/// Annotation on a broker's StatefulSet: the hash of what its configuration says but for what running brokers take; as
/// long as it stays the same [`CONFIG_HASH`] does too.
pub const RESTART_HASH: &str = "rocketmq.apache.org/restart-config-hash";
/// Annotation on a broker's StatefulSet: the keys that its user set and running brokers take, `a,b`.
pub const LIVE_KEYS: &str = "rocketmq.apache.org/live-keys";
/// Annotation on a StatefulSet: what its pods use of ConfigMaps and Secrets, a hash for each.
pub const CONTENT: &str = "rocketmq.apache.org/content";
/// Annotation on a StatefulSet and its pod template, once what its pods use changed: the hash of [`CONTENT`] then.
pub const CONTENT_HASH: &str = "rocketmq.apache.org/content-hash";
/// Annotation on the ConfigMap that holds `NAMESRV_ADDR`: the hash of what running brokers are to take.
pub const LIVE_HASH: &str = "rocketmq.apache.org/live-hash";
/// Annotation on the ConfigMap that holds `NAMESRV_ADDR`: the same list, readable from metadata alone.
pub const NAME_SERVERS: &str = "rocketmq.apache.org/name-servers";
/// Annotation on a broker's StatefulSet: the address of its Service that the broker advertises, so that a Service that
/// was deleted comes back with it.
pub const ADVERTISED: &str = "rocketmq.apache.org/advertised-address";
/// Annotation on the StatefulSet of a new group's master: [`OPENING`] until the group may be written to.
pub const STAGE: &str = "rocketmq.apache.org/stage";
/// The value of [`STAGE`] while topics and subscription groups are copied to a new group.
pub const OPENING: &str = "opening";
/// Annotation on the ConfigMap of a master's topics and groups: the UID of the pod that had them.
pub const STORE_OF: &str = "rocketmq.apache.org/store-of";
/// Annotation on that ConfigMap: the hash of what it holds.
pub const TABLES_HASH: &str = "rocketmq.apache.org/tables-hash";
/// Annotation of users on a custom resource: `"true"` stops every write but that of the status.
pub const PAUSED: &str = "rocketmq.apache.org/paused";
/// Annotation of users on a `Broker`: the pod that may be restarted though what is not consumed is lost with it.
pub const ACCEPT_LOSS: &str = "rocketmq.apache.org/accept-loss";
/// Annotation of users on a custom resource: `keep` runs the image's own command instead of the operator's.
pub const IMAGE_COMMAND: &str = "rocketmq.apache.org/image-command";

/// Annotation of users on a custom resource: any new value restarts its pods, one at a time and as carefully as for a
/// change of the spec. We keep it on the StatefulSet and on its pod template.
pub const RESTARTED_AT: &str = "rocketmq.apache.org/restartedAt";

/// What a user switched on a custom resource by annotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// [`PAUSED`]: nothing is written but the status.
    pub paused: bool,
    /// [`IMAGE_COMMAND`]: the image's own command is kept.
    pub image_command: bool,
}

impl Switches {
    /// The switches of an object with these annotations.
    #[must_use]
    pub fn of(annotations: &BTreeMap<String, String>) -> Self {
        let is = |key: &str, value: &str| annotations.get(key).is_some_and(|found| found == value);
        Self {
            paused: is(PAUSED, "true"),
            image_command: is(IMAGE_COMMAND, "keep"),
        }
    }
}

/// What an object is part of, for the recommended `app.kubernetes.io` labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// A `Broker`'s object.
    Broker,
    /// A `NameService`'s object.
    NameServer,
}

impl Component {
    /// The label value, also the name of the main container's role in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::NameServer => "name-server",
        }
    }
}

/// The labels that everything we make for the custom resource `instance` carries.
#[must_use]
pub fn recommended(component: Component, instance: &str) -> Labels {
    [
        (MANAGED_BY, MANAGER),
        ("app.kubernetes.io/name", "rocketmq"),
        ("app.kubernetes.io/component", component.as_str()),
        ("app.kubernetes.io/instance", instance),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The selector of every StatefulSet of the `Broker` of that name: the Go operator's, and immutable.
#[must_use]
pub fn broker_selector(broker: &str) -> Labels {
    [(APP, "broker"), (BROKER_CR, broker)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The selector of the StatefulSet of the `NameService` of that name: the Go operator's, and immutable.
#[must_use]
pub fn name_service_selector(name_service: &str) -> Labels {
    [(APP, "name_service"), (NAME_SERVICE_CR, name_service)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Whether `labels` hold every pair of `wanted`.
#[must_use]
pub fn contain(labels: Option<&Labels>, wanted: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// `a=b,c=d`, as `status.selector` of the scale subresource and API requests want it.
#[must_use]
pub fn selector_text(labels: &Labels) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
