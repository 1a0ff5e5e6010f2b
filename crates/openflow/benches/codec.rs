//! How long it takes to write and read messages, and how long to compare flows.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::Ipv4Addr;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use openflow::{
    Action, Ct, CtState, Decoder, Field, Flow, FlowMod, FlowStats, Frame, Match, Message, MultipartReply,
    Nat, Stats, Subfield,
};

fn main() {
    divan::main();
}

/// A flow of the kind that there are many of: one address, a few registers, on to the next table.
fn flow(n: u32) -> Flow {
    Flow::new(10, 100, Match::new().ipv4_dst(Ipv4Addr::from_bits(0x0a00_0000 + n)))
        .cookie(u64::from(n))
        .action(Action::load(Subfield::new(Field::Reg1, 0, 16), n))
        .action(Action::load(Subfield::new(Field::Reg1, 16, 16), 7u8))
        .goto_table(11)
}

/// A flow of the kind that there are few of.
fn long_flow() -> Flow {
    let matching = Match::new().ipv4().tcp_dst(80).ct_state(CtState::TRK | CtState::NEW, CtState::INV);
    Flow::new(12, 200, matching.reg(Subfield::new(Field::Reg0, 0, 16), 5u8)).action(
        Ct::commit(7)
            .table(13)
            .nat(Nat::dst(Ipv4Addr::LOCALHOST, 8080))
            .exec(Action::load(Field::CtMark, 1u8)),
    )
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(1, &mut bytes).unwrap();
    bytes
}

#[divan::bench(args = ["short", "long"])]
fn encode_flow_mod(bencher: Bencher<'_, '_>, kind: &str) {
    let message = Message::FlowMod(FlowMod::add(if kind == "short" { flow(1) } else { long_flow() }));
    let mut out = Vec::with_capacity(1024);
    bencher.counter(BytesCount::new(encoded(&message).len())).bench_local(|| {
        out.clear();
        message.encode(1, &mut out)
    });
}

#[divan::bench(args = ["short", "long"])]
fn decode_flow_mod(bencher: Bencher<'_, '_>, kind: &str) {
    let bytes = encoded(&Message::FlowMod(FlowMod::add(if kind == "short" { flow(1) } else { long_flow() })));
    bencher.counter(BytesCount::new(bytes.len())).bench(|| Frame::decode(black_box(&bytes)));
}

/// What a restart has to read: the flows of a node.
#[divan::bench(args = [1000, 10_000])]
fn decode_flow_dump(bencher: Bencher<'_, '_>, flows: u32) {
    let entry = |n| FlowStats { flow: flow(n), stats: Stats::default() };
    let mut stream = Vec::new();
    for part in (0..flows).map(entry).collect::<Vec<_>>().chunks(200) {
        let body = MultipartReply::Flows(part.to_vec());
        Message::MultipartReply { more: true, body }.encode(1, &mut stream).unwrap();
    }
    bencher.counter(ItemsCount::new(flows)).bench(|| {
        let mut decoder = Decoder::new();
        decoder.feed(black_box(&stream));
        let mut n = 0;
        while let Ok(Some((_, frame))) = decoder.poll() {
            n += usize::from(black_box(frame).is_ok());
        }
        n
    });
}

#[divan::bench]
fn build_match(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Match::new().in_port(5).ipv4_dst(black_box(Ipv4Addr::LOCALHOST)).tcp_dst(80));
}

#[divan::bench]
fn render_flow(bencher: Bencher<'_, '_>) {
    let flow = long_flow();
    bencher.bench(|| black_box(&flow).to_string());
}
