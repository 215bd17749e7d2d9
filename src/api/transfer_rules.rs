//! What the API server refuses of a `TopicTransfer`; see [`super::rules`].

use kube::core::Rule;

use super::rules::{ADDRESSES, rule};

/// On `sourceNameServers`.
pub(super) fn source_name_servers_are_addresses() -> Rule {
    rule(
        ADDRESSES,
        "spec.sourceNameServers must be host:port;host:port, such as 192.168.0.1:9876;192.168.0.2:9876, or empty \
         for those of the Broker that spec.sourceCluster names",
    )
}

/// On `targetNameServers`.
pub(super) fn target_name_servers_are_addresses() -> Rule {
    rule(
        ADDRESSES,
        "spec.targetNameServers must be host:port;host:port, such as 192.168.0.1:9876;192.168.0.2:9876, or empty \
         for those of the Broker that spec.targetCluster names",
    )
}

/// On the whole `TopicTransfer`: what has begun stays as it began.
pub(super) fn transfer_stays_as_it_began() -> Rule {
    rule(
        "!oldSelf.hasValue() || !has(oldSelf.value().status) || !has(oldSelf.value().status.phase) || \
         oldSelf.value().status.phase == 'Pending' || self.spec == oldSelf.value().spec",
        "spec of a transfer that has begun cannot be changed: delete this TopicTransfer, which undoes it, and make \
         another",
    )
    .optional_old_self(true)
}

/// On a `TopicTransfer`'s spec. Two clusters may have one name if they have their own name servers.
pub(super) fn transfer_goes_elsewhere() -> Rule {
    rule(
        "self.sourceCluster != self.targetCluster || (has(self.sourceNameServers) ? self.sourceNameServers : '') != \
         (has(self.targetNameServers) ? self.targetNameServers : '')",
        "spec.targetCluster must not be spec.sourceCluster: name another Broker, or give the name servers of each",
    )
    .field_path(".targetCluster")
}

/// On a `TopicTransfer`'s spec.
pub(super) fn transferred_topic_is_a_users() -> Rule {
    rule(
        "self.topic.matches('^[|a-zA-Z0-9_-]+$') && !self.topic.startsWith('rmq_sys_') && !(self.topic in \
         ['TBW102', 'SCHEDULE_TOPIC_XXXX', 'BenchmarkTest', 'RMQ_SYS_TRANS_HALF_TOPIC', \
         'RMQ_SYS_TRANS_OP_HALF_TOPIC', 'RMQ_SYS_TRACE_TOPIC', 'TRANS_CHECK_MAX_TIME_TOPIC', 'SELF_TEST_TOPIC', \
         'OFFSET_MOVED_EVENT', 'CHECKPOINT_TOPIC'])",
        "spec.topic must be a topic of yours, of letters, digits, '_', '-' and '|': RocketMQ's own topics and those of \
         messages to be retried do not move",
    )
    .field_path(".topic")
}

#[cfg(test)]
mod tests {
    use crate::api::rules::tests::{accepted, refused, verdict};
    use crate::api::{TopicTransfer, TopicTransferSpec, TopicTransferStatus, TransferPhase};

    fn transfer(change: impl FnOnce(&mut TopicTransferSpec)) -> TopicTransfer {
        let mut spec = TopicTransferSpec {
            topic: "payments".to_owned(),
            source_cluster: "orders".to_owned(),
            target_cluster: "stock".to_owned(),
            ..TopicTransferSpec::default()
        };
        change(&mut spec);
        TopicTransfer::new("move", spec)
    }

    #[test]
    fn a_topic_moves_to_another_cluster() {
        accepted(&transfer(|_| ()));
        let same = |spec: &mut TopicTransferSpec| spec.target_cluster = "orders".to_owned();
        refused(
            &transfer(same),
            "spec.targetCluster must not be spec.sourceCluster",
        );
        accepted(&transfer(|spec| {
            same(spec);
            spec.source_name_servers = Some("198.18.0.1:9876".to_owned());
            spec.target_name_servers = Some("198.18.0.2:9876".to_owned());
        }));
        refused(
            &transfer(|spec| {
                same(spec);
                spec.source_name_servers = Some("198.18.0.1:9876".to_owned());
                spec.target_name_servers = spec.source_name_servers.clone();
            }),
            "spec.targetCluster must not be spec.sourceCluster",
        );
    }

    #[test]
    fn only_a_topic_of_a_user_moves() {
        let named = |name: &str| transfer(|spec| spec.topic = name.to_owned());
        for good in ["payments", "a-b_C|9"] {
            accepted(&named(good));
        }
        for bad in [
            "pay ments",
            "%RETRY%billing",
            "%DLQ%billing",
            "TBW102",
            "rmq_sys_x",
            "a.b",
        ] {
            refused(&named(bad), "spec.topic must be a topic of yours");
        }
    }

    #[test]
    fn the_name_servers_of_a_transfer_are_addresses() {
        accepted(&transfer(|spec| {
            spec.source_name_servers = Some("a:1;b:2".to_owned());
        }));
        refused(
            &transfer(|spec| spec.source_name_servers = Some("a".to_owned())),
            "spec.sourceNameServers must be host:port",
        );
        refused(
            &transfer(|spec| spec.target_name_servers = Some("a:1,b:2".to_owned())),
            "spec.targetNameServers must be host:port",
        );
    }

    #[test]
    fn a_transfer_that_has_begun_stays_as_it_is_but_for_its_metadata_and_status() {
        let mut old = transfer(|_| ());
        let mut other = transfer(|spec| spec.topic = "parcels".to_owned());
        assert_eq!(verdict(&other, Some(&old)), Ok(()));
        let mut status = TopicTransferStatus::default();
        for (phase, mended) in [(TransferPhase::Pending, true), (TransferPhase::Copying, false)] {
            status.phase = Some(phase);
            old.status = Some(status.clone());
            other.status = Some(status.clone());
            let verdict = verdict(&other, Some(&old));
            assert_eq!(verdict.is_ok(), mended, "{verdict:?}");
        }
        let mut labelled = old.clone();
        labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        status.phase = Some(TransferPhase::Fencing);
        labelled.status = Some(status);
        assert_eq!(verdict(&labelled, Some(&old)), Ok(()));
    }
}
