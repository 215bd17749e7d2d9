//! The process itself: it waits for what it needs, says so, and stops in order.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::cluster::{kubeconfig, kubectl, text};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::harness::wait::{seconds, wait_for};

#[tokio::test]
async fn it_waits_for_the_definitions_logs_json_and_gives_the_lease_back_when_it_is_told_to_stop() {
    alone(async |stage| {
        operator::purge(&["--delete-crds-and-all-clusters"]).await;
        let space = stage.namespace().await;
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", space.name));
        let flags = [
            ["--log-format", "json"],
            ["--watch-namespace", &space.name],
            ["--lease-namespace", &space.name],
            ["--identity", "this-one"],
        ];
        let mut process = operator::process(&kubeconfig(), &log, flags.as_flattened());
        let says = async |words: &str| {
            let what = format!("it says {words:?}");
            wait_for(&what, seconds(60), async || {
                let said = std::fs::read_to_string(&log).unwrap();
                if said.contains(words) { Ok(()) } else { Err(said) }
            })
            .await;
        };
        let holder = async || {
            let lease = space.get("Lease", "rocketmq-operator").await;
            text(&lease.unwrap_or_default(), "/spec/holderIdentity").to_owned()
        };

        says("waiting for the custom resource definitions").await;
        kubectl(&["apply", "--server-side", "-f", "crds"]).await.done();
        says("\"reconciling\"").await;
        assert_eq!(holder().await, "this-one");

        let id = process.id().expect("it runs").to_string();
        Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        let ended = tokio::time::timeout(seconds(30), process.wait()).await;
        let ended = ended.expect("it ends").unwrap();
        assert!(ended.success(), "{ended}");
        assert_eq!(
            holder().await,
            "",
            "another one need not wait for the lease to expire"
        );
        for line in std::fs::read_to_string(&log).unwrap().lines() {
            let line: Value = serde_json::from_str(line).expect(line);
            assert!(
                line["level"].is_string() && line["timestamp"].is_string(),
                "{line}"
            );
        }
    })
    .await;
}
