use super::*;
use crate::openflow::frame::{ECHO_REPLY, ECHO_REQUEST, ERROR, HELLO, MULTIPART_REPLY, PORT_STATUS};
use tokio::io::{AsyncWriteExt as _, DuplexStream};

const BARRIER_REQUEST: u8 = 20;
const BARRIER_REPLY: u8 = 21;

struct Peer(DuplexStream);

impl Peer {
    async fn connected() -> (Connection, Asynchronous, Self) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let mut peer = Self(theirs);
        let (started, ()) = tokio::join!(Connection::start(ours), async {
            peer.send(HELLO, 0, &[]).await;
            assert_eq!(peer.receive().await.kind(), HELLO);
        });
        let (connection, asynchronous) = started.unwrap();
        (connection, asynchronous, peer)
    }

    async fn send(&mut self, kind: u8, xid: u32, body: &[u8]) {
        self.0.write_all(Frame::new(kind, xid, body).unwrap().bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        frame::read(&mut self.0).await.unwrap()
    }
}

fn message(kind: u8) -> impl FnOnce(u32) -> Bytes {
    move |xid| Frame::new(kind, xid, &[]).unwrap().bytes().clone()
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let (connection, _asynchronous, mut peer) = Peer::connected().await;
    let answer = async {
        let first = peer.receive().await.xid();
        let second = peer.receive().await.xid();
        peer.send(BARRIER_REPLY, second, b"two.").await;
        peer.send(BARRIER_REPLY, first, b"one.").await;
    };
    let (one, two, ()) = tokio::join!(
        connection.request(message(BARRIER_REQUEST)),
        connection.request(message(BARRIER_REQUEST)),
        answer
    );
    assert_eq!(one.unwrap()[0].body(), b"one.");
    assert_eq!(two.unwrap()[0].body(), b"two.");
}

#[tokio::test]
async fn parts_are_gathered_and_asynchronous_messages_pass_between_them() {
    let (connection, mut asynchronous, mut peer) = Peer::connected().await;
    let answer = async {
        let xid = peer.receive().await.xid();
        peer.send(MULTIPART_REPLY, xid, &[0, 13, 0, 1, 0, 0, 0, 0]).await;
        peer.send(PORT_STATUS, 0, b"port").await;
        peer.send(MULTIPART_REPLY, xid, &[0, 13, 0, 0, 0, 0, 0, 0]).await;
    };
    let (reply, ()) = tokio::join!(connection.request(message(18)), answer);
    assert_eq!(reply.unwrap().len(), 2);
    assert_eq!(asynchronous.next().await.unwrap().body(), b"port");
}

#[tokio::test]
async fn an_error_belongs_to_the_message_that_caused_it() {
    let (connection, _asynchronous, mut peer) = Peer::connected().await;
    let mut batch = connection.batch([message(14), message(14), message(14)]).await.unwrap();
    let answer = async {
        let xids = [peer.receive().await.xid(), peer.receive().await.xid(), peer.receive().await.xid()];
        let barrier = peer.receive().await.xid();
        peer.send(ERROR, xids[1], b"\0\x05\0\x01").await;
        peer.send(BARRIER_REPLY, barrier, &[]).await;
    };
    let (barrier, ()) = tokio::join!(connection.request(message(BARRIER_REQUEST)), answer);
    barrier.unwrap();
    let errors = batch.errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].0, 1);

    let answer = async {
        let xid = peer.receive().await.xid();
        peer.send(ERROR, xid, b"\0\x01\0\x01").await;
    };
    let (refused, ()) = tokio::join!(connection.request(message(24)), answer);
    assert!(matches!(refused, Err(RequestError::Refused(frame)) if frame.body() == b"\0\x01\0\x01"));
}

#[tokio::test]
async fn echo_requests_are_answered() {
    let (_connection, _asynchronous, mut peer) = Peer::connected().await;
    peer.send(ECHO_REQUEST, 99, b"ping").await;
    let reply = peer.receive().await;
    assert_eq!((reply.kind(), reply.xid(), reply.body()), (ECHO_REPLY, 99, &b"ping"[..]));
}

#[tokio::test]
async fn when_the_peer_hangs_up_every_request_ends_with_the_reason() {
    let (connection, mut asynchronous, mut peer) = Peer::connected().await;
    let hang_up = async {
        peer.receive().await;
        peer.0.write_all(&[6, 21, 0, 8]).await.unwrap();
        drop(peer);
    };
    let (reply, ()) = tokio::join!(connection.request(message(BARRIER_REQUEST)), hang_up);
    assert!(matches!(reply, Err(RequestError::Closed(_))), "{reply:?}");
    assert!(connection.closed().await.0.contains("reading"));
    assert!(asynchronous.next().await.is_none());
    let after = connection.request(message(BARRIER_REQUEST)).await;
    assert!(matches!(after, Err(RequestError::Closed(_))), "{after:?}");
}

#[tokio::test]
async fn garbage_ends_the_connection_with_a_reason() {
    let (connection, _asynchronous, mut peer) = Peer::connected().await;
    peer.0.write_all(b"\x06\x01\x00\x03garbage").await.unwrap();
    assert!(connection.closed().await.0.contains("does not speak OpenFlow"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_then_given_up() {
    let (connection, _asynchronous, mut peer) = Peer::connected().await;
    assert_eq!(peer.receive().await.kind(), ECHO_REQUEST);
    let why = connection.closed().await;
    assert!(why.0.contains("not answered for 10 s"), "{why}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_callers_wait_and_nobody_else() {
    let (connection, mut asynchronous, mut peer) = Peer::connected().await;
    let big = |xid| Frame::new(14, xid, &[0; 4096]).unwrap().bytes().clone();
    let flood = tokio::spawn({
        let connection = connection.clone();
        async move { connection.batch((0..2000).map(|_| big)).await.map(|_| ()) }
    });
    // The writer is stuck by now or soon; what the peer says still arrives.
    peer.send(PORT_STATUS, 0, b"port").await;
    assert_eq!(asynchronous.next().await.unwrap().body(), b"port");
    assert!(!flood.is_finished());
    for _ in 0..2000 {
        assert_eq!(peer.receive().await.kind(), 14);
    }
    flood.await.unwrap().unwrap();
}
