//! The entry of an order topic at name servers, `BROKER:QUEUES;…`: two clusters that share name servers share it.

/// The entry with these brokers' queues in it, the others' as they are.
#[must_use]
pub fn with<'a>(entry: Option<&str>, brokers: impl Iterator<Item = &'a String>, queues: i32) -> String {
    let brokers: Vec<_> = brokers.collect();
    let kept = others(entry, &brokers);
    let added = brokers.iter().map(|broker| format!("{broker}:{queues}"));
    kept.into_iter().chain(added).collect::<Vec<_>>().join(";")
}

/// The entry without these brokers; none if nothing is left.
#[must_use]
pub fn without<'a>(entry: Option<&str>, brokers: impl Iterator<Item = &'a String>) -> Option<String> {
    let brokers: Vec<_> = brokers.collect();
    let kept = others(entry, &brokers);
    (!kept.is_empty()).then(|| kept.join(";"))
}

fn others(entry: Option<&str>, brokers: &[&String]) -> Vec<String> {
    let parts = entry.unwrap_or_default().split(';').map(str::trim);
    let is_theirs = |part: &str| {
        let name = part.rsplit_once(':').map_or(part, |(name, _)| name);
        brokers.iter().any(|broker| *broker == name)
    };
    parts
        .filter(|part| !part.is_empty() && !is_theirs(part))
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_entries_of_the_brokers_that_are_meant_change() {
        let target = ["stock-0".to_owned(), "stock-1".to_owned()];
        assert_eq!(with(None, target.iter(), 12), "stock-0:12;stock-1:12");
        let both = with(Some("orders-0:12; stock-0:4"), target.iter(), 12);
        assert_eq!(both, "orders-0:12;stock-0:12;stock-1:12");
        let source = ["orders-0".to_owned()];
        assert_eq!(
            without(Some(&both), source.iter()).as_deref(),
            Some("stock-0:12;stock-1:12")
        );
        assert_eq!(without(Some("orders-0:12"), source.iter()), None);
        assert_eq!(without(None, source.iter()), None);
    }

    #[test]
    fn what_is_put_twice_is_as_what_is_put_once() {
        let target = ["a".to_owned()];
        let once = with(Some("b:1"), target.iter(), 2);
        assert_eq!(with(Some(&once), target.iter(), 2), once);
    }
}
