//! Matches as `ovs-ofctl` writes them.

use std::fmt::{self, Write as _};

use super::{Match, MatchField, Tlvs};
use crate::addr::Hex;
use crate::field::{CtStateFlags, Field, Formatted, ones};
use crate::flags::FlagNames as _;

/// The priority that `ovs-ofctl` assumes, and so does not print.
pub(crate) const DEFAULT_PRIORITY: u16 = 0x8000;

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", WithPriority(self, DEFAULT_PRIORITY))
    }
}

/// A match after the priority of its flow.
pub(crate) struct WithPriority<'a>(pub(crate) &'a Match, pub(crate) u16);

impl fmt::Display for WithPriority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { of: self.0, out: String::new() };
        if self.1 != DEFAULT_PRIORITY {
            printer.item("priority", self.1)?;
        }
        printer.all()?;
        f.write_str(printer.out.strip_suffix(',').unwrap_or_default())
    }
}

/// Collects items, each followed by a comma. The order is that of Open vSwitch's `match_format()`.
struct Printer<'a> {
    of: &'a Match,
    out: String,
}

impl Printer<'_> {
    fn item(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        write!(self.out, "{name}={value},")
    }

    fn word(&mut self, word: &str) {
        self.out.push_str(word);
        self.out.push(',');
    }

    fn value(&self, field: Field) -> Option<u128> {
        self.of.get(field).map(|entry| entry.value)
    }

    /// `name=` and the field's usual form.
    fn plain(&mut self, name: &str, field: Field) -> fmt::Result {
        let Some(MatchField { field, value, mask }) = self.of.get(field) else { return Ok(()) };
        let mask = (mask != field.all_ones()).then_some(mask);
        self.item(name, Formatted { field, value, mask })
    }

    /// Hexadecimal value, and mask unless it is all ones.
    fn hex(&mut self, name: &str, field: Field) -> fmt::Result {
        let Some(entry) = self.of.get(field) else { return Ok(()) };
        write!(self.out, "{name}={}", Hex(entry.value))?;
        if !entry.is_exact() {
            write!(self.out, "/{}", Hex(entry.mask))?;
        }
        self.out.push(',');
        Ok(())
    }

    /// Decimal value, or value and mask in hexadecimal.
    fn number(&mut self, name: &str, field: Field) -> fmt::Result {
        match self.of.get(field) {
            Some(entry) if entry.is_exact() => self.item(name, entry.value),
            Some(entry) => self.item(name, format_args!("{:#x}/{:#x}", entry.value, entry.mask)),
            None => Ok(()),
        }
    }

    fn all(&mut self) -> fmt::Result {
        self.hex("pkt_mark", Field::PktMark)?;
        self.hex("recirc_id", Field::RecircId)?;
        self.hex("dp_hash", Field::DpHash)?;
        self.number("conj_id", Field::ConjId)?;
        self.plain("actset_output", Field::ActsetOutput)?;
        self.conntrack()?;
        if let Some(value) = self.value(Field::PacketType) {
            write!(self.out, "{},", Formatted { field: Field::PacketType, value, mask: None })?;
        }
        let named = self.protocol();
        for n in 0..16 {
            if let Some(field) = Field::reg(n) {
                self.hex(field.name(), field)?;
            }
        }
        self.tunnel()?;
        self.hex("metadata", Field::Metadata)?;
        self.plain("in_port", Field::InPort)?;
        self.plain("in_port", Field::NxInPort)?;
        self.vlan()?;
        self.plain("dl_src", Field::EthSrc)?;
        self.plain("dl_dst", Field::EthDst)?;
        if let (Some(value), false) = (self.value(Field::EthType), named.eth_type) {
            self.item("dl_type", format_args!("{value:#06x}"))?;
        }
        self.network(named.ip_proto)?;
        self.transport()?;
        self.unknown()
    }

    fn conntrack(&mut self) -> fmt::Result {
        if let Some(MatchField { value, mask, .. }) = self.of.get(Field::CtState) {
            let state = fmt::from_fn(|f| CtStateFlags::masked(f, value, mask, 0xff));
            self.item("ct_state", state)?;
        }
        self.number("ct_zone", Field::CtZone)?;
        self.hex("ct_mark", Field::CtMark)?;
        self.plain("ct_label", Field::CtLabel)?;
        self.plain("ct_nw_src", Field::CtNwSrc)?;
        self.plain("ct_ipv6_src", Field::CtIpv6Src)?;
        self.plain("ct_nw_dst", Field::CtNwDst)?;
        self.plain("ct_ipv6_dst", Field::CtIpv6Dst)?;
        self.number("ct_nw_proto", Field::CtNwProto)?;
        self.number("ct_tp_src", Field::CtTpSrc)?;
        self.number("ct_tp_dst", Field::CtTpDst)
    }

    /// The word for the protocol (`tcp6`), which stands for the Ethernet type and perhaps the IP protocol.
    fn protocol(&mut self) -> Named {
        let (word, ip_proto) = match (self.value(Field::EthType), self.value(Field::IpProto)) {
            (Some(0x0800), Some(1)) => ("icmp", true),
            (Some(0x0800), Some(6)) => ("tcp", true),
            (Some(0x0800), Some(17)) => ("udp", true),
            (Some(0x0800), Some(132)) => ("sctp", true),
            (Some(0x0800), _) => ("ip", false),
            (Some(0x86dd), Some(58)) => ("icmp6", true),
            (Some(0x86dd), Some(6)) => ("tcp6", true),
            (Some(0x86dd), Some(17)) => ("udp6", true),
            (Some(0x86dd), Some(132)) => ("sctp6", true),
            (Some(0x86dd), _) => ("ipv6", false),
            (Some(0x0806), _) => ("arp", false),
            (Some(0x8035), _) => ("rarp", false),
            (Some(0x8847), _) => ("mpls", false),
            (Some(0x8848), _) => ("mplsm", false),
            _ => return Named { eth_type: false, ip_proto: false },
        };
        self.word(word);
        Named { eth_type: true, ip_proto }
    }

    fn tunnel(&mut self) -> fmt::Result {
        self.hex("tun_id", Field::TunId)?;
        self.plain("tun_src", Field::TunSrc)?;
        self.plain("tun_dst", Field::TunDst)?;
        self.plain("tun_ipv6_src", Field::TunIpv6Src)?;
        self.plain("tun_ipv6_dst", Field::TunIpv6Dst)?;
        match self.value(Field::TunFlags) {
            Some(0) => self.item("tun_flags", "-oam"),
            Some(_) => self.item("tun_flags", "+oam"),
            None => Ok(()),
        }
    }

    fn vlan(&mut self) -> fmt::Result {
        const PRESENT: u128 = 0x1000;
        let vid = self.of.get(Field::VlanVid).map_or((0, 0), |entry| (entry.value, entry.mask));
        let pcp = self.of.get(Field::VlanPcp).map_or((0, 0), |entry| (entry.value << 13, 0xe000));
        let (tci, mask) = (vid.0 | pcp.0, vid.1 | pcp.1);
        let tagged = tci & mask & PRESENT != 0;
        match (mask & 0xfff, mask & 0xe000) {
            _ if mask == 0 => Ok(()),
            (vid_mask @ (0 | 0xfff), pcp_mask) if tagged && (vid_mask, pcp_mask) != (0, 0) => {
                if vid_mask != 0 {
                    self.item("dl_vlan", tci & 0xfff)?;
                }
                if pcp_mask != 0 { self.item("dl_vlan_pcp", tci >> 13) } else { Ok(()) }
            }
            _ if mask == 0xffff => self.item("vlan_tci", format_args!("{tci:#06x}")),
            _ => self.item("vlan_tci", format_args!("{tci:#06x}/{mask:#06x}")),
        }
    }

    fn network(&mut self, proto_named: bool) -> fmt::Result {
        self.plain("ipv6_src", Field::Ipv6Src)?;
        self.plain("ipv6_dst", Field::Ipv6Dst)?;
        if let Some(entry) = self.of.get(Field::Ipv6Label) {
            if entry.is_exact() {
                self.item("ipv6_label", format_args!("{:#07x}", entry.value))?;
            } else {
                self.item("ipv6_label", format_args!("{:#07x}/{:#07x}", entry.value, entry.mask))?;
            }
        }
        self.plain("arp_spa", Field::ArpSpa)?;
        self.plain("arp_tpa", Field::ArpTpa)?;
        self.plain("nw_src", Field::Ipv4Src)?;
        self.plain("nw_dst", Field::Ipv4Dst)?;
        if !proto_named {
            self.number("nw_proto", Field::IpProto)?;
        }
        self.number("arp_op", Field::ArpOp)?;
        self.plain("arp_sha", Field::ArpSha)?;
        self.plain("arp_tha", Field::ArpTha)?;
        if let Some(dscp) = self.value(Field::IpDscp) {
            self.item("nw_tos", dscp << 2)?;
        }
        self.number("nw_ecn", Field::IpEcn)?;
        self.number("nw_ttl", Field::IpTtl)?;
        self.number("mpls_label", Field::MplsLabel)?;
        self.number("mpls_tc", Field::MplsTc)?;
        self.number("mpls_ttl", Field::MplsTtl)?;
        self.number("mpls_bos", Field::MplsBos)?;
        self.plain("nw_frag", Field::IpFrag)
    }

    fn transport(&mut self) -> fmt::Result {
        self.number("icmp_type", Field::IcmpType)?;
        self.number("icmp_code", Field::IcmpCode)?;
        self.number("icmp_type", Field::Icmpv6Type)?;
        self.number("icmp_code", Field::Icmpv6Code)?;
        self.plain("nd_target", Field::NdTarget)?;
        self.plain("nd_sll", Field::NdSll)?;
        self.plain("nd_tll", Field::NdTll)?;
        self.number("nd_reserved", Field::NdReserved)?;
        self.number("nd_options_type", Field::NdOptionsType)?;
        for (src, dst) in
            [(Field::TcpSrc, Field::TcpDst), (Field::UdpSrc, Field::UdpDst), (Field::SctpSrc, Field::SctpDst)]
        {
            self.number("tp_src", src)?;
            self.number("tp_dst", dst)?;
        }
        self.plain("tcp_flags", Field::TcpFlags)
    }

    fn unknown(&mut self) -> fmt::Result {
        for tlv in Tlvs::new(self.of.oxm()).filter(|tlv| tlv.known().is_none()) {
            self.out.push_str("oxm=0x");
            for byte in tlv.bytes() {
                write!(self.out, "{byte:02x}")?;
            }
            self.out.push(',');
        }
        Ok(())
    }
}

/// What the word for the protocol already says.
struct Named {
    eth_type: bool,
    ip_proto: bool,
}

impl MatchField {
    /// Whether `value` of the whole field satisfies the condition.
    #[must_use]
    pub fn accepts(&self, value: u128) -> bool {
        value & self.mask & ones(128) == self.value
    }
}
