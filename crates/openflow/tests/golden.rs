//! Messages byte by byte, as the specifications lay them out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use openflow::{
    Action, Bucket, BundleAdd, BundleControl, BundleControlType, BundleFlags, CtFlush, CtTuple, ErrorMsg,
    ErrorReason, Field, Flow, FlowFlags, FlowMod, FlowStats, Frame, Group, GroupMod, Hello, Match, Message,
    Meter, MeterBand, MeterBandType, MeterFlags, MeterMod, MultipartReply, MultipartRequest, PacketIn,
    PacketInReason, PacketOut, PortNo, SelectionMethod, Stats, Subfield,
};

#[track_caller]
fn check(message: Message, wire: &[&[u8]]) {
    let wire = wire.concat();
    let mut bytes = Vec::new();
    message.encode(0x0102_0304, &mut bytes).unwrap();
    assert_eq!(bytes, wire, "{}", message.with_xid(0x0102_0304));
    assert_eq!(Frame::decode(&wire), Ok(Frame { xid: 0x0102_0304, message }));
}

const XID: &[u8] = &[1, 2, 3, 4];
const NICIRA: &[u8] = &[0x00, 0x00, 0x23, 0x20];

#[test]
fn hello() {
    check(
        Message::Hello(Hello::ours()),
        &[
            &[6, 0, 0x00, 0x10], // version, type, length
            XID,
            &[0x00, 0x01, 0x00, 0x08], // element: version bitmap
            &[0x00, 0x00, 0x00, 0x40],
        ],
    );
}

#[test]
fn error() {
    let data = vec![6, 20, 0, 8, 0, 0, 0, 9];
    check(
        Message::Error(ErrorMsg { reason: ErrorReason::Standard { kind: 2, code: 4 }, data: data.clone() }),
        &[&[6, 1, 0x00, 0x14], XID, &[0x00, 0x02], &[0x00, 0x04], &data],
    );
    check(
        Message::Error(ErrorMsg {
            reason: ErrorReason::Experimenter { experimenter: 0x2320, code: 42 },
            data: data.clone(),
        }),
        &[&[6, 1, 0x00, 0x18], XID, &[0xff, 0xff], &[0x00, 0x2a], NICIRA, &data],
    );
}

#[test]
fn flow_mod() {
    let flow = Flow::new(3, 100, Match::new().ipv4_dst(Ipv4Addr::new(10, 0, 0, 1)))
        .cookie(0x1122)
        .timeouts(5, 6)
        .flags(FlowFlags::SEND_FLOW_REM)
        .action(Action::output(7))
        .goto_table(9);
    check(
        Message::FlowMod(FlowMod::add(flow)),
        &[
            &[6, 14, 0x00, 0x68],
            XID,
            &[0, 0, 0, 0, 0, 0, 0x11, 0x22], // cookie
            &[0; 8],                         // cookie mask
            &[3],                            // table
            &[0],                            // command: add
            &[0x00, 0x05],                   // idle timeout
            &[0x00, 0x06],                   // hard timeout
            &[0x00, 0x64],                   // priority
            &[0xff; 4],                      // no buffer
            &[0xff; 4],                      // any port
            &[0xff; 4],                      // any group
            &[0x00, 0x01],                   // flags
            &[0x00, 0x00],                   // importance
            &[0x00, 0x01, 0x00, 0x12],       // match: OXM, length
            &[0x80, 0x00, 0x0a, 0x02],       // OXM_OF_ETH_TYPE
            &[0x08, 0x00],
            &[0x80, 0x00, 0x18, 0x04], // OXM_OF_IPV4_DST
            &[10, 0, 0, 1],
            &[0; 6],                               // padding
            &[0x00, 0x04, 0x00, 0x18, 0, 0, 0, 0], // apply actions
            &[0x00, 0x00, 0x00, 0x10],             // output
            &[0x00, 0x00, 0x00, 0x07],
            &[0x00, 0x00], // max_len
            &[0; 6],
            &[0x00, 0x01, 0x00, 0x08], // goto table
            &[9, 0, 0, 0],
        ],
    );
}

#[test]
fn group_mod() {
    let selection = SelectionMethod::hash([Field::Ipv4Src]).param(2);
    let group = Group::select(5, Some(selection)).bucket(Bucket::weighted(1, 10, vec![Action::Group(6)]));
    check(
        Message::GroupMod(GroupMod::add(group)),
        &[
            &[6, 15, 0x00, 0x60],
            XID,
            &[0x00, 0x00],             // command: add
            &[1, 0],                   // type: select
            &[0, 0, 0, 5],             // id
            &[0x00, 0x18, 0, 0],       // bytes of buckets
            &[0xff; 4],                // command bucket: all
            &[0x00, 0x18, 0x00, 0x08], // bucket: length, bytes of actions
            &[0, 0, 0, 1],             // bucket id
            &[0x00, 0x16, 0x00, 0x08], // action: group
            &[0, 0, 0, 6],
            &[0x00, 0x00, 0x00, 0x06], // property: weight
            &[0x00, 0x0a, 0, 0],
            &[0xff, 0xff, 0x00, 0x30], // property: experimenter
            &[0x00, 0x00, 0x15, 0x4d], // Netronome
            &[0, 0, 0, 1],             // selection method
            &[0; 4],
            b"hash\0\0\0\0\0\0\0\0\0\0\0\0",
            &[0, 0, 0, 0, 0, 0, 0, 2], // parameter
            &[0x80, 0x00, 0x16, 0x04], // OXM_OF_IPV4_SRC
            &[0xff; 4],
        ],
    );
}

#[test]
fn meter_mod() {
    let band = MeterBand { kind: MeterBandType::DscpRemark(2), rate: 1000, burst_size: 50 };
    let meter = Meter { id: 8, flags: MeterFlags::KBPS | MeterFlags::BURST, bands: vec![band] };
    check(
        Message::MeterMod(MeterMod::add(meter)),
        &[
            &[6, 29, 0x00, 0x20],
            XID,
            &[0x00, 0x00], // command: add
            &[0x00, 0x05], // flags
            &[0, 0, 0, 8],
            &[0x00, 0x02, 0x00, 0x10], // band: DSCP remark
            &[0x00, 0x00, 0x03, 0xe8],
            &[0x00, 0x00, 0x00, 0x32],
            &[2, 0, 0, 0],
        ],
    );
}

#[test]
fn bundles() {
    let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    check(
        Message::BundleControl(BundleControl { id: 7, kind: BundleControlType::CommitRequest, flags }),
        &[
            &[6, 33, 0x00, 0x10],
            XID,
            &[0, 0, 0, 7],
            &[0x00, 0x04], // commit
            &[0x00, 0x03],
        ],
    );
    check(
        Message::BundleAdd(BundleAdd { id: 7, flags, message: Box::new(Message::BarrierRequest) }),
        &[&[6, 34, 0x00, 0x18], XID, &[0, 0, 0, 7], &[0, 0], &[0x00, 0x03], &[6, 20, 0x00, 0x08], XID],
    );
}

#[test]
fn flow_description() {
    let stats = Stats {
        duration: Some(Duration::new(5, 6)),
        idle: Some(Duration::from_secs(1)),
        packets: Some(2),
        bytes: Some(3),
        flows: None,
    };
    // The switch sends registers in pairs, and says that packets are Ethernet.
    let matching = Match::new().set(Field::Reg1, 0x55u8);
    let flow = Flow { importance: 4, ..Flow::new(9, 10, matching).cookie(0xab) };
    let wire: &[&[u8]] = &[
        &[6, 19, 0x00, 0x88],
        XID,
        &[0x00, 0x01, 0x00, 0x01, 0, 0, 0, 0], // flow description, more to come
        &[0x00, 0x78, 0, 0],                   // length
        &[9, 0],                               // table
        &[0x00, 0x0a],                         // priority
        &[0; 4],                               // timeouts
        &[0; 2],                               // flags
        &[0x00, 0x04],                         // importance
        &[0, 0, 0, 0, 0, 0, 0, 0xab],          // cookie
        &[0x00, 0x01, 0x00, 0x20],             // match: OXM, length
        &[0x80, 0x00, 0x58, 0x04],             // OXM_OF_PACKET_TYPE
        &[0, 0, 0, 0],
        &[0x80, 0x01, 0x01, 0x10], // OXM_OF_PKT_REG0, masked
        &[0, 0, 0, 0, 0, 0, 0, 0x55],
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0x00, 0x00, 0x00, 0x34], // counters: length
        &[0x80, 0x02, 0x00, 0x08], // duration
        &[0, 0, 0, 5, 0, 0, 0, 6],
        &[0x80, 0x02, 0x02, 0x08], // idle time
        &[0, 0, 0, 1, 0, 0, 0, 0],
        &[0x80, 0x02, 0x08, 0x08], // packets
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[0x80, 0x02, 0x0a, 0x08], // bytes
        &[0, 0, 0, 0, 0, 0, 0, 3],
        &[0; 4],                   // padding
        &[0x00, 0x05, 0x00, 0x08], // clear actions
        &[0; 4],
    ];
    let mut flow = flow;
    flow.instructions.clear = true;
    let body = MultipartReply::Flows(vec![FlowStats { flow, stats }]);
    let frame = Frame { xid: 0x0102_0304, message: Message::MultipartReply { more: true, body } };
    assert_eq!(Frame::decode(&wire.concat()), Ok(frame));
}

#[test]
fn multipart_request() {
    check(
        Message::MultipartRequest(MultipartRequest::Groups(None)),
        &[
            &[6, 18, 0x00, 0x18],
            XID,
            &[0x00, 0x07, 0x00, 0x00, 0, 0, 0, 0], // group description
            &[0xff, 0xff, 0xff, 0xfc],             // all groups
            &[0; 4],
        ],
    );
}

#[test]
fn packets() {
    let packet_in = PacketIn {
        total_len: 100,
        reason: PacketInReason::ACTION,
        table: 3,
        cookie: Some(0x55),
        metadata: Match::new().in_port(2),
        userdata: vec![0xaa],
        packet: vec![1, 2, 3, 4],
        ..PacketIn::default()
    };
    check(
        Message::PacketIn2(packet_in),
        &[
            &[6, 4, 0x00, 0x58],
            XID,
            NICIRA,
            &[0, 0, 0, 30],
            &[0x00, 0x00, 0x00, 0x08, 1, 2, 3, 4],   // packet
            &[0x00, 0x01, 0x00, 0x08, 0, 0, 0, 100], // full length
            &[0x00, 0x03, 0x00, 0x05, 3, 0, 0, 0],   // table
            &[0x00, 0x04, 0x00, 0x10, 0, 0, 0, 0],   // cookie
            &[0, 0, 0, 0, 0, 0, 0, 0x55],
            &[0x00, 0x05, 0x00, 0x05, 1, 0, 0, 0],             // reason
            &[0x00, 0x06, 0x00, 0x0c, 0x80, 0x00, 0x00, 0x04], // metadata
            &[0, 0, 0, 2, 0, 0, 0, 0],
            &[0x00, 0x07, 0x00, 0x05, 0xaa, 0, 0, 0], // user data
        ],
    );
    check(
        Message::PacketOut(PacketOut::new(PortNo::CONTROLLER, vec![Action::output(2)], vec![9; 3])),
        &[
            &[6, 13, 0x00, 0x33],
            XID,
            &[0xff; 4],          // no buffer
            &[0x00, 0x10, 0, 0], // bytes of actions
            &[0x00, 0x01, 0x00, 0x0c],
            &[0x80, 0x00, 0x00, 0x04],
            &[0xff, 0xff, 0xff, 0xfd], // in_port: controller
            &[0; 4],
            &[0x00, 0x00, 0x00, 0x10],
            &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
            &[9; 3],
        ],
    );
}

#[test]
fn ct_flush() {
    check(
        Message::CtFlushZone(5),
        &[&[6, 4, 0x00, 0x18], XID, NICIRA, &[0, 0, 0, 29], &[0; 6], &[0x00, 0x05]],
    );
    let original =
        CtTuple { dst: Some(Ipv4Addr::new(10, 0, 0, 1).into()), dst_port: 53, ..CtTuple::default() };
    check(
        Message::CtFlush(CtFlush { ip_proto: 17, zone: Some(4), original, reply: CtTuple::default() }),
        &[
            &[6, 4, 0x00, 0x48],
            XID,
            NICIRA,
            &[0, 0, 0, 32],
            &[17],
            &[0; 7],
            &[0x00, 0x00, 0x00, 0x28, 0, 0, 0, 0], // original tuple
            &[0x00, 0x01, 0x00, 0x14],             // destination, a mapped IPv4 address
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1],
            &[0; 4],
            &[0x00, 0x03, 0x00, 0x06, 0x00, 0x35, 0, 0], // destination port
            &[0x00, 0x02, 0x00, 0x06, 0x00, 0x04, 0, 0], // zone
        ],
    );
}

#[test]
fn registers_are_cut_into_named_ranges() {
    let range = Subfield::new(Field::Reg0, 8, 8);
    let matching = Match::new().reg(range, 0xabu8);
    let flow = Flow::new(0, 0x8000, matching);
    let mut bytes = Vec::new();
    Message::FlowMod(FlowMod::add(flow)).encode(1, &mut bytes).unwrap();
    let expected: &[&[u8]] = &[
        &[0x00, 0x01, 0x00, 0x10],
        &[0x00, 0x01, 0x01, 0x08], // NXM_NX_REG0, masked
        &[0x00, 0x00, 0xab, 0x00],
        &[0x00, 0x00, 0xff, 0x00],
    ];
    assert_eq!(bytes[48..], expected.concat());
}
