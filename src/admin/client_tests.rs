//! The client against a server in this process, whose every connection a test holds in its hands.

use std::future::Future;
use std::time::Duration;

use futures::future::{join, join_all};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::codec::Framed;

use super::client::Deadlines;
use super::frame::{Codec, Frame};
use super::{Admin, ClusterInfo, Error, TcpAdmin};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// A client that is patient with everything.
pub(super) fn patient() -> TcpAdmin {
    with(|_| ())
}

fn with(change: impl FnOnce(&mut Deadlines)) -> TcpAdmin {
    let mut deadlines = Deadlines {
        connect: LONG,
        call: LONG,
        long_call: LONG,
        idle: LONG,
    };
    change(&mut deadlines);
    TcpAdmin::new(deadlines)
}

pub(super) struct Server {
    listener: TcpListener,
    pub(super) address: String,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = soon("a connection", self.listener.accept()).await.unwrap();
        Peer(Framed::new(stream, Codec))
    }

    fn is_left_alone(&self) -> bool {
        self.listener.accept().now_or_never().is_none()
    }
}

/// The server's end of a connection.
pub(super) struct Peer(Framed<TcpStream, Codec>);

impl Peer {
    pub(super) async fn is_asked(&mut self) -> Frame {
        soon("a request", self.0.next()).await.unwrap().unwrap()
    }

    /// Answers with a list that holds one broker of that name.
    async fn answers(&mut self, request: &Frame, broker: &str) {
        let body = format!(r#"{{"brokerAddrTable":{{"{broker}":{{}}}}}}"#);
        self.sends(Frame {
            opaque: request.opaque,
            flag: 1,
            body: body.into(),
            ..Frame::default()
        })
        .await;
    }

    pub(super) async fn sends(&mut self, frame: Frame) {
        self.0.send(frame).await.unwrap();
    }

    async fn writes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    async fn hears_the_end(mut self) {
        assert!(soon("the end", self.0.next()).await.is_none());
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LONG, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

async fn has_no_connection(admin: &TcpAdmin) {
    let none = async {
        while admin.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of every connection", none).await;
}

fn only(answer: Result<ClusterInfo, Error>) -> String {
    answer.unwrap().brokers.into_keys().next().unwrap()
}

#[tokio::test]
async fn answers_may_come_in_any_order_and_calls_share_one_connection() {
    let (admin, server) = (patient(), Server::start().await);
    let calls = join_all((0..50).map(|_| admin.cluster_info(&server.address)));
    let answers = async {
        let mut peer = server.accept().await;
        let mut requests = Vec::new();
        for _ in 0..50 {
            requests.push(peer.is_asked().await);
        }
        requests.sort_by_key(|request| request.opaque);
        for request in requests.iter().rev() {
            peer.answers(request, &format!("asked-{}", request.opaque)).await;
        }
        peer
    };
    let (heard, _peer) = join(calls, answers).await;
    for (index, answer) in heard.into_iter().enumerate() {
        assert_eq!(only(answer), format!("asked-{index}"));
    }
    assert!(server.is_left_alone());
}

#[tokio::test]
async fn a_slow_answer_does_not_hold_up_the_others() {
    let (admin, server) = (patient(), Server::start().await);
    let slow = admin.cluster_info(&server.address);
    let rest = async {
        let mut peer = server.accept().await;
        let slow = peer.is_asked().await;
        let (quick, ()) = join(admin.cluster_info(&server.address), async {
            let quick = peer.is_asked().await;
            peer.answers(&quick, "quick").await;
        })
        .await;
        assert_eq!(only(quick), "quick");
        peer.answers(&slow, "slow").await;
        peer
    };
    let (answer, _peer) = join(slow, rest).await;
    assert_eq!(only(answer), "slow");
}

#[tokio::test]
async fn what_the_server_asks_of_its_own_accord_is_no_answer() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        let request = peer.is_asked().await;
        for opaque in [request.opaque, 4711] {
            peer.sends(Frame::request(40, opaque)).await;
        }
        peer.answers(&request, "answer").await;
        peer
    };
    let (answer, _peer) = join(admin.cluster_info(&server.address), answers).await;
    assert_eq!(only(answer), "answer");
}

#[tokio::test]
async fn silence_is_a_timeout_that_names_the_request_and_the_next_call_connects_anew() {
    let (admin, server) = (with(|deadlines| deadlines.call = SHORT), Server::start().await);
    let answer = admin.broker_config(&server.address).await;
    let expected = Error::Timeout {
        address: server.address.clone(),
        request: "GET_BROKER_CONFIG",
        after: SHORT,
    };
    assert_eq!(answer, Err(expected));
    let silent = server.accept().await;
    let _ = admin.broker_config(&server.address).await;
    let _anew = server.accept().await;
    drop(silent);
}

#[tokio::test]
async fn a_whole_table_may_take_longer() {
    let admin = with(|deadlines| deadlines.long_call = SHORT);
    let server = Server::start().await;
    let answer = admin.topics(&server.address).await;
    let expected = Error::Timeout {
        address: server.address.clone(),
        request: "GET_ALL_TOPIC_CONFIG",
        after: SHORT,
    };
    assert_eq!(answer, Err(expected));
    assert!(Deadlines::default().long_call > Deadlines::default().call);
}

#[tokio::test]
async fn a_connection_cut_before_the_answer_is_made_once_more() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        server.accept().await.is_asked().await;
        let mut peer = server.accept().await;
        let request = peer.is_asked().await;
        peer.answers(&request, "answer").await;
        peer
    };
    let (answer, _peer) = join(admin.cluster_info(&server.address), answers).await;
    assert_eq!(only(answer), "answer");
}

#[tokio::test]
async fn a_connection_cut_twice_is_given_up() {
    let (admin, server) = (patient(), Server::start().await);
    let cuts = async {
        for _ in 0..2 {
            server.accept().await.is_asked().await;
        }
    };
    let (answer, ()) = join(admin.runtime_info(&server.address), cuts).await;
    let expected = Error::Closed {
        address: server.address.clone(),
        request: "GET_BROKER_RUNTIME_INFO",
    };
    assert_eq!(answer, Err(expected));
    assert!(server.is_left_alone());
}

#[tokio::test]
async fn a_server_of_another_protocol_is_malformed_and_asked_once() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        peer.is_asked().await;
        peer.writes(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.hears_the_end().await;
    };
    let (answer, ()) = join(admin.cluster_info(&server.address), answers).await;
    assert!(matches!(answer, Err(Error::Malformed { .. })), "{answer:?}");
    assert!(server.is_left_alone());
}

#[tokio::test]
async fn a_header_that_is_cut_off_is_malformed() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        peer.is_asked().await;
        peer.writes(&[0, 0, 0, 5, 0, 0, 0, 1, b'{']).await;
        peer.hears_the_end().await;
    };
    let (answer, ()) = join(admin.cluster_info(&server.address), answers).await;
    assert!(matches!(answer, Err(Error::Malformed { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_spoils_its_own_call_only() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        let request = peer.is_asked().await;
        peer.answers(&request, "\"").await;
        let request = peer.is_asked().await;
        peer.answers(&request, "answer").await;
        peer
    };
    let calls = async {
        let spoiled = admin.cluster_info(&server.address).await;
        (spoiled, admin.cluster_info(&server.address).await)
    };
    let ((spoiled, next), _peer) = join(calls, answers).await;
    assert!(matches!(spoiled, Err(Error::Malformed { .. })), "{spoiled:?}");
    assert_eq!(only(next), "answer");
}

#[tokio::test]
async fn a_refusal_carries_the_code_and_the_words() {
    let (admin, server) = (patient(), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        let opaque = peer.is_asked().await.opaque;
        peer.sends(Frame {
            code: 16,
            opaque,
            flag: 1,
            remark: Some("not you".to_owned()),
            ..Frame::default()
        })
        .await;
        peer
    };
    let (answer, _peer) = join(admin.broker_config(&server.address), answers).await;
    let expected = Error::Refused {
        address: server.address.clone(),
        request: "GET_BROKER_CONFIG",
        code: 16,
        remark: "not you".to_owned(),
    };
    assert_eq!(answer, Err(expected));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_when_idle_is_opened_again() {
    let (admin, server) = (patient(), Server::start().await);
    for notices_first in [true, false] {
        for _ in 0..2 {
            let (answer, peer) = join(admin.cluster_info(&server.address), answers_once(&server)).await;
            assert_eq!(only(answer), "answer");
            drop(peer);
            if notices_first {
                has_no_connection(&admin).await;
            }
        }
    }
}

async fn answers_once(server: &Server) -> Peer {
    let mut peer = server.accept().await;
    let request = peer.is_asked().await;
    peer.answers(&request, "answer").await;
    peer
}

#[tokio::test]
async fn an_unused_connection_is_closed_and_forgotten() {
    let (admin, server) = (with(|deadlines| deadlines.idle = SHORT), Server::start().await);
    let (answer, peer) = join(admin.cluster_info(&server.address), answers_once(&server)).await;
    assert_eq!(only(answer), "answer");
    peer.hears_the_end().await;
    has_no_connection(&admin).await;
}

#[tokio::test]
async fn a_connection_on_which_a_call_waits_is_not_idle() {
    let (admin, server) = (with(|deadlines| deadlines.idle = SHORT), Server::start().await);
    let answers = async {
        let mut peer = server.accept().await;
        let request = peer.is_asked().await;
        assert!(timeout(3 * SHORT, peer.0.next()).await.is_err(), "hung up");
        peer.answers(&request, "slow").await;
        peer
    };
    let (answer, _peer) = join(admin.cluster_info(&server.address), answers).await;
    assert_eq!(only(answer), "slow");
}

/// A call that was cancelled once the server had it.
async fn cancelled_call(admin: &TcpAdmin, server: &Server) -> (Peer, Frame) {
    let took = async {
        let mut peer = server.accept().await;
        let cancelled = peer.is_asked().await;
        (peer, cancelled)
    };
    tokio::select! {
        took = took => took,
        answer = admin.cluster_info(&server.address) => panic!("nobody answered, and yet: {answer:?}"),
    }
}

#[tokio::test]
async fn the_answer_to_a_cancelled_call_is_nobody_elses() {
    let (admin, server) = (patient(), Server::start().await);
    let (mut peer, cancelled) = cancelled_call(&admin, &server).await;
    let answers = async {
        let request = peer.is_asked().await;
        peer.answers(&cancelled, "cancelled").await;
        peer.answers(&request, "wanted").await;
    };
    let (answer, ()) = join(admin.cluster_info(&server.address), answers).await;
    assert_eq!(only(answer), "wanted");
}

#[tokio::test]
async fn a_cancelled_call_leaves_nothing_behind_that_waits_and_keeps_the_connection() {
    let (admin, server) = (with(|deadlines| deadlines.idle = SHORT), Server::start().await);
    let (peer, _never_answered) = cancelled_call(&admin, &server).await;
    peer.hears_the_end().await;
    has_no_connection(&admin).await;
}

#[tokio::test]
async fn every_call_hears_why_there_is_no_connection() {
    let admin = patient();
    let address = Server::start().await.address;
    for answer in join_all((0..3).map(|_| admin.cluster_info(&address))).await {
        assert!(matches!(answer, Err(Error::Connect { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn an_address_that_swallows_connections_is_given_up() {
    let admin = with(|deadlines| deadlines.connect = SHORT);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(stream);
    }
    let answer = admin.cluster_info(&address.to_string()).await;
    let expected = Error::Connect {
        address: address.to_string(),
        reason: "no connection within 100ms".to_owned(),
    };
    assert_eq!(answer, Err(expected));
}

#[tokio::test]
async fn the_connections_do_not_grow_for_ever() {
    let admin = with(|deadlines| {
        deadlines.idle = SHORT;
        deadlines.call = SHORT;
    });
    for _ in 0..10 {
        let (gone, deaf, fine) = (
            Server::start().await.address,
            Server::start().await,
            Server::start().await,
        );
        let _ = admin.cluster_info(&gone).await;
        let _ = admin.cluster_info(&deaf.address).await;
        let _ = join(admin.cluster_info(&fine.address), answers_once(&fine)).await;
    }
    has_no_connection(&admin).await;
}

#[tokio::test]
async fn a_client_that_is_gone_holds_no_connection() {
    let (admin, server) = (patient(), Server::start().await);
    let (_, peer) = join(admin.cluster_info(&server.address), answers_once(&server)).await;
    drop(admin);
    peer.hears_the_end().await;
}
