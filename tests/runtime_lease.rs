//! Leader election against an API server, in paused time.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{Timestamp, ToSpan};
use rocketmq_operator::runtime::go_operator::{self, GoOperator};
use rocketmq_operator::runtime::lease::{DURATION, Elector, Lost, RENEW_DEADLINE, RENEW_EVERY, RETRY};
use serde_json::json;
use support::api::{Failure, FakeApi};
use support::objects::Preconditions;
use tokio::time::{Instant, timeout};

const LEASE: &str = "operators/rocketmq-operator";

fn elector(api: &FakeApi, identity: &str) -> Elector {
    Elector::new(api.client(), "operators", "rocketmq-operator", identity)
}

async fn leader(api: &FakeApi, identity: &str) -> Elector {
    let mut elector = elector(api, identity);
    elector.acquire(|_| {}).await;
    elector
}

fn holder(api: &FakeApi) -> Option<String> {
    api.find::<Lease>(LEASE)?.spec?.holder_identity
}

/// The leader keeps the lease for `time` and does not lose it.
async fn keeps_for(elector: &mut Elector, time: Duration) {
    assert!(timeout(time, elector.keep()).await.is_err(), "the lease was lost");
}

#[tokio::test(start_paused = true)]
async fn the_first_to_come_leads_and_the_second_is_told_who_does() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let second = tokio::spawn({
        let api = api.clone();
        async move {
            elector(&api, "b")
                .acquire(|holder| tell.lock().unwrap().push(holder.map(str::to_owned).unwrap()))
                .await;
        }
    });
    keeps_for(&mut first, Duration::from_mins(5)).await;
    assert!(!second.is_finished());
    assert_eq!(holder(&api).as_deref(), Some("a"));
    let told = told.lock().unwrap();
    assert!(
        told.len() > 10 && told.iter().all(|holder| holder == "a"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_writes_only_its_lease_and_that_every_five_seconds() {
    let api = FakeApi::default();
    let mut leader = leader(&api, "a").await;
    api.writes();
    keeps_for(&mut leader, RENEW_EVERY * 12 + Duration::from_secs(1)).await;
    assert_eq!(api.writes(), vec!["update Lease operators/rocketmq-operator"; 12]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_crashed_is_replaced_when_its_lease_has_expired_and_not_before() {
    let api = FakeApi::default();
    drop(leader(&api, "a").await);
    let crashed = Instant::now();
    leader(&api, "b").await;
    let took = crashed.elapsed();
    assert!(took >= DURATION && took <= DURATION + RETRY, "{took:?}");
    let transitions = api.find::<Lease>(LEASE).unwrap().spec.unwrap().lease_transitions;
    assert_eq!(transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_released_is_taken_at_once() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    keeps_for(&mut first, Duration::from_secs(12)).await;
    first.release().await;
    assert_eq!(holder(&api), None);
    let released = Instant::now();
    leader(&api, "b").await;
    assert!(released.elapsed() < Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_release_takes_nothing_from_a_successor() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    tokio::time::advance(DURATION).await;
    leader(&api, "b").await;
    first.release().await;
    assert_eq!(holder(&api).as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_cut_off_by_the_stop_does_not_keep_the_lease_from_being_released() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    api.fail("update Lease", Failure::Hangs, 1);
    assert!(
        timeout(RENEW_EVERY + Duration::from_secs(1), first.keep())
            .await
            .is_err()
    );
    first.release().await;
    assert_eq!(holder(&api), None);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_take_an_expired_lease_at_once_one_gets_it() {
    let api = FakeApi::default();
    drop(leader(&api, "gone").await);
    let (mut a, mut b) = (elector(&api, "a"), elector(&api, "b"));
    let both = async { tokio::join!(a.acquire(|_| {}), b.acquire(|_| {})) };
    assert!(
        timeout(DURATION + Duration::from_secs(13), both).await.is_err(),
        "both lead"
    );
    assert!(["a", "b"].contains(&holder(&api).unwrap().as_str()));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_another_may_start() {
    let api = FakeApi::default();
    for failure in [
        Failure::Unreachable,
        Failure::Hangs,
        Failure::Internal,
        Failure::Forbidden,
    ] {
        let mut first = leader(&api, "a").await;
        keeps_for(&mut first, Duration::from_secs(21)).await;
        // The last renewal was at 20 s.
        let renewed = Instant::now() - Duration::from_secs(1);
        api.fail_always("update Lease", failure);
        let lost = first.keep().await;
        assert!(matches!(lost, Lost::Expired { .. }), "{lost}");
        assert_eq!(renewed.elapsed(), RENEW_DEADLINE, "{failure:?}");
        assert!(RENEW_DEADLINE < DURATION);
        api.heal();
        api.objects(|objects| {
            objects.delete(&FakeApi::key::<Lease>(LEASE), &Preconditions::default(), false)
        })
        .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_moment_costs_no_leadership() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    for failure in [
        Failure::Unreachable,
        Failure::Hangs,
        Failure::Internal,
        Failure::DoneButTimedOut,
        Failure::DoneButLost,
    ] {
        api.fail("update Lease", failure, 1);
        keeps_for(&mut first, Duration::from_secs(30)).await;
    }
    assert_eq!(holder(&api).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_another_is_noticed_with_the_next_renewal() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    let thief = json!({"spec": {"holderIdentity": "b"}});
    api.objects(|objects| objects.patch(&FakeApi::key::<Lease>(LEASE), &thief, false))
        .unwrap();
    let lost = timeout(RENEW_EVERY + Duration::from_millis(1), first.keep())
        .await
        .unwrap();
    assert!(matches!(lost, Lost::Taken { holder, .. } if holder == "b"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deleted_is_made_again() {
    let api = FakeApi::default();
    let mut first = leader(&api, "a").await;
    api.objects(|objects| objects.delete(&FakeApi::key::<Lease>(LEASE), &Preconditions::default(), false))
        .unwrap();
    keeps_for(&mut first, Duration::from_mins(1)).await;
    assert_eq!(holder(&api).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_process_restarted_under_its_own_name_need_not_wait() {
    let api = FakeApi::default();
    drop(leader(&api, "pod-1").await);
    let start = Instant::now();
    leader(&api, "pod-1").await;
    assert!(start.elapsed() < Duration::from_millis(1));
}

/// The Go operator's lease in a namespace, renewed `ago` seconds ago by the clock.
fn go_lease(api: &FakeApi, namespace: &str, holder: &str, ago: i64) {
    let renewed = Timestamp::now() - ago.seconds();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed.to_string()},
    });
    let key = FakeApi::key::<Lease>(&format!("{namespace}/{}", go_operator::LEASE));
    api.objects(|objects| objects.apply(&key, "go", lease, false))
        .unwrap();
}

fn go_operator(api: &FakeApi, scope: &str) -> GoOperator {
    GoOperator::new(&api.client(), "operators", &scope.parse().unwrap())
}

/// How long a start waits for the Go operator, and what it says meanwhile.
async fn waited(api: &FakeApi, scope: &str) -> (Duration, Vec<String>) {
    let (start, said) = (Instant::now(), Mutex::new(Vec::new()));
    let mut go = go_operator(api, scope);
    go.gone(|lease| {
        said.lock()
            .unwrap()
            .push(lease.unwrap_or_else(|error| error).to_owned());
    })
    .await;
    (start.elapsed(), said.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_go_operator_at_work_anywhere_is_waited_for_until_its_lease_expires() {
    for (scope, namespace) in [("", "anywhere"), ("mq", "mq"), ("mq", "operators")] {
        let api = FakeApi::default();
        go_lease(&api, namespace, "go-pod_1", 3);
        let (waited, said) = waited(&api, scope).await;
        assert!(waited >= DURATION && waited <= DURATION + RETRY, "{waited:?}");
        assert_eq!(said[0], format!("{namespace}/2516c052.apache.org of go-pod_1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_go_operator_that_renews_is_waited_for_as_long_as_it_does() {
    let api = FakeApi::default();
    go_lease(&api, "mq", "go-pod_1", 0);
    let (server, mut ago) = (api.clone(), 300);
    let renews = async move {
        for _ in 0..30 {
            tokio::time::advance(Duration::from_secs(10)).await;
            ago -= 1;
            go_lease(&server, "mq", "go-pod_1", ago);
        }
    };
    let start = Instant::now();
    tokio::join!(renews, waited(&api, "mq"));
    assert!(
        start.elapsed() >= Duration::from_mins(5) + DURATION,
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn no_go_operator_a_released_lease_and_a_leftover_of_long_ago_cost_no_time() {
    let api = FakeApi::default();
    assert!(waited(&api, "").await.0.is_zero());
    go_lease(&api, "mq", "", 1);
    assert!(waited(&api, "").await.0.is_zero());
    go_lease(&api, "mq", "go-pod_1", 3600);
    assert!(waited(&api, "").await.0.is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_go_operator_of_a_namespace_that_is_not_watched_is_not_waited_for() {
    let api = FakeApi::default();
    go_lease(&api, "elsewhere", "go-pod_1", 1);
    assert!(waited(&api, "mq").await.0.is_zero());
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_for_the_go_operator_nothing_is_held_up() {
    let api = FakeApi::default();
    go_lease(&api, "mq", "go-pod_1", 1);
    api.fail_always("list Lease", Failure::Forbidden);
    assert!(waited(&api, "mq").await.0.is_zero());
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_the_go_operator_may_be_there() {
    let api = FakeApi::default();
    api.fail("list Lease", Failure::Unreachable, 3);
    let (waited, said) = waited(&api, "mq").await;
    assert_eq!((waited, said.len()), (RETRY * 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_go_operator_started_while_we_lead_is_noticed() {
    let api = FakeApi::default();
    let mut go = go_operator(&api, "");
    assert!(timeout(Duration::from_mins(5), go.appears()).await.is_err());
    go_lease(&api, "mq", "go-pod_1", 0);
    let lease = timeout(Duration::from_secs(11), go.appears()).await.unwrap();
    assert_eq!(lease, "mq/2516c052.apache.org of go-pod_1");
}
