use super::super::backlog::tests::who;
use super::*;

fn topics(of: &[TopicConfig]) -> Topics {
    let topics = of.iter().map(|topic| (topic.name.clone(), topic.clone()));
    Topics {
        topics: topics.collect(),
        ..Topics::default()
    }
}

fn closed(name: &str) -> TopicConfig {
    TopicConfig {
        perm: perm::READ,
        ..TopicConfig::new(name, 4)
    }
}

fn names(topics: &[TopicConfig]) -> Vec<&str> {
    topics.iter().map(|topic| topic.name.as_str()).collect()
}

#[test]
fn a_topic_is_homeless_if_producers_can_write_to_it_nowhere_else() {
    let open = |name| TopicConfig::new(name, 4);
    let victim = topics(&[
        open("here"),
        open("everywhere"),
        open("closed-there"),
        closed("closed-here"),
        open("%RETRY%billing"),
        open("%DLQ%billing"),
        open("TBW102"),
        open("orders-1"),
    ]);
    let other = topics(&[open("everywhere"), closed("closed-there"), closed("closed-here")]);
    let without_queues = topics(&[TopicConfig::new("here", 0)]);
    let homeless = |others: &[&Topics]| homeless(&victim, others, &who());
    assert_eq!(
        names(&homeless(&[&other, &without_queues])),
        ["closed-there", "here"]
    );
    assert_eq!(
        names(&homeless(&[])),
        ["closed-there", "everywhere", "here"],
        "without another master"
    );
}

#[test]
fn a_homeless_topic_goes_where_it_is_not_yet_and_is_opened_only_where_all_have_it() {
    let mut here = TopicConfig::new("payments", 2);
    here.attributes
        .insert("message.type".to_owned(), "FIFO".to_owned());
    let (first, second) = (topics(&[closed("payments")]), topics(&[]));
    let new = home(&here, &[&first, &second]).unwrap();
    assert_eq!(
        (new.place, &new.topic, new.attributes),
        (1, &here, Attributes::Create)
    );
    let opened = home(&here, &[&first]).unwrap();
    assert_eq!((opened.place, opened.attributes), (0, Attributes::Keep));
    assert_eq!(
        (
            opened.topic.perm,
            opened.topic.write_queues,
            opened.topic.read_queues
        ),
        (6, 2, 4)
    );
    assert_eq!(home(&here, &[]), None);
}

#[test]
fn groups_of_users_that_are_missing_are_found_with_their_settings() {
    let groups = |names: &[&str]| SubscriptionGroups {
        groups: names
            .iter()
            .map(|name| {
                let group = SubscriptionGroup::new(name).with("retryMaxTimes", 3);
                ((*name).to_owned(), group)
            })
            .collect(),
        ..SubscriptionGroups::default()
    };
    let missing = missing_groups(
        &groups(&["billing", "audit", "TOOLS_CONSUMER"]),
        &groups(&["audit"]),
    );
    assert_eq!(
        missing,
        [SubscriptionGroup::new("billing").with("retryMaxTimes", 3)]
    );
}
