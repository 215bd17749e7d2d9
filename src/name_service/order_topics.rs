//! Which order topics a name server has to be given before it serves: pure.
//!
//! A name server keeps the queues of order topics (namespace `ORDER_TOPIC_CONFIG` of its key-value store) for itself, in a
//! file; name servers do not share them. One that starts with an empty disk, because it is new or on `EmptyDir`, has
//! none, and producers that ask it would spread an order topic's messages over other queues. So it is given what the
//! others have, and only then counts as serving.
//!
//! What users do by themselves must not be undone, and a missing key alone does not tell whether it was lost or deleted. So
//! nothing is given to a name server
//! - whose pod address is in `status.nameServers`: it has served already, so its store was complete, and what is missing
//!   since then its user has deleted. The address stands for one life of the pod's disk: a container that restarts
//!   keeps both, a pod that is replaced gets another address. A pod on its node's network gets the same one again;
//!   the address leaves the status when that pod is gone, stopping or runs no container, and so while it is replaced;
//! - which came with a store of its own: the user may have deleted keys of it before.
//!
//! The keys are put in order, so what a crash in between leaves is the first of them. That is told from a store of its
//! own, and continued.

use std::collections::BTreeMap;

/// The order topics of a name server, and their queues.
pub type OrderTopics = BTreeMap<String, String>;

/// What is to be put, in this order, into a new name server that has `own`, where the others have `others`; of two that
/// differ the first one counts.
#[must_use]
pub fn missing<'a>(
    own: &OrderTopics,
    others: impl IntoIterator<Item = &'a OrderTopics>,
) -> Vec<(String, String)> {
    let mut wanted = OrderTopics::new();
    for (topic, queues) in others.into_iter().flatten() {
        wanted.entry(topic.clone()).or_insert_with(|| queues.clone());
    }
    let is_begun = own.iter().zip(&wanted).all(|(own, wanted)| own == wanted);
    if !is_begun {
        return Vec::new();
    }
    wanted.into_iter().skip(own.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> OrderTopics {
        names
            .iter()
            .map(|name| ((*name).to_owned(), format!("{name}-queues")))
            .collect()
    }

    fn names(missing: &[(String, String)]) -> Vec<&str> {
        missing.iter().map(|(topic, _)| topic.as_str()).collect()
    }

    #[test]
    fn an_empty_name_server_gets_all_that_the_others_have() {
        let others = [topics(&["a", "b"]), topics(&["b", "c"])];
        assert_eq!(names(&missing(&topics(&[]), &others)), ["a", "b", "c"]);
        assert!(missing(&topics(&[]), &[]).is_empty());
    }

    #[test]
    fn what_was_begun_is_continued() {
        let others = [topics(&["a", "b", "c"])];
        assert_eq!(names(&missing(&topics(&["a"]), &others)), ["b", "c"]);
        assert_eq!(names(&missing(&topics(&["a", "b"]), &others)), ["c"]);
        assert!(missing(&others[0], &others).is_empty());
    }

    #[test]
    fn a_name_server_with_a_store_of_its_own_is_left_alone() {
        let others = [topics(&["a", "b", "c"])];
        for own in [topics(&["b"]), topics(&["a", "c"]), topics(&["z"])] {
            assert!(missing(&own, &others).is_empty(), "{own:?}");
        }
        let mut changed = topics(&["a"]);
        changed.insert("a".to_owned(), "other queues".to_owned());
        assert!(missing(&changed, &others).is_empty());
    }
}
