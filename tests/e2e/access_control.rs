//! Brokers that let nobody administer them but the account of a Secret.

use serde_json::{Value, json};

use crate::harness::cluster::{condition, conditions, repository, run};
use crate::harness::fixtures::{Fixture, Image, Storage, broker, config_map, name_service};
use crate::harness::operator;
use crate::harness::rocketmq::Rocketmq;
use crate::harness::stage::scenario;
use crate::harness::wait::START;
use crate::harness::wire;

const USER: &str = "operator-of-orders";
const PASSWORD: &str = "12345678";

/// 4.9: accounts are in a file.
fn with_file(broker: Fixture) -> Fixture {
    broker
        .with("spec.config", json!({ "aclEnable": "true" }))
        .with(
            "spec.volumes",
            json!([{ "name": "acl", "configMap": { "name": "acl" } }]),
        )
        .with(
            "spec.volumeMounts",
            json!([{
                "name": "acl", "subPath": "plain_acl.yml", "readOnly": true,
                "mountPath": "/home/rocketmq/rocketmq-4.9.7/conf/plain_acl.yml",
            }]),
        )
}

/// 5.x: accounts are the broker's own, the first of them is in its configuration.
fn with_first_user(broker: Fixture) -> Fixture {
    let user = format!(r#"{{"username":"{USER}","password":"{PASSWORD}"}}"#);
    let inner = format!(r#"{{"accessKey":"{USER}","secretKey":"{PASSWORD}"}}"#);
    let config = json!({
        "authenticationEnabled": "true",
        "authenticationProvider": "org.apache.rocketmq.auth.authentication.provider.DefaultAuthenticationProvider",
        "initAuthenticationUser": user,
        "innerClientAuthenticationCredentials": inner,
        "authenticationMetadataProvider": "org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider",
        "authorizationEnabled": "true",
        "authorizationProvider": "org.apache.rocketmq.auth.authorization.provider.DefaultAuthorizationProvider",
        "authorizationMetadataProvider": "org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider",
    });
    broker.with("spec.config", config)
}

async fn says(rocketmq: &Rocketmq, words: &str) {
    rocketmq
        .space
        .wait_for(&format!("the Broker says {words:?}"), START, async || {
            let broker = rocketmq.broker().await;
            let degraded = condition(broker.as_ref(), "Degraded");
            if degraded.reason == "CredentialsNotFound" && degraded.message.contains(words) {
                Ok(())
            } else {
                Err(conditions(broker.as_ref()))
            }
        })
        .await;
}

async fn runs_with_an_account(version: &'static str, with_account: fn(Fixture) -> Fixture) {
    scenario(3, async |stage| {
        let space = stage.restricted_namespace().await;
        let image = Image::Official(version);
        let accounts = format!(
            "globalWhiteRemoteAddresses: []\naccounts:\n- accessKey: {USER}\n  secretKey: '{PASSWORD}'\n  admin: true\n"
        );
        space
            .apply(&config_map("acl", &json!({ "plain_acl.yml": accounts })))
            .await;
        let brokers = with_account(broker("broker").image(image).storage(&Storage::StorageClass))
            .with("spec.adminCredentialsSecret", json!("account"));
        let rocketmq = space
            .begin(&name_service("name-service").image(image), &brokers)
            .await;
        let role = std::fs::read_to_string(repository().join("deploy/secret_reader.yaml")).unwrap();
        let role = role.replace("MY-SECRET", "account");

        // Each thing that is missing is told with its remedy.
        if !operator::is_here() {
            says(&rocketmq, "deploy/secret_reader.yaml").await;
        }
        let args = ["apply", "-n", &space.name, "-f", "-"];
        run("kubectl", &args, &role, START)
            .await
            .done();
        says(&rocketmq, "there is no Secret \"account\"").await;
        let secret = |data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "account" }, "stringData": data,
            })
        };
        space.apply(&secret(json!({ "accessKey": USER }))).await;
        says(&rocketmq, "needs the keys accessKey and secretKey").await;
        space
            .apply(&secret(json!({ "accessKey": USER, "secretKey": PASSWORD })))
            .await;
        rocketmq.wait_until_ready().await;

        // Nobody else may; the operator may change what brokers run with.
        let master = rocketmq.broker_address(0, 0).await;
        let refused = wire::put_topic(&master, "parcels", 4, 6).await;
        let refused = refused.expect_err("the broker obeys anybody");
        let for_want_of_an_account = ["No accessKey", "username cannot be null"];
        assert!(for_want_of_an_account.iter().any(|why| refused.contains(why)), "{refused}");
        let before = rocketmq.pod_uids().await;
        rocketmq.change(json!({ "size": 2 })).await;
        space
            .wait_for("the new group is open to producers", START, async || {
                rocketmq.everything_is_listed().await?;
                let broker = rocketmq.broker().await;
                if condition(broker.as_ref(), "Ready").status == "True" {
                    Ok(())
                } else {
                    Err(conditions(broker.as_ref()))
                }
            })
            .await;
        let now = rocketmq.pod_uids().await;
        assert!(before.iter().all(|pod| now.contains(pod)), "{before:?} {now:?}");
        let route = wire::permissions(&rocketmq.name_servers().await[0], "TBW102").await;
        assert_eq!(route.unwrap().get("broker-1"), Some(&7));
    })
    .await;
}

#[tokio::test]
async fn brokers_of_4_9_7_with_access_control_are_administered_with_the_account_of_a_secret() {
    runs_with_an_account("4.9.7", with_file).await;
}

#[tokio::test]
async fn brokers_of_5_5_0_with_authentication_are_administered_with_the_account_of_a_secret() {
    runs_with_an_account("5.5.0", with_first_user).await;
}
