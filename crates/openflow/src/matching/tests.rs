use std::net::Ipv4Addr;

use super::*;
use crate::addr::MacAddr;
use crate::flags::{CtState, TcpFlags};
use crate::port::PortNo;

/// The match on the wire and back; both must agree.
fn through_the_wire(matching: &Match) -> Match {
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes);
    matching.encode(&mut w);
    w.finish().unwrap();
    let mut r = Reader::new("test", &bytes);
    let decoded = Match::decode(&mut r).unwrap();
    assert!(r.is_empty());
    assert_eq!(&decoded, matching);
    decoded
}

fn decode(bytes: &[u8]) -> Result<Match, DecodeError> {
    Match::decode(&mut Reader::new("test", bytes))
}

#[test]
fn fields_take_their_canonical_place_whatever_the_order_of_calls() {
    let one = Match::new().in_port(5).tcp_dst(80).ipv4_dst("10.1.0.0/16".parse::<ipnet::Ipv4Net>().unwrap());
    let other = Match::new()
        .set(Field::TcpDst, 80u16)
        .masked(Field::Ipv4Dst, Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(255, 255, 0, 0))
        .set(Field::IpProto, 6u8)
        .set(Field::EthType, 0x800u16)
        .set(Field::InPort, PortNo::new(5));
    assert_eq!(one, other);
    assert_eq!(through_the_wire(&one).to_string(), "tcp,in_port=5,nw_dst=10.1.0.0/16,tp_dst=80");
}

#[test]
fn the_wire_form_is_that_of_the_specification() {
    let matching = Match::new().in_port(5).arp_tpa(Ipv4Addr::new(10, 0, 0, 1));
    let mut bytes = Vec::new();
    matching.encode(&mut Writer::new(&mut bytes));
    let expected: &[&[u8]] = &[
        &[0x00, 0x01],             // type: OXM
        &[0x00, 0x1a],             // length without padding
        &[0x80, 0x00, 0x00, 0x04], // OXM_OF_IN_PORT
        &[0, 0, 0, 5],
        &[0x80, 0x00, 0x0a, 0x02], // OXM_OF_ETH_TYPE
        &[0x08, 0x06],
        &[0x80, 0x00, 0x2e, 0x04], // OXM_OF_ARP_TPA
        &[10, 0, 0, 1],
        &[0; 6], // padding
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn masks_of_all_ones_and_of_zero_have_one_form_each() {
    let exact = Match::new().set(Field::Reg2, 7u32);
    assert_eq!(Match::new().masked(Field::Reg2, 7u32, u32::MAX), exact);
    assert_eq!(exact.clone().masked(Field::Reg2, 7u32, 0u32), Match::new());
    assert_eq!(Match::new().masked(Field::Reg2, 0xffu32, 0x0fu32).get(Field::Reg2).unwrap().value, 0x0f);
    assert_eq!(Match::new().ipv4_src("0.0.0.0/0".parse::<ipnet::Ipv4Net>().unwrap()), Match::new().ipv4());
    let flags = Match::new().ipv4().tcp().masked(Field::TcpFlags, 0x2u16, 0xfffu16);
    assert_eq!(flags, Match::new().ipv4().tcp().set(Field::TcpFlags, 2u16));
}

#[test]
fn wide_registers_are_conditions_on_narrow_ones() {
    let wide = Match::new().set(Field::Xreg1, 0x1_0000_0002u64);
    assert_eq!(wide, Match::new().set(Field::Reg2, 1u32).set(Field::Reg3, 2u32));
    assert_eq!(wide.get(Field::Xreg1).unwrap().value, 0x1_0000_0002);
    assert_eq!(wide.get(Field::Xxreg0).unwrap().mask, u128::from(u64::MAX));
    let part = Match::new().masked(Field::Xxreg1, 5u8, 0xffu8);
    assert_eq!(part.to_string(), "reg7=0x5/0xff");
    through_the_wire(&wide);
}

#[test]
fn ranges_of_one_register_add_up() {
    let low = Subfield::new(Field::Reg0, 0, 16);
    let high = Subfield::new(Field::Reg0, 16, 16);
    let matching = Match::new().reg(low, 1u8).reg(high, 2u8);
    assert_eq!(matching.to_string(), "reg0=0x20001");
    assert_eq!(matching.reg(low, 3u8).to_string(), "reg0=0x20003");
    assert_eq!(Match::new().reg(high, 9u8).to_string(), "reg0=0x90000/0xffff0000");
}

#[test]
fn ethernet_as_packet_type_goes_without_saying() {
    assert!(Match::new().set(Field::PacketType, 0u32).is_empty());
    assert_eq!(Match::new().set(Field::PacketType, 0x1_0800u32).to_string(), "packet_type=(1,0x800)");
}

#[test]
fn unknown_fields_are_kept_and_compared() {
    let bytes = [
        &[0x00, 0x01, 0x00, 0x15][..],
        &[0xff, 0xff, 0x02, 0x05, 0x00, 0x5a, 0xd6, 0x50, 0x07], // an experimenter's
        &[0x00, 0x01, 0x00, 0x04, 0, 0, 0, 1],                   // NXM_NX_REG0
        &[0; 3],
    ]
    .concat();
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.to_string(), "reg0=0x1,oxm=0xffff0205005ad65007");
    assert_ne!(decoded, Match::new().set(Field::Reg0, 1u32));
    through_the_wire(&decoded);
}

#[test]
fn broken_matches_are_errors() {
    assert!(decode(&[]).is_err());
    assert!(decode(&[0, 1, 0, 3]).is_err());
    assert!(decode(&[0, 1, 0, 9, 0, 0, 0, 0]).is_err());
    assert!(decode(&[0, 0, 0, 4, 0, 0, 0, 0]).is_err(), "a standard match of OpenFlow 1.1");
    assert!(decode(&[0, 1, 0, 8, 0x80, 0, 0, 4]).is_err(), "a field without its value");
}

#[test]
fn text_is_that_of_ovs_ofctl() {
    let mac = MacAddr([0x0a, 0x58, 0, 0, 0, 1]);
    for (matching, text) in [
        (Match::new(), ""),
        (Match::new().ct_state(CtState::TRK | CtState::NEW, CtState::INV), "ct_state=+new-inv+trk"),
        (
            Match::new().ct_state(CtState::TRK, CtState::EMPTY).ct_state(CtState::EST, CtState::RPL),
            "ct_state=+est-rpl+trk",
        ),
        (Match::new().vlan_vid(7), "dl_vlan=7"),
        (Match::new().untagged(), "vlan_tci=0x0000/0x1fff"),
        (Match::new().tagged(), "vlan_tci=0x1000/0x1000"),
        (
            Match::new().nd_target("fe80::1".parse().unwrap()).nd_sll(mac),
            "icmp6,icmp_type=135,icmp_code=0,\
            nd_target=fe80::1,nd_sll=0a:58:00:00:00:01",
        ),
        (Match::new().ipv6().tcp().tcp_flags(TcpFlags::SYN, TcpFlags::ACK), "tcp6,tcp_flags=+syn-ack"),
        (Match::new().ipv4().set(Field::IpFrag, 0u8), "ip,nw_frag=no"),
        (Match::new().ipv4().masked(Field::IpFrag, 2u8, 2u8), "ip,nw_frag=later"),
        (Match::new().eth_type(0x88cc).eth_dst(mac), "dl_dst=0a:58:00:00:00:01,dl_type=0x88cc"),
        (Match::new().in_port(PortNo::LOCAL).metadata(0), "metadata=0,in_port=LOCAL"),
        (Match::new().ipv4().ip_proto(47).set(Field::IpDscp, 10u8), "ip,nw_proto=47,nw_tos=40"),
    ] {
        assert_eq!(matching.to_string(), text);
        through_the_wire(&matching);
    }
}
