//! Whom clients are sent to, case by case.

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;

use super::observe::{Seen, View};
use super::routing::{Changes, Routing, routing};
use super::standing::Standing;
use crate::admin::{BrokerData, ClusterInfo};
use crate::k8s::labels::{INFORMED, YES};

/// A name server that lists these brokers, or does not serve.
fn server(ordinal: usize, lists: Option<&[&str]>, marked: bool) -> Seen {
    let labels = if marked { json!({INFORMED: YES}) } else { json!({}) };
    let pod = json!({"metadata": {"name": format!("names-{ordinal}"), "labels": labels}});
    let group = |broker: &&str| {
        let data = BrokerData {
            cluster: "orders".to_owned(),
            addresses: [(0, format!("{broker}:1"))].into(),
        };
        ((*broker).to_owned(), data)
    };
    let view = |brokers: &[&str]| View {
        cluster: ClusterInfo {
            brokers: brokers.iter().map(group).collect(),
        },
        ..View::default()
    };
    Seen {
        name: format!("names-{ordinal}"),
        pod: Some(Arc::new(serde_json::from_value(pod).unwrap())),
        answer: lists.map(view).ok_or_else(|| "its pod is not ready".to_owned()),
    }
}

type Server<'a> = (Option<&'a [&'a str]>, bool);

fn of(servers: &[Server<'_>], restarting: bool, informed_only: bool) -> Routing {
    with_leaving(servers, 0, restarting, informed_only)
}

/// The last so many are to go.
fn with_leaving(servers: &[Server<'_>], leaving: usize, restarting: bool, informed_only: bool) -> Routing {
    let all = servers.iter().enumerate();
    let seen: Vec<Seen> = all
        .map(|(ordinal, (lists, marked))| server(ordinal, *lists, *marked))
        .collect();
    let (staying, leaving) = seen.split_at(seen.len() - leaving);
    let standings: Vec<Standing<'_>> = staying
        .iter()
        .map(|seen| Standing {
            seen,
            serves: seen.answer.as_ref().map_err(Clone::clone),
            replay: None,
        })
        .collect();
    let now = Changes {
        leaving,
        restarting,
        informed_only,
    };
    routing(&standings, now)
}

fn marks(routing: &Routing) -> Vec<(String, bool)> {
    let each = routing.marks.iter();
    each.map(|mark| (mark.pod.name_any(), mark.informed)).collect()
}

const ALL: Option<&[&str]> = Some(&["a", "b"]);
const NONE: Option<&[&str]> = Some(&[]);
const AWAY: Option<&[&str]> = None;

#[test]
fn at_rest_every_name_server_is_for_clients() {
    assert_eq!(
        of(&[(ALL, false), (ALL, true), (NONE, false)], false, false),
        Routing::default()
    );
    assert_eq!(of(&[(ALL, true), (ALL, true)], false, true), Routing::default());
}

#[test]
fn before_the_first_restart_all_that_know_everything_are_marked() {
    let first = of(&[(ALL, false), (ALL, true), (ALL, false)], true, false);
    assert!(first.informed_only);
    let both = [("names-0".to_owned(), true), ("names-2".to_owned(), true)];
    assert_eq!(marks(&first), both);
    assert_eq!(first.wait, None);
}

#[test]
fn one_that_has_just_started_is_marked_once_it_lists_what_the_others_list() {
    for (lists, marked) in [
        (AWAY, false),
        (NONE, false),
        (Some(&["a"][..]), false),
        (ALL, true),
    ] {
        let now = of(&[(ALL, true), (lists, false)], true, true);
        assert!(now.informed_only);
        assert_eq!(!marks(&now).is_empty(), marked, "{lists:?}");
    }
}

#[test]
fn a_mark_is_taken_from_one_that_has_forgotten_brokers() {
    let now = of(&[(ALL, true), (NONE, true), (AWAY, true)], true, true);
    let both = [("names-1".to_owned(), false), ("names-2".to_owned(), false)];
    assert_eq!(marks(&now), both, "one whose container restarts keeps its labels");
}

#[test]
fn after_the_last_restart_it_stays_until_all_know_the_same_and_says_so() {
    let now = of(&[(ALL, true), (NONE, false), (AWAY, false)], false, true);
    assert!(now.informed_only);
    assert_eq!(
        now.wait.unwrap().message,
        "clients are sent to 1 of 3 name servers until all list the same brokers; names-1 does not; names-2: its pod is not ready"
    );
}

#[test]
fn while_one_is_away_or_comes_or_goes_clients_are_sent_to_those_that_know_everything() {
    let away = of(&[(ALL, false), (AWAY, false)], false, false);
    assert!(away.informed_only);
    assert_eq!(marks(&away), [("names-0".to_owned(), true)]);
    let goes = with_leaving(&[(ALL, false), (ALL, true), (ALL, false)], 2, false, false);
    assert!(goes.informed_only);
    let marked = [("names-0".to_owned(), true), ("names-1".to_owned(), false)];
    assert_eq!(marks(&goes), marked);
    assert_eq!(goes.wait, None);
    let starts = of(&[(NONE, false), (AWAY, false)], false, false);
    assert_eq!(starts, Routing::default(), "no broker is there yet");
}

#[test]
fn clients_are_never_left_without_a_name_server() {
    for restarting in [true, false] {
        assert_eq!(
            of(&[(NONE, false)], restarting, true),
            Routing::default(),
            "the only one"
        );
        assert_eq!(
            of(&[(AWAY, true), (AWAY, true)], restarting, true),
            Routing::default(),
            "nobody serves"
        );
        let each = of(
            &[(Some(&["a"]), false), (Some(&["b"]), false), (NONE, true)],
            restarting,
            true,
        );
        let expected = [("names-0", true), ("names-1", true), ("names-2", false)];
        let expected = expected.map(|(name, informed)| (name.to_owned(), informed));
        assert_eq!(
            marks(&each),
            expected,
            "each knows something that the other does not"
        );
    }
}
