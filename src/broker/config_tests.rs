use super::super::live::{self, Gate};
use super::*;
use crate::api::{Broker, BrokerSpec};
use serde_json::json;

fn broker(spec: &serde_json::Value) -> Valid {
    let mut whole = json!({"size": 1, "replicaPerGroup": 1, "brokerImage": "apache/rocketmq:5.5.0", "storageMode": "EmptyDir"});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let mut broker = Broker::new("orders", serde_json::from_value::<BrokerSpec>(whole).unwrap());
    broker.metadata.namespace = Some("shop".to_owned());
    broker.metadata.uid = Some("uid".to_owned());
    Valid::check(&broker).unwrap().unwrap()
}

const MASTER: Member = Member { group: 0, replica: 0 };
const REPLICA: Member = Member { group: 0, replica: 1 };

/// What RocketMQ reads after all parts were joined as `start.sh` joins them.
fn read_in_pod(valid: &Valid, common: Option<&str>, member: Member) -> BTreeMap<String, String> {
    let spec = valid.spec.config.clone().unwrap_or_default();
    let user = UserConfig::read(common.map(ToOwned::to_owned), &spec).unwrap();
    let live = live::wanted(valid, &user, Gate::Open, &[]);
    let live = properties::write(live.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let joined: Vec<String> = parts(valid, &user, member).into_values().chain([live]).collect();
    properties::parse(&joined.join("\n\n"))
}

#[test]
fn later_parts_win_from_defaults_to_identity() {
    let valid = broker(&json!({"config": {"fileReservedTime": "72"}}));
    let common = "fileReservedTime=24\ndeleteWhen=05\nbrokerName=mine\nbrokerRole=SYNC_MASTER\n";
    let read = read_in_pod(&valid, Some(common), MASTER);
    assert_eq!(read["fileReservedTime"], "72");
    assert_eq!(read["deleteWhen"], "05");
    assert_eq!(read["brokerName"], "orders-0");
    assert_eq!(read["brokerClusterName"], "orders");
    assert_eq!(read["brokerRole"], "SYNC_MASTER");
}

#[test]
fn a_replica_is_a_slave_whatever_the_user_wrote() {
    for common in [
        None,
        Some("brokerRole=ASYNC_MASTER"),
        Some("brokerRole = SYNC_MASTER\nbrokerId=0"),
    ] {
        let read = read_in_pod(&broker(&json!({})), common, REPLICA);
        assert_eq!(
            (read["brokerRole"].as_str(), read["brokerId"].as_str()),
            ("SLAVE", "1"),
            "{common:?}"
        );
    }
}

#[test]
fn a_master_is_never_made_a_slave_and_the_replication_mode_wins() {
    assert_eq!(
        read_in_pod(&broker(&json!({})), Some("brokerRole=SLAVE"), MASTER)["brokerRole"],
        "ASYNC_MASTER"
    );
    let sync = broker(&json!({"replicationMode": "SYNC"}));
    let read = read_in_pod(&sync, Some("brokerRole=ASYNC_MASTER"), MASTER);
    assert_eq!(read["brokerRole"], "SYNC_MASTER");
    assert_eq!(read["inSyncReplicas"], "2");
    let user = UserConfig::read(Some("brokerRole=ASYNC_MASTER".to_owned()), &BTreeMap::new()).unwrap();
    assert_eq!(overridden(&sync, &user), ["brokerRole"]);
}

#[test]
fn sync_without_a_replica_asks_for_none_and_the_users_own_number_wins() {
    let alone = broker(&json!({"replicationMode": "SYNC", "replicaPerGroup": 0}));
    assert_eq!(read_in_pod(&alone, None, MASTER)["inSyncReplicas"], "1");
    let sync = broker(&json!({"replicationMode": "SYNC"}));
    assert_eq!(
        read_in_pod(&sync, Some("inSyncReplicas=3"), MASTER)["inSyncReplicas"],
        "3"
    );
    let asynchronous = broker(&json!({"replicationMode": "ASYNC"}));
    assert!(!read_in_pod(&asynchronous, None, MASTER).contains_key("inSyncReplicas"));
}

#[test]
fn a_fenced_group_is_read_only_whatever_the_user_wrote_and_an_open_one_is_as_the_user_wrote() {
    let valid = broker(&json!({"config": {"brokerPermission": "2"}}));
    let user = UserConfig::read(None, valid.spec.config.as_ref().unwrap()).unwrap();
    assert_eq!(
        live::wanted(&valid, &user, Gate::Fenced, &[])["brokerPermission"],
        "4"
    );
    assert_eq!(
        live::wanted(&valid, &user, Gate::Open, &[])["brokerPermission"],
        "2"
    );
    assert_eq!(
        read_in_pod(&broker(&json!({})), None, MASTER)["brokerPermission"],
        "6"
    );
}

#[test]
fn a_store_path_below_the_go_operators_mount_means_the_same_data() {
    let read = read_in_pod(
        &broker(&json!({})),
        Some("storePathCommitLog=/root/store/commitlog"),
        MASTER,
    );
    assert_eq!(read["storePathCommitLog"], "/rocketmq/store/commitlog");
    assert_eq!(read["storePathRootDir"], "/rocketmq/store");
}

#[test]
fn a_store_path_outside_the_data_volume_is_refused_with_its_key() {
    for path in [
        "/tmp/store",
        "/rocketmq/storage",
        "/rocketmq/store/../x",
        "/home/rocketmq/store",
    ] {
        let error = UserConfig::read(Some(format!("storePathRootDir={path}")), &BTreeMap::new()).unwrap_err();
        assert!(
            error.contains("storePathRootDir") && error.contains("/rocketmq/store"),
            "{error}"
        );
    }
}

#[test]
fn ports_follow_the_configuration() {
    let read = |text: &str| UserConfig::read(Some(text.to_owned()), &BTreeMap::new());
    assert_eq!(
        read("").unwrap().ports,
        Ports {
            main: 10911,
            ha: 10912
        }
    );
    assert_eq!(
        read("listenPort=20911").unwrap().ports,
        Ports {
            main: 20911,
            ha: 20912
        }
    );
    assert_eq!(
        read("listenPort=20911\nhaListenPort=30000").unwrap().ports.ha,
        30000
    );
    assert!(read("listenPort=many").unwrap_err().contains("listenPort=many"));
}

#[test]
fn modes_that_are_not_supported_are_refused_before_anything_starts() {
    for key in ["enableControllerMode", "enableDLegerCommitLog"] {
        let error = UserConfig::read(None, &[(key.to_owned(), "true".to_owned())].into()).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn overridden_identity_keys_are_named() {
    let user = UserConfig::read(Some("brokerId=7\nnamesrvAddr=a:1".to_owned()), &BTreeMap::new()).unwrap();
    assert_eq!(
        overridden(&broker(&json!({})), &user),
        ["brokerId", "namesrvAddr"]
    );
}
