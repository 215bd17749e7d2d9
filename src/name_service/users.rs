//! Which Brokers run with the name servers of a `NameService`, and which of them they have left: pure.

use std::sync::Arc;

use kube::ResourceExt;

use crate::api::Broker;

/// A Broker that runs, or is to run, with these name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The Broker's name.
    pub name: String,
    /// Whether its spec means this `NameService`.
    pub means_it: bool,
    /// The name servers that all its brokers were last seen to run with, if it told.
    pub runs_with: Option<Vec<String>>,
    /// Whether its user has stopped all writes, so that it will not change.
    pub paused: bool,
}

/// The Brokers of the namespace that matter to the `NameService` of that name, which is one of so many there. A Broker that
/// is being deleted, or was never accepted and so has no pods, does not.
#[must_use]
pub fn of(name_service: &str, name_services: usize, brokers: &[Arc<Broker>]) -> Vec<User> {
    let mut users: Vec<User> = brokers
        .iter()
        .filter(|broker| broker.metadata.deletion_timestamp.is_none())
        .filter_map(|broker| {
            let status = broker.status.as_ref().filter(|status| status.size > 0)?;
            Some(User {
                name: broker.name_any(),
                means_it: means(broker, name_service, name_services),
                runs_with: status.name_servers.as_deref().map(addresses),
                paused: crate::k8s::labels::Switches::of(broker.annotations()).paused,
            })
        })
        .collect();
    users.sort_by(|one, other| one.name.cmp(&other.name));
    users
}

fn means(broker: &Broker, name_service: &str, name_services: usize) -> bool {
    let spec = &broker.spec;
    let listed = spec
        .name_servers
        .as_ref()
        .is_some_and(|list| !list.trim().is_empty());
    let named = spec.name_service.as_deref().filter(|name| !name.is_empty());
    !listed && named.map_or(name_services == 1, |named| named == name_service)
}

fn addresses(list: &str) -> Vec<String> {
    let each = list.split(';').map(str::trim);
    each.filter(|address| !address.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

impl User {
    /// Why the name servers at these addresses cannot stop yet, in words that follow the Broker's name. A Broker that is seen
    /// with one of them holds it up whatever its spec says by now; one that means this `NameService` and has not told what
    /// it runs with may run with any.
    #[must_use]
    pub fn holds_up(&self, leaving: &[String]) -> Option<String> {
        let why = match &self.runs_with {
            Some(list) if list.iter().any(|address| leaving.contains(address)) => "still runs with some",
            None if self.means_it => "has not told which ones it runs with",
            _ => return None,
        };
        let paused = if self.paused { " and is paused" } else { "" };
        Some(format!("{why}{paused}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn broker(name: &str, spec: &Value, status: &Value) -> Arc<Broker> {
        Arc::new(
            serde_json::from_value(
                json!({"metadata": {"name": name, "namespace": "mq"}, "spec": spec, "status": status}),
            )
            .unwrap(),
        )
    }

    fn meaning(spec: &Value, name_services: usize) -> bool {
        let users = of("names", name_services, &[broker("b", spec, &json!({"size": 1}))]);
        users[0].means_it
    }

    #[test]
    fn a_broker_means_the_name_service_that_it_names_or_the_only_one_or_none_if_it_lists_addresses() {
        assert!(meaning(&json!({"nameService": "names"}), 2));
        assert!(meaning(&json!({}), 1));
        assert!(!meaning(&json!({}), 2));
        assert!(!meaning(&json!({"nameService": "others"}), 1));
        assert!(!meaning(&json!({"nameServers": "198.18.0.1:9876"}), 1));
    }

    #[test]
    fn a_broker_that_never_had_pods_or_is_being_deleted_does_not_count() {
        let mut deleted = Broker::clone(&broker("a", &json!({}), &json!({"size": 1})));
        deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let never = broker("b", &json!({}), &json!({"size": 0}));
        assert_eq!(of("names", 1, &[Arc::new(deleted), never]), []);
    }

    #[test]
    fn a_name_server_is_held_up_by_who_runs_with_it_and_by_who_has_not_told() {
        let leaving = ["names-1:9876".to_owned()];
        let user = |spec: Value, list: Value| {
            let status = json!({"size": 1, "nameServers": list});
            of("names", 1, &[broker("b", &spec, &status)]).remove(0)
        };
        let both = "names-0:9876; names-1:9876";
        assert_eq!(
            user(json!({}), json!(both)).holds_up(&leaving).unwrap(),
            "still runs with some"
        );
        assert!(user(json!({}), json!(null)).holds_up(&leaving).is_some());
        assert!(
            user(json!({}), json!("names-0:9876"))
                .holds_up(&leaving)
                .is_none()
        );
        let elsewhere = json!({"nameServers": "198.18.0.1:9876"});
        assert!(user(elsewhere.clone(), json!(null)).holds_up(&leaving).is_none());
        assert!(
            user(elsewhere, json!(both)).holds_up(&leaving).is_some(),
            "its brokers have not followed its spec yet"
        );
    }
}
