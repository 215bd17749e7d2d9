//! What the API server refuses, as CEL rules of the definitions. Every message names the field and the remedy.
//!
//! The API server runs a rule again only when the value it stands on changes (Kubernetes 1.30 and later), so an
//! object that was stored under an older schema keeps its status and can be mended field by field. The whole
//! object changes with every write; rules on it look at `oldSelf` for that reason.

use kube::core::{Message, Rule};

pub(super) fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(Message::Message(message.to_owned()))
}

/// On the whole object, when it is created: it names Services too. A name cannot be mended, so what exists
/// stays as it is.
pub(super) fn names_a_service() -> Rule {
    rule(
        "oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be able to name a Service: choose a name of lower case letters, digits and '-' that \
         starts with a letter and ends with a letter or digit",
    )
    .optional_old_self(true)
}

/// On the whole Broker: the longest name of its `StatefulSets` has room for the hash that Kubernetes appends in
/// a label. What exists is refused only when it grows.
pub(super) fn broker_children_have_short_names() -> Rule {
    rule(
        "self.metadata.name.size() + string(self.spec.size - 1).size() + (self.spec.replicaPerGroup > 0 ? \
         10 + string(self.spec.replicaPerGroup).size() : 8) <= 52 || (oldSelf.hasValue() && \
         self.spec.size <= oldSelf.value().spec.size && \
         self.spec.replicaPerGroup <= oldSelf.value().spec.replicaPerGroup)",
        "metadata.name is too long: the StatefulSets <name>-<group>-master and <name>-<group>-replica-<replica> \
         may have 52 characters; choose a shorter name, or a smaller size or replicaPerGroup",
    )
    .optional_old_self(true)
}

/// On the whole `NameService`, when it is created.
pub(super) fn name_service_children_have_short_names() -> Rule {
    rule(
        "oldSelf.hasValue() || self.metadata.name.size() <= 52",
        "metadata.name is too long: the StatefulSet of that name may have 52 characters; choose a shorter name",
    )
    .optional_old_self(true)
}

/// On a spec.
pub(super) fn host_path_is_given() -> Rule {
    rule(
        "self.storageMode != 'HostPath' || (has(self.hostPath) && self.hostPath.startsWith('/') && \
         !self.hostPath.matches('(^|/)[.][.](/|$)'))",
        "spec.hostPath must be an absolute path without '..' with storageMode HostPath: give the directory of \
         the nodes that holds the data, such as /data/rocketmq",
    )
    .field_path(".hostPath")
}

/// On a spec.
pub(super) fn claim_templates_are_given() -> Rule {
    rule(
        "self.storageMode != 'StorageClass' || \
         (has(self.volumeClaimTemplates) && self.volumeClaimTemplates.size() > 0)",
        "spec.volumeClaimTemplates must not be empty with storageMode StorageClass: give a template, or choose \
         storageMode EmptyDir or HostPath",
    )
    .field_path(".volumeClaimTemplates")
}

/// On a spec.
pub(super) fn claim_templates_are_named() -> Rule {
    rule(
        "self.storageMode != 'StorageClass' || !has(self.volumeClaimTemplates) || \
         self.volumeClaimTemplates.all(t, has(t.metadata) && has(t.metadata.name) && t.metadata.name != '')",
        "spec.volumeClaimTemplates: each template needs a metadata.name with storageMode StorageClass; the \
         volume claims are named after it",
    )
    .field_path(".volumeClaimTemplates")
}

/// On a spec.
pub(super) fn claim_templates_have_names_of_their_own() -> Rule {
    rule(
        "self.storageMode != 'StorageClass' || !has(self.volumeClaimTemplates) || \
         self.volumeClaimTemplates.all(t, !has(t.metadata) || !has(t.metadata.name) || \
         self.volumeClaimTemplates.exists_one(u, has(u.metadata) && has(u.metadata.name) && \
         u.metadata.name == t.metadata.name))",
        "spec.volumeClaimTemplates: two templates have the same metadata.name; give each its own",
    )
    .field_path(".volumeClaimTemplates")
}

/// On a Broker's spec.
pub(super) fn one_source_of_name_servers() -> Rule {
    rule(
        "!(has(self.nameServers) && self.nameServers != '' && has(self.nameService) && self.nameService != '')",
        "spec.nameServers and spec.nameService exclude each other: give the addresses, or the name of a \
         NameService in this namespace, or neither when there is only one",
    )
    .field_path(".nameServers")
}

/// What a list of name servers looks like, or nothing.
pub(super) const ADDRESSES: &str = r"self.matches('^(([^\\s:;,/]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5}(;([^\\s:;,/]+|\\[[0-9a-fA-F:.]+\\]):[0-9]{1,5})*;?)?$')";

/// On `nameServers`.
pub(super) fn name_servers_are_addresses() -> Rule {
    rule(
        ADDRESSES,
        "spec.nameServers must be host:port;host:port, such as 192.168.0.1:9876;192.168.0.2:9876, or empty for \
         those of the NameService",
    )
}

/// On a Broker's spec.
pub(super) fn one_source_of_the_broker_role() -> Rule {
    rule(
        "!(has(self.replicationMode) && self.replicationMode != '' && has(self.config) && \
         'brokerRole' in self.config)",
        "spec.config.brokerRole and spec.replicationMode exclude each other: give replicationMode alone",
    )
    .field_path(".config")
}

/// On a `NameService`'s spec.
pub(super) fn dns_policy_is_complete() -> Rule {
    rule(
        "!has(self.dnsPolicy) || self.dnsPolicy != 'None'",
        "spec.dnsPolicy None needs a DNS configuration, for which there is no field: choose ClusterFirst, \
         ClusterFirstWithHostNet or Default",
    )
    .field_path(".dnsPolicy")
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::api::ObjectMeta;
    use kube::core::cel::Validator;
    use kube::{Resource, ResourceExt};
    use serde::Serialize;
    use serde_json::Value;

    use crate::api::{
        Broker, BrokerSpec, DnsPolicy, NameService, NameServiceSpec, ReplicationMode, StorageMode, crds,
    };

    /// The schema of each kind, as this evaluator wants it.
    static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
        let schema = |definition: CustomResourceDefinition| {
            let version = serde_json::to_value(&definition.spec.versions[0]).unwrap();
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            plain_old_self(&mut schema);
            (definition.spec.names.kind, schema)
        };
        crds().into_iter().map(schema).collect()
    });

    /// The API server gives a rule with `optionalOldSelf` an optional; this evaluator gives it null or the object.
    fn plain_old_self(schema: &mut Value) {
        for rule in schema["x-kubernetes-validations"].as_array_mut().unwrap() {
            assert_eq!(
                rule["optionalOldSelf"], true,
                "a rule on the whole object must spare what exists"
            );
            let rule = &mut rule["rule"];
            let plain = rule
                .as_str()
                .unwrap()
                .replace("oldSelf.hasValue()", "(oldSelf != null)");
            *rule = plain.replace("oldSelf.value()", "oldSelf").into();
        }
    }

    /// What the rules of the definition say of an object that is created, or that replaces `old`.
    pub(in crate::api) fn verdict<T: Resource<DynamicType = ()> + Serialize>(
        object: &T,
        old: Option<&T>,
    ) -> Result<(), String> {
        let schema = &SCHEMAS[T::kind(&()).as_ref()];
        let json = |object| serde_json::to_value(object).unwrap();
        Validator::new()
            .validate(schema, &json(object), old.map(json).as_ref())
            .map_err(|errors| {
                let lines = errors
                    .iter()
                    .map(|error| format!("{}: {}", error.field_path, error.message));
                lines.collect::<Vec<_>>().join("\n")
            })
    }

    fn broker(name: &str, change: impl FnOnce(&mut BrokerSpec)) -> Broker {
        let mut spec = BrokerSpec {
            size: 1,
            broker_image: "image".to_owned(),
            ..BrokerSpec::default()
        };
        change(&mut spec);
        Broker::new(name, spec)
    }

    fn name_service(name: &str, change: impl FnOnce(&mut NameServiceSpec)) -> NameService {
        let mut spec = NameServiceSpec {
            size: 1,
            name_service_image: "image".to_owned(),
            ..NameServiceSpec::default()
        };
        change(&mut spec);
        NameService::new(name, spec)
    }

    fn claims(names: &[&str]) -> Vec<PersistentVolumeClaim> {
        let claim = |name: &&str| PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some((*name).to_owned()),
                ..ObjectMeta::default()
            },
            ..PersistentVolumeClaim::default()
        };
        names.iter().map(claim).collect()
    }

    #[track_caller]
    pub(in crate::api) fn accepted<T: Resource<DynamicType = ()> + Serialize>(object: &T) {
        assert_eq!(verdict(object, None), Ok(()));
    }

    #[track_caller]
    pub(in crate::api) fn refused<T: Resource<DynamicType = ()> + Serialize>(object: &T, because: &str) {
        let why = verdict(object, None).expect_err("was accepted");
        assert!(
            why.contains(because) && why.lines().count() == 1,
            "not only {because:?} but:\n{why}"
        );
    }

    #[test]
    fn a_name_must_be_able_to_name_a_service() {
        for good in ["broker", "b", "orders-2"] {
            accepted(&broker(good, |_| ()));
            accepted(&name_service(good, |_| ()));
        }
        for bad in ["0-broker", "orders.eu", "b-."] {
            refused(
                &broker(bad, |_| ()),
                "metadata.name must be able to name a Service",
            );
            refused(
                &name_service(bad, |_| ()),
                "metadata.name must be able to name a Service",
            );
        }
    }

    #[test]
    fn an_existing_object_whose_name_cannot_name_a_service_can_still_be_changed() {
        let old = broker("orders.eu", |_| ());
        let new = broker("orders.eu", |spec| spec.size = 2);
        assert_eq!(verdict(&new, Some(&old)), Ok(()));
        let old = name_service(&"n".repeat(60), |_| ());
        let new = name_service(&old.name_any(), |spec| spec.size = 2);
        assert_eq!(verdict(&new, Some(&old)), Ok(()));
    }

    #[test]
    fn the_names_of_the_stateful_sets_of_a_broker_have_at_most_52_characters() {
        let sized = |letters: usize, size, replicas| {
            broker(&"b".repeat(letters), |spec| {
                (spec.size, spec.replica_per_group) = (size, replicas);
            })
        };
        for (size, replicas, longest) in [
            (1, 0, "-0-master"),
            (10, 2, "-9-replica-2"),
            (11, 10, "-10-replica-10"),
        ] {
            accepted(&sized(52 - longest.len(), size, replicas));
            refused(
                &sized(53 - longest.len(), size, replicas),
                "metadata.name is too long",
            );
        }
    }

    #[test]
    fn an_existing_broker_with_too_long_a_name_may_shrink_but_not_grow() {
        let sized = |size| broker(&"b".repeat(50), |spec| spec.size = size);
        assert_eq!(verdict(&sized(2), Some(&sized(2))), Ok(()));
        assert_eq!(verdict(&sized(1), Some(&sized(2))), Ok(()));
        let why = verdict(&sized(3), Some(&sized(2))).unwrap_err();
        assert!(why.contains("metadata.name is too long"), "{why}");
    }

    #[test]
    fn the_name_of_a_name_service_has_at_most_52_characters() {
        accepted(&name_service(&"n".repeat(52), |_| ()));
        refused(
            &name_service(&"n".repeat(53), |_| ()),
            "metadata.name is too long",
        );
    }

    #[test]
    fn host_path_needs_an_absolute_path() {
        let at = |mode, path: Option<&str>| {
            let path = path.map(str::to_owned);
            let broker = broker("b", |spec| {
                (spec.storage_mode, spec.host_path) = (mode, path.clone());
            });
            let name_service = name_service("n", |spec| (spec.storage_mode, spec.host_path) = (mode, path));
            (broker, name_service)
        };
        for (mode, path) in [
            (StorageMode::HostPath, Some("/data/rocketmq")),
            (StorageMode::HostPath, Some("/data/..rocketmq")),
            (StorageMode::EmptyDir, None),
            (StorageMode::EmptyDir, Some("unused")),
        ] {
            let good = at(mode, path);
            accepted(&good.0);
            accepted(&good.1);
        }
        for path in [None, Some("data"), Some("/data/../etc"), Some("/data/..")] {
            let bad = at(StorageMode::HostPath, path);
            refused(&bad.0, "spec.hostPath: spec.hostPath must be an absolute path");
            refused(&bad.1, "spec.hostPath: spec.hostPath must be an absolute path");
        }
    }

    #[test]
    fn storage_class_needs_a_claim_template() {
        let with = |templates: Option<Vec<PersistentVolumeClaim>>| {
            let broker = broker("b", |spec| {
                spec.storage_mode = StorageMode::StorageClass;
                spec.volume_claim_templates = templates.clone();
            });
            let name_service = name_service("n", |spec| {
                spec.storage_mode = StorageMode::StorageClass;
                spec.volume_claim_templates = templates;
            });
            (broker, name_service)
        };
        let good = with(Some(claims(&["data", "more"])));
        accepted(&good.0);
        accepted(&good.1);
        for templates in [None, Some(Vec::new())] {
            let bad = with(templates);
            refused(&bad.0, "spec.volumeClaimTemplates must not be empty");
            refused(&bad.1, "spec.volumeClaimTemplates must not be empty");
        }
        for templates in [
            Some(vec![PersistentVolumeClaim::default()]),
            Some(claims(&["data", ""])),
        ] {
            let bad = with(templates);
            refused(&bad.0, "each template needs a metadata.name");
            refused(&bad.1, "each template needs a metadata.name");
        }
        let twice = with(Some(claims(&["data", "data"])));
        refused(&twice.0, "two templates have the same metadata.name");
        refused(&twice.1, "two templates have the same metadata.name");
    }

    #[test]
    fn other_storage_modes_take_any_claim_templates() {
        for templates in [
            None,
            Some(Vec::new()),
            Some(claims(&["data", "data"])),
            Some(claims(&[""])),
        ] {
            accepted(&broker("b", |spec| spec.volume_claim_templates = templates));
        }
    }

    #[test]
    fn name_servers_are_given_once() {
        let given = |addresses: Option<&str>, name: Option<&str>| {
            broker("b", |spec| {
                spec.name_servers = addresses.map(str::to_owned);
                spec.name_service = name.map(str::to_owned);
            })
        };
        for (addresses, name) in [
            (None, None),
            (Some("10.0.0.1:9876"), None),
            (None, Some("names")),
            (Some(""), Some("names")),
            (Some("10.0.0.1:9876"), Some("")),
        ] {
            accepted(&given(addresses, name));
        }
        refused(
            &given(Some("10.0.0.1:9876"), Some("names")),
            "spec.nameServers and spec.nameService exclude",
        );
    }

    #[test]
    fn name_servers_are_host_and_port_joined_by_semicolons() {
        let given = |addresses: &str| broker("b", |spec| spec.name_servers = Some(addresses.to_owned()));
        for good in [
            "",
            "10.0.0.1:9876",
            "10.0.0.1:9876;names-1.names-headless.eu.svc:9876;",
            "[2001:db8::1]:9876;n:1",
        ] {
            accepted(&given(good));
        }
        for bad in [
            "10.0.0.1",
            "a:9876,b:9876",
            "a:9876; b:9876",
            "http://a:9876",
            ":9876",
            "a:port",
            "2001:db8::1:9876",
        ] {
            refused(
                &given(bad),
                "spec.nameServers: spec.nameServers must be host:port;host:port",
            );
        }
    }

    #[test]
    fn the_broker_role_is_given_once() {
        let given = |mode, key: &str| {
            broker("b", |spec| {
                spec.replication_mode = mode;
                spec.config = Some(BTreeMap::from([(key.to_owned(), "SYNC_MASTER".to_owned())]));
            })
        };
        accepted(&given(None, "brokerRole"));
        accepted(&given(Some(ReplicationMode::Sync), "flushDiskType"));
        refused(
            &given(Some(ReplicationMode::Sync), "brokerRole"),
            "spec.config.brokerRole and spec.replicationMode exclude each other",
        );
    }

    #[test]
    fn a_dns_policy_without_any_dns_is_refused() {
        accepted(&name_service("n", |spec| {
            spec.dns_policy = Some(DnsPolicy::ClusterFirstWithHostNet);
        }));
        refused(
            &name_service("n", |spec| spec.dns_policy = Some(DnsPolicy::None)),
            "spec.dnsPolicy None needs a DNS configuration",
        );
    }
}
