//! Sessions with a peer that misbehaves, over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use openflow::{
    BundleControl, BundleControlType, Decoder, ErrorMsg, ErrorReason, Flow, FlowMod, FlowRequest, FlowStats,
    Frame, Hello, Match, Message, MultipartReply, PacketIn, Stats,
};
use ovs::Address;
use ovs::openflow::{Asynchronous, BundleError, Connected, Session, SessionError, decode, keep_up};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// The other side of a session, which says what the test has it say.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
}

async fn listen() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, address)
}

async fn connected() -> (Session, Asynchronous, Peer) {
    let (listener, address) = listen().await;
    let (session, peer) = tokio::join!(Session::connect(&address), Peer::accept(&listener));
    let (session, asynchronous) = session.unwrap();
    (session, asynchronous, peer)
}

fn bytes(xid: u32, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(xid, &mut bytes).unwrap();
    bytes
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Self { stream, decoder: Decoder::new() };
        peer.send(0, &Message::Hello(Hello::ours())).await;
        assert_eq!(peer.receive().await.message, Message::Hello(Hello::ours()));
        peer
    }

    async fn send(&mut self, xid: u32, message: &Message) {
        self.stream.write_all(&bytes(xid, message)).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        loop {
            if let Some((_, frame)) = self.decoder.poll().unwrap() {
                return frame.unwrap();
            }
            let mut buffer = [0; 4096];
            let n = self.stream.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "the session hung up");
            self.decoder.feed(&buffer[..n]);
        }
    }

    /// Answers the next request, of whatever kind, with this message.
    async fn answer(&mut self, message: &Message) -> Frame {
        let request = self.receive().await;
        self.send(request.xid, message).await;
        request
    }

    async fn answer_control(&mut self, kind: BundleControlType) {
        let request = self.receive().await;
        let Message::BundleControl(control) = request.message else { panic!("{request}") };
        self.send(request.xid, &Message::BundleControl(BundleControl { kind, ..control })).await;
    }
}

fn flow(priority: u16) -> Flow {
    Flow::new(1, priority, Match::new().ipv4())
}

fn part(more: bool, priority: u16) -> Message {
    let entry = FlowStats { flow: flow(priority), stats: Stats::default() };
    Message::MultipartReply { more, body: MultipartReply::Flows(vec![entry]) }
}

fn refusal(reason: ErrorReason) -> Message {
    Message::Error(ErrorMsg { reason, data: vec![] })
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_fails_its_request_and_no_other() {
    let (session, _asynchronous, mut peer) = connected().await;
    let answers = async {
        let request = peer.receive().await;
        let mut reply = bytes(request.xid, &part(false, 7));
        reply[16..18].copy_from_slice(&[0xff, 0xff]); // the length of the only entry
        peer.stream.write_all(&reply).await.unwrap();
        peer.answer(&part(false, 8)).await;
    };
    let requests = async {
        let broken = session.flows(FlowRequest::default()).await;
        assert!(matches!(broken, Err(SessionError::Decode(_))), "{broken:?}");
        let flows = session.flows(FlowRequest::default()).await.unwrap();
        assert_eq!(flows[0].flow, flow(8));
    };
    tokio::join!(answers, requests);
}

#[tokio::test]
async fn a_reply_byte_by_byte_with_other_messages_between_its_parts_arrives_whole() {
    let (session, mut asynchronous, mut peer) = connected().await;
    let packet = Message::PacketIn(PacketIn { packet: vec![1; 60], total_len: 60, ..PacketIn::default() });
    let answers = async {
        let xid = peer.receive().await.xid;
        let stream = [bytes(xid, &part(true, 1)), bytes(0, &packet), bytes(xid, &part(false, 2))].concat();
        for byte in stream {
            peer.stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (flows, ()) = tokio::join!(session.flows(FlowRequest::default()), answers);
    let priorities: Vec<_> = flows.unwrap().iter().map(|entry| entry.flow.priority).collect();
    assert_eq!(priorities, [1, 2]);
    assert_eq!(decode(&asynchronous.next().await.unwrap()).unwrap(), packet);
}

#[tokio::test]
async fn a_refusal_names_the_error_and_leaves_the_session_up() {
    let (session, _asynchronous, mut peer) = connected().await;
    let answers = async {
        peer.answer(&refusal(ErrorReason::BAD_TYPE)).await;
        peer.answer(&Message::BarrierReply).await;
    };
    let requests = async {
        let error = session.barrier().await.unwrap_err();
        assert_eq!(error.to_string(), "the switch refused the message: OFPBRC_BAD_TYPE");
        session.barrier().await.unwrap();
    };
    tokio::join!(answers, requests);
}

#[tokio::test]
async fn a_peer_that_hangs_up_within_a_message_ends_all_requests() {
    let (session, mut asynchronous, mut peer) = connected().await;
    let hang_up = async {
        let xid = peer.receive().await.xid;
        peer.receive().await;
        peer.stream.write_all(&bytes(xid, &part(false, 7))[..20]).await.unwrap();
        drop(peer);
    };
    let (flows, barrier, ()) =
        tokio::join!(session.flows(FlowRequest::default()), session.barrier(), hang_up);
    assert!(matches!(flows, Err(SessionError::Closed(_))), "{flows:?}");
    assert!(matches!(barrier, Err(SessionError::Closed(_))), "{barrier:?}");
    assert!(asynchronous.next().await.is_none());
}

#[tokio::test]
async fn a_bundle_names_the_refused_message_even_if_the_switch_has_forgotten_the_bundle() {
    let (session, _asynchronous, mut peer) = connected().await;
    let overlap = ErrorReason::Standard { kind: 5, code: 3 };
    let bad_bundle = ErrorReason::Standard { kind: 17, code: 2 };
    let answers = async {
        peer.answer_control(BundleControlType::OpenReply).await;
        peer.receive().await;
        peer.answer(&refusal(overlap)).await;
        peer.answer(&Message::BarrierReply).await;
        peer.answer(&refusal(bad_bundle)).await; // to the discard
    };
    let add = |priority| Message::FlowMod(FlowMod::add(flow(priority)));
    let (result, ()) = tokio::join!(session.bundle(vec![add(1), add(2)]), answers);
    let Err(BundleError::Refused { index, message, error }) = result else { panic!("{result:?}") };
    assert_eq!((index, error), (1, overlap));
    assert!(message.contains("priority=2"), "{message}");
}

#[tokio::test]
async fn a_hello_with_padded_unknown_elements_is_understood() {
    let (listener, address) = listen().await;
    // An unknown element of 12 bytes, which 4 bytes of padding follow (OpenFlow 1.5.1 section 7.5.1).
    let unknown = [&[0, 9, 0, 12][..], &[0xff; 8], &[0; 4]].concat();
    let hello = |bitmap: u8| {
        let body = [&unknown[..], &[0, 1, 0, 8, 0, 0, 0, bitmap]].concat();
        [&[6, 0, 0, 32, 0, 0, 0, 0][..], &body].concat()
    };
    for (bitmap, welcome) in [(0x50, true), (0x12, false)] {
        let greet = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&hello(bitmap)).await.unwrap();
            stream
        };
        let (session, _stream) = tokio::join!(Session::connect(&address), greet);
        assert_eq!(session.is_ok(), welcome, "{:?}", session.err());
    }
}

#[tokio::test]
async fn a_session_comes_back_each_time_it_is_lost() {
    let (listener, address) = listen().await;
    let (events_in, mut events) = mpsc::channel(8);
    let (_wanted, wanting) = watch::channel(true);
    let keeping = tokio::spawn(keep_up(address, wanting, events_in));
    for _ in 0..3 {
        let peer = Peer::accept(&listener).await;
        let up = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap();
        assert!(matches!(up, Some(Connected::Up(..))), "{up:?}");
        drop(peer);
        let down = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap();
        assert!(matches!(down, Some(Connected::Down(_))), "{down:?}");
    }
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), keeping).await.unwrap().unwrap();
}
