use super::broker::broker_config;
use super::cluster::cluster_info;
use crate::admin::ClusterInfo;

#[test]
fn a_cluster_with_a_replica_is_read_with_unquoted_ids() {
    let body = br#"{"brokerAddrTable":{"b-0":{"brokerAddrs":{0:"a:10911",1:"b:10911"},"brokerName":"b-0","cluster":"b","enableActingMaster":false}},"clusterAddrTable":{"b":["b-0"]}}"#;
    let info = cluster_info(body).unwrap();
    let data = &info.brokers["b-0"];
    assert_eq!(
        (
            data.cluster.as_str(),
            data.addresses[&0].as_str(),
            data.addresses[&1].as_str()
        ),
        ("b", "a:10911", "b:10911")
    );
}

#[test]
fn an_empty_cluster_lists_no_broker_and_a_strange_body_is_an_error() {
    assert_eq!(
        cluster_info(br#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#).unwrap(),
        ClusterInfo::default()
    );
    assert!(cluster_info(b"{}").is_err());
    assert!(broker_config(b"").is_err());
}

#[test]
fn a_configuration_keeps_equal_signs_of_its_values() {
    let config = broker_config(b"brokerName=b-0\nbrokerId=1\nx=a=b\n").unwrap();
    assert_eq!(
        (config.broker_name(), config.broker_id(), config.get("x")),
        (Some("b-0"), Some(1), Some("a=b"))
    );
}
