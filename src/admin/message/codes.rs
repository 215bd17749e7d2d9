//! What can be asked: RocketMQ 4.5.0 to 5.5.0 `RequestCode`, and the codes of answers that mean something to us.

/// What is asked: its `RequestCode`, its name in messages, whom it is asked of and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Code {
    pub(in crate::admin) number: i32,
    pub(in crate::admin) name: &'static str,
    pub(in crate::admin) server: Server,
    pub(in crate::admin) pace: Pace,
}

/// Whom a request is made to. Only brokers ask for signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Server {
    NameServer,
    Broker,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Pace {
    Quick,
    /// The answer is a whole table; or the broker first registers on its name servers, of which some may be gone.
    Slow,
}

const fn broker(number: i32, name: &'static str, pace: Pace) -> Code {
    let server = Server::Broker;
    Code {
        number,
        name,
        server,
        pace,
    }
}

const fn name_server(number: i32, name: &'static str, pace: Pace) -> Code {
    let server = Server::NameServer;
    Code {
        number,
        name,
        server,
        pace,
    }
}

pub(in crate::admin) const PUT_KV_CONFIG: Code = name_server(100, "PUT_KV_CONFIG", Pace::Quick);
pub(in crate::admin) const DELETE_KV_CONFIG: Code = name_server(102, "DELETE_KV_CONFIG", Pace::Quick);
pub(in crate::admin) const UNREGISTER_BROKER: Code = name_server(104, "UNREGISTER_BROKER", Pace::Quick);
pub(in crate::admin) const GET_ROUTEINFO_BY_TOPIC: Code =
    name_server(105, "GET_ROUTEINFO_BY_TOPIC", Pace::Quick);
pub(in crate::admin) const GET_BROKER_CLUSTER_INFO: Code =
    name_server(106, "GET_BROKER_CLUSTER_INFO", Pace::Quick);
pub(in crate::admin) const GET_ALL_TOPIC_LIST_FROM_NAMESERVER: Code =
    name_server(206, "GET_ALL_TOPIC_LIST_FROM_NAMESERVER", Pace::Slow);
pub(in crate::admin) const DELETE_TOPIC_IN_NAMESRV: Code =
    name_server(216, "DELETE_TOPIC_IN_NAMESRV", Pace::Quick);
pub(in crate::admin) const GET_KVLIST_BY_NAMESPACE: Code =
    name_server(219, "GET_KVLIST_BY_NAMESPACE", Pace::Quick);
pub(in crate::admin) const QUERY_CONSUMER_OFFSET: Code = broker(14, "QUERY_CONSUMER_OFFSET", Pace::Quick);
pub(in crate::admin) const UPDATE_CONSUMER_OFFSET: Code = broker(15, "UPDATE_CONSUMER_OFFSET", Pace::Quick);
pub(in crate::admin) const UPDATE_AND_CREATE_TOPIC: Code = broker(17, "UPDATE_AND_CREATE_TOPIC", Pace::Slow);
pub(in crate::admin) const GET_ALL_TOPIC_CONFIG: Code = broker(21, "GET_ALL_TOPIC_CONFIG", Pace::Slow);
pub(in crate::admin) const UPDATE_BROKER_CONFIG: Code = broker(25, "UPDATE_BROKER_CONFIG", Pace::Slow);
pub(in crate::admin) const GET_BROKER_CONFIG: Code = broker(26, "GET_BROKER_CONFIG", Pace::Quick);
pub(in crate::admin) const GET_BROKER_RUNTIME_INFO: Code = broker(28, "GET_BROKER_RUNTIME_INFO", Pace::Quick);
pub(in crate::admin) const GET_MAX_OFFSET: Code = broker(30, "GET_MAX_OFFSET", Pace::Quick);
pub(in crate::admin) const GET_ALL_CONSUMER_OFFSET: Code = broker(43, "GET_ALL_CONSUMER_OFFSET", Pace::Slow);
pub(in crate::admin) const GET_ALL_DELAY_OFFSET: Code = broker(45, "GET_ALL_DELAY_OFFSET", Pace::Quick);
pub(in crate::admin) const UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: Code =
    broker(200, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", Pace::Quick);
pub(in crate::admin) const GET_ALL_SUBSCRIPTIONGROUP_CONFIG: Code =
    broker(201, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG", Pace::Slow);
pub(in crate::admin) const GET_TOPIC_STATS_INFO: Code = broker(202, "GET_TOPIC_STATS_INFO", Pace::Quick);
pub(in crate::admin) const GET_CONSUMER_CONNECTION_LIST: Code =
    broker(203, "GET_CONSUMER_CONNECTION_LIST", Pace::Quick);
pub(in crate::admin) const DELETE_SUBSCRIPTIONGROUP: Code =
    broker(207, "DELETE_SUBSCRIPTIONGROUP", Pace::Quick);
pub(in crate::admin) const GET_CONSUME_STATS: Code = broker(208, "GET_CONSUME_STATS", Pace::Slow);
pub(in crate::admin) const DELETE_TOPIC_IN_BROKER: Code = broker(215, "DELETE_TOPIC_IN_BROKER", Pace::Slow);
pub(in crate::admin) const QUERY_TOPIC_CONSUME_BY_WHO: Code =
    broker(300, "QUERY_TOPIC_CONSUME_BY_WHO", Pace::Quick);
pub(in crate::admin) const GET_BROKER_HA_STATUS: Code = broker(907, "GET_BROKER_HA_STATUS", Pace::Quick);

/// `ResponseCode.REQUEST_CODE_NOT_SUPPORTED`.
pub(in crate::admin) const NOT_SUPPORTED: i32 = 3;
/// `ResponseCode.TOPIC_NOT_EXIST`.
pub(in crate::admin) const TOPIC_NOT_EXIST: i32 = 17;
/// `ResponseCode.QUERY_NOT_FOUND`.
pub(in crate::admin) const QUERY_NOT_FOUND: i32 = 22;
/// `ResponseCode.CONSUMER_NOT_ONLINE`.
pub(in crate::admin) const CONSUMER_NOT_ONLINE: i32 = 206;
