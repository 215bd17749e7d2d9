//! What the operator costs when there is nothing to do.

use std::time::Instant;

use crate::harness::audit::{Audit, Request};
use crate::harness::fixtures::{broker, name_service};
use crate::harness::operator;
use crate::harness::stage::alone;
use crate::harness::wait::{seconds, stays};

/// How long it is watched.
const QUIET: std::time::Duration = seconds(60);
/// How much may be resident.
const MOST_RESIDENT: u64 = 25 << 20;

#[tokio::test]
async fn an_idle_operator_writes_nothing_but_its_lease_and_stays_small() {
    alone(async |stage| {
        let space = stage.namespace().await;
        let rocketmq = space
            .start(&name_service("name-service"), &broker("broker").replicas(1))
            .await;
        let cluster = &stage.cluster;

        let mut audit = Audit::from_now(cluster).await;
        // Whatever readiness still causes is over when a few seconds brought no write.
        let start = Instant::now();
        loop {
            let tick = Instant::now();
            stays("the cluster is ready", seconds(5), async || {
                rocketmq.everything_is_listed().await
            })
            .await;
            let asked = audit.since_mark(cluster).await;
            let written = writes_beside_the_lease(&asked);
            if written.is_empty() {
                break;
            }
            assert!(
                start.elapsed() < seconds(60),
                "still writing {:?} later: {written:?}",
                tick - start
            );
        }

        stays("the cluster is ready", QUIET, async || {
            rocketmq.everything_is_listed().await
        })
        .await;
        let asked: Vec<Request> = audit
            .since_mark(cluster)
            .await
            .into_iter()
            .filter(|r| r.user == operator::USER)
            .collect();
        let resident = operator::resident_bytes(cluster).await;
        let reads = asked.iter().filter(|r| !r.is_write()).count();
        println!(
            "idle for {QUIET:?}: {} requests, {reads} reads, {} MiB resident",
            asked.len(),
            resident / 1024 / 1024
        );

        let errors: Vec<&Request> = asked.iter().filter(|r| r.is_error()).collect();
        assert!(errors.is_empty(), "refused: {errors:?}");
        let written = writes_beside_the_lease(&asked);
        assert!(written.is_empty(), "written: {written:?}");
        assert!(
            asked.iter().any(|r| r.resource == "leases"),
            "the audit log does not show the operator at all"
        );
        assert!(resident <= MOST_RESIDENT, "{resident} bytes are resident");
    })
    .await;
}

fn writes_beside_the_lease(requests: &[Request]) -> Vec<&Request> {
    let writes = requests
        .iter()
        .filter(|r| r.user == operator::USER && r.is_write());
    writes
        .filter(|r| !(r.resource == "leases" && r.name == operator::NAME))
        .collect()
}
