//! Samples of matches, actions and messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use openflow::{
    Action, AggregateStats, AsyncConfig, Bucket, BucketPosition, BucketStats, BundleAdd, BundleControl,
    BundleControlType, BundleFlags, Controller, Ct, CtFlush, CtIcmp, CtState, CtTuple, CtZone, ErrorMsg,
    ErrorReason, EthernetLink, Features, Field, Flow, FlowFlags, FlowMod, FlowRemoved, FlowRemovedReason,
    FlowRequest, FlowStats, Group, GroupFeatures, GroupMod, GroupStats, GroupType, Hello, Learn, LearnFlags,
    LearnSpec, MacAddr, Match, Message, Meter, MeterBand, MeterBandType, MeterFlags, MeterMod, MeterStats,
    MultipartReply, MultipartRequest, Nat, NatDirection, NatFlags, NatRange, PacketIn, PacketInReason,
    PacketOut, Port, PortNo, PortReason, PortStats, PortStatus, Role, RoleRequest, SelectionMethod, Stats,
    Subfield, SwitchConfig, SwitchDesc, TcpFlags,
};

pub const MAC: MacAddr = MacAddr([0x0a, 0x58, 0x0a, 0x01, 0x02, 0x03]);
pub const LOW: Subfield = Subfield::new(Field::Reg0, 0, 16);
pub const HIGH: Subfield = Subfield::new(Field::Reg0, 16, 16);
pub const FLAG: Subfield = Subfield::new(Field::Reg4, 7, 1);
const V4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x17);

fn v4(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

/// Matches that use every field a flow may match.
pub fn matches() -> Vec<Match> {
    let m = Match::new;
    let mut all = vec![
        m(),
        m().in_port(5),
        m().in_port(PortNo::LOCAL),
        m().eth_src(MAC).eth_dst(MacAddr::BROADCAST),
        m().masked(Field::EthDst, MacAddr([1, 0, 0, 0, 0, 0]), MacAddr([1, 0, 0, 0, 0, 0])),
        m().eth_type(0x88cc),
        m().vlan_vid(100),
        m().vlan_vid(100).set(Field::VlanPcp, 3u8),
        m().vlan_vid(0),
        m().untagged(),
        m().tagged(),
        m().masked(Field::VlanVid, 0x1010u16, 0x1010u16),
        m().tagged().set(Field::VlanPcp, 5u8),
        m().arp(),
        m().arp_op(1).arp_spa(V4).arp_tpa(v4("10.1.0.0/16")).arp_sha(MAC).arp_tha(MacAddr::ZERO),
        m().eth_type(0x8035).set(Field::ArpOp, 3u16),
        m().eth_type(0x8847).set(Field::MplsLabel, 77u32).set(Field::MplsTc, 2u8).set(Field::MplsBos, 1u8),
        m().eth_type(0x8848).set(Field::MplsTtl, 9u8),
        m().ipv4(),
        m().ipv4_src(V4).ipv4_dst(v4("192.168.0.0/20")),
        m().ipv4().masked(Field::Ipv4Dst, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(255, 0, 0, 255)),
        m().ipv4().ip_proto(47),
        m().ipv4().ip_proto(0),
        m().ipv4().set(Field::IpDscp, 46u8).set(Field::IpEcn, 1u8).set(Field::IpTtl, 64u8),
        m().ipv6_src(V6).ipv6_dst(v6("fd00:10:1::/64")),
        m().ipv6_dst(v6("ff00::/8")).set(Field::Ipv6Label, 0x12345u32),
        m().ipv6().masked(Field::Ipv6Label, 0x45u32, 0xffu32).ip_proto(0),
        m().ipv6().masked(Field::Ipv6Src, Ipv6Addr::LOCALHOST, 0xffff_ffff_u32),
        m().ipv4().tcp_src(1024).tcp_dst(80),
        m().ipv6().tcp().masked(Field::TcpDst, 0x8000u16, 0xfff0u16),
        m().ipv4().tcp_flags(TcpFlags::SYN, TcpFlags::ACK | TcpFlags::RST),
        m().ipv6().tcp().set(Field::TcpFlags, 0x012u16),
        m().ipv4().udp_src(53).udp_dst(4789),
        m().ipv6().udp().masked(Field::UdpSrc, 0u16, 0x8000u16),
        m().ipv4().sctp_src(7).sctp_dst(8),
        m().ipv6().sctp_dst(132),
        m().icmp_type(8).icmp_code(0),
        m().icmpv6_type(128),
        m().nd_solicit().nd_target(V6).nd_sll(MAC),
        m().nd_advert().nd_target(V6).nd_tll(MAC),
        m().nd_advert().set(Field::NdReserved, 0x6000_0000u32).set(Field::NdOptionsType, 2u8),
        m().metadata(0x1234_5678_9abc_def0),
        m().masked(Field::Metadata, 0xff00u64, 0xff00u64),
        m().tun_id(0).tun_src(V4).set(Field::TunDst, Ipv4Addr::new(10, 9, 8, 7)),
        m().masked(Field::TunId, 0x10u64, 0xf0u64).set(Field::TunIpv6Src, V6).set(Field::TunIpv6Dst, V6),
        m().set(Field::TunFlags, 1u16),
        m().set(Field::TunFlags, 0u16),
        m().pkt_mark(7),
        m().masked(Field::PktMark, 0x10u32, 0x10u32),
        m().ct_state(CtState::TRK | CtState::EST, CtState::NEW | CtState::RPL),
        m().set(Field::CtState, (CtState::TRK | CtState::NEW).bits()),
        m().ct_zone(65).ct_mark(0, 1).ct_label(1 << 100, 3 << 100),
        m().ct_mark(5, u32::MAX).ct_label(0xabcd, u128::MAX),
        m().ipv4()
            .ct_state(CtState::TRK | CtState::EST, CtState::EMPTY)
            .set(Field::CtNwProto, 6u8)
            .set(Field::CtNwSrc, V4)
            .ipv4_net(Field::CtNwDst, v4("10.0.0.0/8"))
            .set(Field::CtTpSrc, 1u16)
            .set(Field::CtTpDst, 443u16),
        m().ipv6()
            .ct_state(CtState::TRK, CtState::INV)
            .set(Field::CtIpv6Src, V6)
            .ipv6_net(Field::CtIpv6Dst, v6("fd00::/8"))
            .set(Field::CtNwProto, 17u8)
            .masked(Field::CtTpDst, 0x1000u16, 0xf000u16),
        m().conj_id(17).ipv4(),
        m().reg(LOW, 5u8).reg(FLAG, 1u8),
        m().set(Field::Xreg7, 0x1_0000_0001u64),
        m().set(Field::Xxreg3, 0x1_0000_0001u64),
        m().masked(Field::Xxreg0, u128::MAX, 0xf0_0000_0000_0000_0000u128),
    ];
    all.extend((0..16).map(|n| m().set(Field::reg(n).unwrap(), 0x100u32 + u32::from(n))));
    for (value, mask) in [(0u8, 3u8), (1, 3), (3, 3), (1, 1), (0, 1), (2, 2), (0, 2)] {
        all.push(m().ipv4().masked(Field::IpFrag, value, mask));
    }
    all
}

/// Actions of every kind that need no prerequisites.
pub fn actions() -> Vec<Action> {
    vec![
        Action::output(7),
        Action::output_in_port(),
        Action::output(PortNo::LOCAL),
        Action::output(PortNo::NORMAL),
        Action::controller(128),
        Action::controller(u16::MAX),
        Action::output_reg(LOW),
        Action::output_reg(Subfield::new(Field::Xreg1, 3, 20)),
        Action::OutputTrunc { port: 4.into(), max_len: 100 },
        Controller { id: 9, reason: PacketInReason::NO_MATCH, max_len: 64, ..Controller::default() }.into(),
        Controller { userdata: vec![1, 2, 0xff], pause: true, ..Controller::default() }.into(),
        Action::SetQueue(3),
        Action::PopQueue,
        Action::set_field(Field::Reg3, 0u8),
        Action::set_field(Field::Metadata, 0x55u8),
        Action::set_eth_src(MAC),
        Action::set_eth_dst(MacAddr::BROADCAST),
        Action::set_field_masked(Field::EthDst, MacAddr([1, 0, 0, 0, 0, 0]), MacAddr([1, 0, 0, 0, 0, 0])),
        Action::set_field(Field::TunId, 100u8),
        Action::set_tun_dst(V4),
        Action::set_tun_ipv6_dst(V6),
        Action::set_field(Field::TunSrc, V4),
        Action::set_field(Field::PktMark, 0x10u8),
        Action::set_field(Field::Xreg2, u64::MAX),
        Action::set_field(Field::Xxreg1, 1u128 << 77),
        Action::load(HIGH, 0xabcdu16),
        Action::load(FLAG, 1u8),
        Action::load(Subfield::new(Field::Xxreg0, 60, 8), 0xffu8),
        Action::load(Subfield::new(Field::TunId, 4, 24), 0x123u16),
        Action::move_field(LOW, HIGH),
        Action::move_field(Field::EthSrc, Field::EthDst),
        Action::move_field(Field::TunId, Field::Xreg5),
        Action::move_field(Subfield::new(Field::CtLabel, 96, 32), Field::Reg7),
        Action::move_field(Field::InPort, Field::Reg9),
        Action::Push(LOW),
        Action::Pop(Field::Reg15.into()),
        Action::PushVlan(0x8100),
        Action::resubmit(200),
        Action::Resubmit { port: Some(3.into()), table: None, ct: false },
        Action::Resubmit { port: Some(3.into()), table: Some(8), ct: false },
        Action::CtClear,
        Action::Clone(vec![Action::load(LOW, 3u8), Action::Clone(vec![Action::output(2)])]),
        Action::note(*b"hello, world"),
        Action::check_pkt_larger(1500, FLAG),
        Action::Exit,
        Learn {
            table: 20,
            priority: 77,
            cookie: 0xfeed,
            idle_timeout: 1,
            hard_timeout: 2,
            fin_idle_timeout: 3,
            fin_hard_timeout: 4,
            flags: LearnFlags::SEND_FLOW_REM | LearnFlags::DELETE_LEARNED,
            limit: 10,
            result: Some(FLAG),
            specs: vec![
                LearnSpec::match_value(Field::EthType, 0x800u16),
                LearnSpec::match_same(Field::Metadata),
                LearnSpec::MatchField { dst: Field::EthDst.into(), src: Field::EthSrc.into() },
                LearnSpec::MatchValue { dst: LOW, value: 0x1234 },
                LearnSpec::load(HIGH, 9u8),
                LearnSpec::LoadField { dst: LOW, src: Subfield::new(Field::Reg1, 16, 16) },
                LearnSpec::Output { src: Field::NxInPort.into() },
            ],
        }
        .into(),
        Learn { table: 21, specs: vec![LearnSpec::match_same(Field::EthSrc)], ..Learn::default() }.into(),
    ]
}

/// Connection tracking in all its forms, which needs IP packets of the family of its addresses.
pub fn conntrack() -> Vec<Action> {
    let range = |min: IpAddr, max: Option<IpAddr>, port_min, port_max| {
        Some(NatRange { min, max, port_min, port_max })
    };
    let nat =
        |direction, flags, range| Ct::commit(1).nat(Nat { direction: Some(direction), flags, range }).into();
    vec![
        Ct::track(5, 201).into(),
        Ct::track(LOW, 202).nat(Nat::restore()).into(),
        Ct::commit(CtZone::Field(HIGH)).into(),
        Ct { commit: true, force: true, ..Ct::default() }.into(),
        Ct { alg: 21, ..Ct::commit(3) }.into(),
        Ct { alg: 69, ..Ct::commit(3) }.into(),
        Ct::commit(1)
            .table(203)
            .nat(Nat::src(V4))
            .exec(Action::load(Subfield::new(Field::CtMark, 3, 2), 2u8))
            .exec(Action::set_field(Field::CtLabel, 7u8))
            .exec(Action::move_field(Field::Reg5, Subfield::new(Field::CtLabel, 32, 32)))
            .into(),
        Ct::commit(1).exec(Action::set_field(Field::CtMark, 1u8)).into(),
        nat(NatDirection::Src, NatFlags::EMPTY, None),
        nat(NatDirection::Dst, NatFlags::EMPTY, range(V4.into(), None, 80, 0)),
        nat(
            NatDirection::Src,
            NatFlags::PERSISTENT | NatFlags::HASH,
            range(V4.into(), Some(Ipv4Addr::new(10, 1, 2, 9).into()), 1000, 2000),
        ),
        nat(NatDirection::Src, NatFlags::RANDOM, range(V6.into(), None, 0, 0)),
        nat(
            NatDirection::Dst,
            NatFlags::EMPTY,
            range(V6.into(), Some(Ipv6Addr::from_bits(V6.to_bits() + 5).into()), 80, 90),
        ),
    ]
}

/// Actions that only make sense with the match beside them.
pub fn actions_with_prerequisites() -> Vec<(Match, Vec<Action>)> {
    let m = Match::new;
    let family = |action: &Action| match action.to_string() {
        text if text.contains("fd00:") => m().ipv6(),
        text if text.contains("alg=ftp") => m().ipv4().tcp(),
        text if text.contains("alg=tftp") => m().ipv4().udp(),
        _ => m().ipv4(),
    };
    let tracked: Vec<_> = conntrack().into_iter().map(|action| (family(&action), vec![action])).collect();
    let resubmit = Action::Resubmit { port: None, table: Some(8), ct: true };
    let mut all = vec![
        (m().ipv4().ct_state(CtState::TRK | CtState::EST, CtState::EMPTY), vec![resubmit]),
        (
            m().ipv4(),
            vec![
                Action::DecTtl,
                Action::SetTtl(64),
                Action::set_field(Field::Ipv4Src, V4),
                Action::set_field_masked(
                    Field::Ipv4Dst,
                    Ipv4Addr::new(10, 0, 0, 0),
                    Ipv4Addr::new(255, 0, 0, 0),
                ),
                Action::set_field(Field::IpDscp, 10u8),
                Action::set_field(Field::IpEcn, 1u8),
                Action::set_field(Field::IpTtl, 3u8),
            ],
        ),
        (m().ipv4(), vec![Action::DecTtlTo(vec![1, 2, 3])]),
        (
            m().ipv6(),
            vec![
                Action::set_field(Field::Ipv6Src, V6),
                Action::move_field(Field::Ipv6Src, Field::Ipv6Dst),
                Action::set_field(Field::Ipv6Label, 5u8),
            ],
        ),
        (
            m().arp_op(1),
            vec![
                Action::move_field(Field::ArpSpa, Field::ArpTpa),
                Action::set_field(Field::ArpOp, 2u8),
                Action::set_field(Field::ArpSpa, V4),
                Action::set_field(Field::ArpSha, MAC),
                Action::move_field(Field::ArpSha, Field::ArpTha),
            ],
        ),
        (
            m().nd_solicit(),
            vec![
                Action::set_field(Field::Icmpv6Type, 136u8),
                Action::set_field(Field::NdReserved, 0x6000_0000u32),
                Action::set_field(Field::NdOptionsType, 2u8),
                Action::set_field(Field::NdSll, MAC),
            ],
        ),
        (m().nd_advert(), vec![Action::set_field(Field::NdTll, MAC), Action::set_field(Field::NdTarget, V6)]),
        (
            m().ipv4().tcp(),
            vec![
                Action::set_field(Field::TcpDst, 80u8),
                Action::load(Subfield::new(Field::TcpSrc, 0, 4), 3u8),
            ],
        ),
        (m().ipv6().udp(), vec![Action::set_field(Field::UdpDst, 53u8)]),
        (m().ipv4().sctp(), vec![Action::set_field(Field::SctpSrc, 9u8)]),
        (m().icmp(), vec![Action::set_field(Field::IcmpType, 0u8), Action::set_field(Field::IcmpCode, 0u8)]),
        (
            m().tagged(),
            vec![Action::set_vlan_vid(5), Action::set_field(Field::VlanPcp, 2u8), Action::PopVlan],
        ),
        (m(), vec![Action::PushVlan(0x88a8), Action::set_vlan_vid(9)]),
        (m().ipv4(), vec![Action::PushMpls(0x8847), Action::set_field(Field::MplsLabel, 6u8)]),
        (m().eth_type(0x8847), vec![Action::SetMplsTtl(3), Action::DecMplsTtl, Action::PopMpls(0x0800)]),
        (m().ipv4().tcp(), vec![Action::FinTimeout { idle: 5, hard: 6 }]),
    ];
    all.extend(tracked);
    all
}

/// Flows that use every match, every action and every other part of a flow, each with a key of its own.
pub fn flows() -> Vec<Flow> {
    let mut flows: Vec<_> = matches()
        .into_iter()
        .map(|matching| Flow::new(1, 100, matching).cookie(0x1_0000).action(Action::output(1)))
        .collect();
    let actions = actions().into_iter().map(|action| (Match::new(), vec![action]));
    for (priority, (matching, actions)) in (1000..).zip(actions.chain(actions_with_prerequisites())) {
        flows.push(Flow::new(2, priority, matching).actions(actions));
    }
    flows.extend([
        Flow::new(0, 0x8000, Match::new()),
        Flow::new(0, 0, Match::new().in_port(1)).goto_table(200),
        Flow::new(0, 65535, Match::new().in_port(1)).cookie(u64::MAX - 1).write_metadata(5, u64::MAX),
        Flow::new(3, 7, Match::new())
            .action(Action::load(LOW, 1u8))
            .write_metadata(0x50, 0xf0)
            .goto_table(9)
            .timeouts(3600, 7200)
            .flags(FlowFlags::SEND_FLOW_REM | FlowFlags::RESET_COUNTS | FlowFlags::NO_BYT_COUNTS),
        Flow { importance: 5, ..Flow::new(3, 8, Match::new().ipv4()) },
        Flow::new(4, 1, Match::new().ipv4())
            .action(Action::Conjunction { id: 0x10, clause: 1, n_clauses: 2 })
            .action(Action::Conjunction { id: 0x11, clause: 3, n_clauses: 3 }),
    ]);
    let mut sets = Flow::new(5, 1, Match::new());
    sets.instructions.clear = true;
    sets.instructions.write = vec![Action::load(HIGH, 1u8), Action::output(3)];
    flows.push(sets);
    flows
}

/// Groups of every type.
pub fn groups() -> Vec<Group> {
    let to = |port: u16| vec![Action::output(port)];
    let mut watched = Bucket::new(0, to(1));
    watched.watch_port = Some(1.into());
    let mut watched_group = Bucket::new(1, to(2));
    watched_group.watch_group = Some(1);
    vec![
        Group::new(1, GroupType::Indirect)
            .bucket(Bucket::new(0, vec![Action::load(LOW, 9u8), Action::resubmit(7)])),
        Group::new(2, GroupType::All).bucket(Bucket::new(0, to(1))).bucket(Bucket::new(7, to(2))),
        Group::new(3, GroupType::FastFailover).bucket(watched).bucket(watched_group),
        Group::select(4, None)
            .bucket(Bucket::weighted(0, 1, to(1)))
            .bucket(Bucket::weighted(1, 100, to(2)))
            .bucket(Bucket::weighted(2, 0, to(3))),
        Group::select(5, Some(SelectionMethod::dp_hash().param(1))).bucket(Bucket::weighted(
            3,
            2,
            vec![Ct::commit(1).table(8).nat(Nat::dst(V4, 80)).exec(Action::load(Field::CtMark, 4u8)).into()],
        )),
        Group::select(6, Some(SelectionMethod::hash([]))).bucket(Bucket::weighted(0, 1, vec![])),
        Group::select(7, Some(SelectionMethod::hash([Field::Ipv4Dst, Field::Ipv4Src]).param(0xffff_ffff)))
            .bucket(Bucket::weighted(0, 1, to(1))),
        Group::select(8, Some(SelectionMethod::hash([Field::Ipv6Src]))).bucket(Bucket::weighted(0, 5, to(1))),
        Group::new(0xffff_ff00, GroupType::All),
    ]
}

/// Meters of every kind.
pub fn meters() -> Vec<Meter> {
    let drop = MeterBand { kind: MeterBandType::Drop, rate: 1000, burst_size: 0 };
    vec![
        Meter { id: 1, flags: MeterFlags::KBPS, bands: vec![drop] },
        Meter {
            id: 2,
            flags: MeterFlags::PKTPS | MeterFlags::BURST | MeterFlags::STATS,
            bands: vec![MeterBand { burst_size: 50, ..drop }],
        },
    ]
}

fn stats() -> Stats {
    Stats {
        duration: Some(Duration::new(12, 345_000_000)),
        idle: Some(Duration::from_secs(3)),
        packets: Some(9),
        bytes: Some(900),
        flows: None,
    }
}

fn port(number: u16) -> Port {
    Port {
        number: number.into(),
        mac: MAC,
        name: format!("kvs{number}"),
        config: 1,
        state: Port::LIVE | Port::LINK_DOWN,
        ethernet: EthernetLink {
            current: 0x840,
            advertised: 0,
            supported: 0xffff,
            peer: 0x20,
            speed: 10_000_000,
            max_speed: 0,
        },
    }
}

fn port_stats(number: u16) -> PortStats {
    PortStats {
        number: number.into(),
        duration: (number == 3).then_some(Duration::from_millis(1234)),
        rx_packets: 1,
        tx_packets: 2,
        rx_bytes: 3,
        tx_bytes: 4,
        rx_dropped: 5,
        tx_dropped: 6,
        rx_errors: 7,
        tx_errors: 8,
        rx_frame_errors: 9,
        rx_over_errors: u64::MAX,
        rx_crc_errors: 0,
        collisions: 10,
    }
}

fn packet_in() -> PacketIn {
    PacketIn {
        total_len: 4,
        reason: PacketInReason::ACTION,
        table: 3,
        cookie: Some(0xabc),
        metadata: Match::new().in_port(3).set(Field::Reg1, 7u8),
        packet: vec![1, 2, 3, 4],
        ..PacketIn::default()
    }
}

/// Messages that change something.
fn modifications() -> Vec<Message> {
    let group = || groups().swap_remove(3);
    let mut all: Vec<_> = flows().into_iter().map(|flow| Message::FlowMod(FlowMod::add(flow))).collect();
    all.extend(groups().into_iter().map(|group| Message::GroupMod(GroupMod::add(group))));
    all.extend(meters().into_iter().map(|meter| Message::MeterMod(MeterMod::add(meter))));
    let key = || Match::new().ipv4_dst(V4);
    all.extend(
        [
            FlowMod::delete(0xff, Match::new()),
            FlowMod::delete(3, key()).with_cookie(0x5, 0xff),
            FlowMod { out_port: 3.into(), out_group: Some(4), ..FlowMod::delete(3, key()) },
            FlowMod::delete_strict(3, 50, key()),
            FlowMod::modify_strict(Flow::new(3, 50, key()).cookie(7).action(Action::output(1))),
            FlowMod { buffer_id: Some(9), ..FlowMod::add(Flow::new(3, 50, key())) },
        ]
        .map(Message::FlowMod),
    );
    all.extend(
        [
            GroupMod::modify(group()),
            GroupMod::add_or_modify(group()),
            GroupMod::delete(4),
            GroupMod::delete_all(),
            GroupMod::insert_buckets(4, GroupType::Select, BucketPosition::Last, group().buckets),
            GroupMod::insert_buckets(2, GroupType::All, BucketPosition::Id(7), vec![Bucket::new(8, vec![])]),
            GroupMod::remove_buckets(4, BucketPosition::Id(1)),
            GroupMod::remove_buckets(4, BucketPosition::First),
            GroupMod::remove_buckets(4, BucketPosition::All),
        ]
        .map(Message::GroupMod),
    );
    all.push(Message::MeterMod(MeterMod::delete(1)));
    all
}

/// Requests for information and the replies.
fn multipart() -> Vec<Message> {
    let narrow = FlowRequest {
        table: 3,
        out_port: 5.into(),
        matching: Match::new().ipv4_src(v4("10.0.0.0/8")),
        ..FlowRequest::default()
    };
    let requests = [
        MultipartRequest::Desc,
        MultipartRequest::Flows(FlowRequest::default()),
        MultipartRequest::Flows(narrow.clone()),
        MultipartRequest::Aggregate(narrow),
        MultipartRequest::PortStats(PortNo::ANY),
        MultipartRequest::PortStats(4.into()),
        MultipartRequest::GroupStats(None),
        MultipartRequest::GroupStats(Some(3)),
        MultipartRequest::Groups(None),
        MultipartRequest::Groups(Some(3)),
        MultipartRequest::GroupFeatures,
        MultipartRequest::MeterStats(None),
        MultipartRequest::Meters(Some(2)),
        MultipartRequest::Ports(PortNo::ANY),
        MultipartRequest::Ports(3.into()),
    ];
    let flows = flows().into_iter().map(|flow| FlowStats { flow, stats: stats() }).collect();
    let replies = [
        MultipartReply::Desc(SwitchDesc {
            manufacturer: "Nicira, Inc.".into(),
            hardware: "Open vSwitch".into(),
            software: "3.1.0".into(),
            serial_number: "None".into(),
            datapath: "k-vswitch0".into(),
        }),
        MultipartReply::Flows(flows),
        MultipartReply::Flows(vec![]),
        MultipartReply::Aggregate(AggregateStats { packets: 1, bytes: 2, flows: 3 }),
        MultipartReply::PortStats(vec![port_stats(3), port_stats(12)]),
        MultipartReply::GroupStats(vec![GroupStats {
            id: 3,
            ref_count: 1,
            packets: 10,
            bytes: 20,
            duration: Some(Duration::from_millis(1500)),
            buckets: vec![
                BucketStats { packets: 4, bytes: 5 },
                BucketStats { packets: u64::MAX, bytes: u64::MAX },
            ],
        }]),
        MultipartReply::Groups(groups()),
        MultipartReply::MeterStats(vec![MeterStats {
            id: 1,
            flow_count: 2,
            packets: 3,
            bytes: 4,
            duration: Some(Duration::from_secs(5)),
            bands: vec![(6, 7), (8, 9)],
        }]),
        MultipartReply::Meters(meters()),
        MultipartReply::Ports(vec![port(1), port(2)]),
    ];
    let replies = replies.into_iter().map(|body| Message::MultipartReply { more: false, body });
    let more = Message::MultipartReply { more: true, body: MultipartReply::Groups(vec![]) };
    requests.into_iter().map(Message::MultipartRequest).chain(replies).chain([more]).collect()
}

/// Messages of bundles.
fn bundles() -> Vec<Message> {
    let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    let add = |message| Message::BundleAdd(BundleAdd { id: 0x77, flags, message: Box::new(message) });
    let mut all: Vec<_> = [
        BundleControlType::OpenRequest,
        BundleControlType::OpenReply,
        BundleControlType::CloseRequest,
        BundleControlType::CloseReply,
        BundleControlType::CommitRequest,
        BundleControlType::CommitReply,
        BundleControlType::DiscardRequest,
        BundleControlType::DiscardReply,
    ]
    .map(|kind| Message::BundleControl(BundleControl { id: 0x77, kind, flags }))
    .into();
    all.push(add(Message::FlowMod(FlowMod::add(flows().swap_remove(3)))));
    all.push(add(Message::GroupMod(GroupMod::add(groups().swap_remove(3)))));
    all
}

/// Messages that Open vSwitch prints with the name of an experimenter.
fn extensions() -> Vec<Message> {
    let tuple = |src: IpAddr, dst: IpAddr| CtTuple { src: Some(src), dst: Some(dst), ..CtTuple::default() };
    let ported = CtTuple { src_port: 5, dst_port: 80, ..tuple(V4.into(), Ipv4Addr::LOCALHOST.into()) };
    let icmp = CtTuple { icmp: CtIcmp { id: 7, kind: 128, code: 1 }, ..tuple(V6.into(), V6.into()) };
    vec![
        Message::SetPacketInFormat(0),
        Message::SetPacketInFormat(2),
        Message::PacketIn2(packet_in()),
        Message::PacketIn2(PacketIn { total_len: 90, userdata: vec![5, 6], ..packet_in() }),
        Message::Resume(packet_in()),
        Message::CtFlushZone(65),
        Message::CtFlush(CtFlush { ip_proto: 6, zone: Some(3), original: ported, reply: ported }),
        Message::CtFlush(CtFlush { ip_proto: 58, zone: None, original: icmp, reply: icmp }),
        Message::CtFlush(CtFlush { zone: Some(9), ..CtFlush::default() }),
    ]
}

/// Messages of every kind that `ovs-ofctl` can print.
pub fn messages() -> Vec<Message> {
    let mut barrier = Vec::new();
    Message::BarrierRequest.encode(0x99, &mut barrier).unwrap();
    let error = |kind, code, data: &[u8]| {
        Message::Error(ErrorMsg { reason: ErrorReason::Standard { kind, code }, data: data.to_vec() })
    };
    let config = AsyncConfig {
        packet_in: (Some(0), Some(0x3f)),
        port_status: (Some(7), Some(7)),
        flow_removed: (Some(0), Some(0x3f)),
        role_status: (Some(0), Some(0)),
        table_status: (Some(0), Some(0x18)),
        request_forward: (Some(0), Some(3)),
    };
    let mut all = vec![
        Message::Hello(Hello::ours()),
        Message::Hello(Hello { versions: 0x52 }),
        error(0, 0, b"no common version"),
        error(2, 4, &barrier),
        error(17, 13, &barrier),
        Message::Error(ErrorMsg {
            reason: ErrorReason::Experimenter { experimenter: 0x2320, code: 42 },
            data: barrier.clone(),
        }),
        Message::EchoRequest(vec![]),
        Message::EchoReply(vec![1, 2, 3]),
        Message::FeaturesRequest,
        Message::FeaturesReply(Features {
            datapath_id: 0x0a58_0000_0002,
            n_buffers: 0,
            n_tables: 254,
            auxiliary_id: 0,
            capabilities: 0x4f,
        }),
        Message::GetConfigRequest,
        Message::GetConfigReply(SwitchConfig { flags: 0, miss_send_len: 0 }),
        Message::SetConfig(SwitchConfig { flags: 1, miss_send_len: 128 }),
        Message::PacketIn(packet_in()),
        Message::PacketIn(PacketIn { buffer_id: Some(0x10), total_len: 60, ..packet_in() }),
        Message::PacketIn(PacketIn { total_len: 60, cookie: None, table: 0, ..packet_in() }),
        Message::FlowRemoved(FlowRemoved {
            table: 3,
            reason: FlowRemovedReason::DELETE,
            priority: 50,
            idle_timeout: 5,
            hard_timeout: 6,
            cookie: 0x55,
            matching: Match::new().ipv4().tcp_dst(80),
            stats: Stats { idle: None, ..stats() },
        }),
        Message::PortStatus(PortStatus { reason: PortReason::Add, port: port(3) }),
        Message::PortStatus(PortStatus { reason: PortReason::Delete, port: port(4) }),
        Message::PortStatus(PortStatus { reason: PortReason::Modify, port: port(5) }),
        Message::PacketOut(PacketOut::new(
            PortNo::CONTROLLER,
            vec![Action::load(LOW, 1u8), Action::output(3)],
            vec![0; 60],
        )),
        Message::PacketOut(PacketOut { buffer_id: Some(5), ..PacketOut::new(3, vec![], vec![]) }),
        Message::BarrierRequest,
        Message::BarrierReply,
        Message::RoleRequest(RoleRequest { role: Role::Primary, generation_id: Some(7) }),
        Message::RoleRequest(RoleRequest { role: Role::NoChange, generation_id: None }),
        Message::RoleReply(RoleRequest { role: Role::Equal, generation_id: None }),
        Message::GetAsyncRequest,
        Message::GetAsyncReply(config),
        Message::SetAsync(config),
    ];
    all.extend(modifications());
    all.extend(multipart());
    all.extend(bundles());
    all.extend(extensions());
    all
}

/// Messages that `ovs-ofctl` prints in another way, or not at all.
pub fn unprintable_messages() -> Vec<Message> {
    vec![
        Message::MultipartReply {
            more: false,
            body: MultipartReply::GroupFeatures(GroupFeatures {
                types: 0xf,
                capabilities: 7,
                max_groups: [1, 2, 3, 4],
                actions: [0x1_ffff; 4],
            }),
        },
        Message::MultipartRequest(MultipartRequest::Other { kind: 99, body: vec![1, 2] }),
        Message::MultipartReply { more: true, body: MultipartReply::Other { kind: 99, body: vec![3] } },
        Message::Experimenter { experimenter: 1, kind: 2, body: vec![3, 4] },
        Message::Other { kind: 30, body: vec![1; 16] },
        Message::PacketIn2(PacketIn { continuation: vec![0, 0, 0, 0, 1, 2, 3, 4], ..packet_in() }),
    ]
}
