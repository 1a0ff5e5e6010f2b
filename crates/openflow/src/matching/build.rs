//! Fluent construction of matches with typed values.
//!
//! A method demands what its name says and the prerequisites that are beyond doubt: an IPv4 address implies IPv4,
//! a TCP port implies TCP, but whether TCP over IPv4 or IPv6 is for the caller to say.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::Match;
use crate::addr::MacAddr;
use crate::field::Field;
use crate::flags::{CtState, TcpFlags};
use crate::port::PortNo;
use crate::subfield::Subfield;

/// The bit of `vlan_vid` which says that there is a VLAN tag.
const VLAN_PRESENT: u16 = 0x1000;

impl Match {
    /// Packets that came in by `port`.
    #[must_use]
    pub fn in_port(self, port: impl Into<PortNo>) -> Self {
        self.set(Field::InPort, port.into())
    }

    /// Packets from this Ethernet address.
    #[must_use]
    pub fn eth_src(self, mac: MacAddr) -> Self {
        self.set(Field::EthSrc, mac)
    }

    /// Packets to this Ethernet address.
    #[must_use]
    pub fn eth_dst(self, mac: MacAddr) -> Self {
        self.set(Field::EthDst, mac)
    }

    /// Packets of this Ethernet type.
    #[must_use]
    pub fn eth_type(self, ethertype: u16) -> Self {
        self.set(Field::EthType, ethertype)
    }

    /// ARP packets.
    #[must_use]
    pub fn arp(self) -> Self {
        self.eth_type(0x0806)
    }

    /// IPv4 packets.
    #[must_use]
    pub fn ipv4(self) -> Self {
        self.eth_type(0x0800)
    }

    /// IPv6 packets.
    #[must_use]
    pub fn ipv6(self) -> Self {
        self.eth_type(0x86dd)
    }

    /// Packets with this VLAN id (12 bits).
    #[must_use]
    pub fn vlan_vid(self, vid: u16) -> Self {
        self.set(Field::VlanVid, vid | VLAN_PRESENT)
    }

    /// Packets without a VLAN tag.
    #[must_use]
    pub fn untagged(self) -> Self {
        self.set(Field::VlanVid, 0u16)
    }

    /// Packets with any VLAN tag.
    #[must_use]
    pub fn tagged(self) -> Self {
        self.masked(Field::VlanVid, VLAN_PRESENT, VLAN_PRESENT)
    }

    /// ARP packets of this operation: 1 request, 2 reply.
    #[must_use]
    pub fn arp_op(self, operation: u16) -> Self {
        self.arp().set(Field::ArpOp, operation)
    }

    /// ARP packets whose sender claims one of these addresses.
    #[must_use]
    pub fn arp_spa(self, net: impl Into<Ipv4Net>) -> Self {
        self.arp().ipv4_net(Field::ArpSpa, net.into())
    }

    /// ARP packets about one of these addresses.
    #[must_use]
    pub fn arp_tpa(self, net: impl Into<Ipv4Net>) -> Self {
        self.arp().ipv4_net(Field::ArpTpa, net.into())
    }

    /// ARP packets whose sender claims this Ethernet address.
    #[must_use]
    pub fn arp_sha(self, mac: MacAddr) -> Self {
        self.arp().set(Field::ArpSha, mac)
    }

    /// ARP packets with this target Ethernet address.
    #[must_use]
    pub fn arp_tha(self, mac: MacAddr) -> Self {
        self.arp().set(Field::ArpTha, mac)
    }

    /// IPv4 packets from one of these addresses. A prefix of length 0 demands IPv4 alone.
    #[must_use]
    pub fn ipv4_src(self, net: impl Into<Ipv4Net>) -> Self {
        self.ipv4().ipv4_net(Field::Ipv4Src, net.into())
    }

    /// IPv4 packets to one of these addresses. A prefix of length 0 demands IPv4 alone.
    #[must_use]
    pub fn ipv4_dst(self, net: impl Into<Ipv4Net>) -> Self {
        self.ipv4().ipv4_net(Field::Ipv4Dst, net.into())
    }

    /// IPv6 packets from one of these addresses. A prefix of length 0 demands IPv6 alone.
    #[must_use]
    pub fn ipv6_src(self, net: impl Into<Ipv6Net>) -> Self {
        self.ipv6().ipv6_net(Field::Ipv6Src, net.into())
    }

    /// IPv6 packets to one of these addresses. A prefix of length 0 demands IPv6 alone.
    #[must_use]
    pub fn ipv6_dst(self, net: impl Into<Ipv6Net>) -> Self {
        self.ipv6().ipv6_net(Field::Ipv6Dst, net.into())
    }

    /// IP packets of this protocol. The version must be demanded as well.
    #[must_use]
    pub fn ip_proto(self, protocol: u8) -> Self {
        self.set(Field::IpProto, protocol)
    }

    /// TCP packets. The version of IP must be demanded as well.
    #[must_use]
    pub fn tcp(self) -> Self {
        self.ip_proto(6)
    }

    /// UDP packets. The version of IP must be demanded as well.
    #[must_use]
    pub fn udp(self) -> Self {
        self.ip_proto(17)
    }

    /// SCTP packets. The version of IP must be demanded as well.
    #[must_use]
    pub fn sctp(self) -> Self {
        self.ip_proto(132)
    }

    /// ICMP packets over IPv4.
    #[must_use]
    pub fn icmp(self) -> Self {
        self.ipv4().ip_proto(1)
    }

    /// ICMPv6 packets.
    #[must_use]
    pub fn icmpv6(self) -> Self {
        self.ipv6().ip_proto(58)
    }

    /// TCP packets from this port.
    #[must_use]
    pub fn tcp_src(self, port: u16) -> Self {
        self.tcp().set(Field::TcpSrc, port)
    }

    /// TCP packets to this port.
    #[must_use]
    pub fn tcp_dst(self, port: u16) -> Self {
        self.tcp().set(Field::TcpDst, port)
    }

    /// UDP packets from this port.
    #[must_use]
    pub fn udp_src(self, port: u16) -> Self {
        self.udp().set(Field::UdpSrc, port)
    }

    /// UDP packets to this port.
    #[must_use]
    pub fn udp_dst(self, port: u16) -> Self {
        self.udp().set(Field::UdpDst, port)
    }

    /// SCTP packets from this port.
    #[must_use]
    pub fn sctp_src(self, port: u16) -> Self {
        self.sctp().set(Field::SctpSrc, port)
    }

    /// SCTP packets to this port.
    #[must_use]
    pub fn sctp_dst(self, port: u16) -> Self {
        self.sctp().set(Field::SctpDst, port)
    }

    /// TCP packets with the `set` flags set and the `unset` flags not set.
    #[must_use]
    pub fn tcp_flags(self, set: TcpFlags, unset: TcpFlags) -> Self {
        self.tcp().masked(Field::TcpFlags, set.bits(), set.union(unset).bits())
    }

    /// ICMP packets over IPv4 of this type.
    #[must_use]
    pub fn icmp_type(self, kind: u8) -> Self {
        self.icmp().set(Field::IcmpType, kind)
    }

    /// ICMP packets over IPv4 with this code; the type must be demanded as well.
    #[must_use]
    pub fn icmp_code(self, code: u8) -> Self {
        self.icmp().set(Field::IcmpCode, code)
    }

    /// ICMPv6 packets of this type.
    #[must_use]
    pub fn icmpv6_type(self, kind: u8) -> Self {
        self.icmpv6().set(Field::Icmpv6Type, kind)
    }

    /// ICMPv6 packets with this code; the type must be demanded as well.
    #[must_use]
    pub fn icmpv6_code(self, code: u8) -> Self {
        self.icmpv6().set(Field::Icmpv6Code, code)
    }

    /// Neighbour solicitations.
    #[must_use]
    pub fn nd_solicit(self) -> Self {
        self.icmpv6_type(135).icmpv6_code(0)
    }

    /// Neighbour advertisements.
    #[must_use]
    pub fn nd_advert(self) -> Self {
        self.icmpv6_type(136).icmpv6_code(0)
    }

    /// Neighbour discovery about this address; solicitation or advertisement must be demanded as well.
    #[must_use]
    pub fn nd_target(self, address: Ipv6Addr) -> Self {
        self.icmpv6().set(Field::NdTarget, address)
    }

    /// Neighbour solicitations with this source link-layer address.
    #[must_use]
    pub fn nd_sll(self, mac: MacAddr) -> Self {
        self.nd_solicit().set(Field::NdSll, mac)
    }

    /// Neighbour advertisements with this target link-layer address.
    #[must_use]
    pub fn nd_tll(self, mac: MacAddr) -> Self {
        self.nd_advert().set(Field::NdTll, mac)
    }

    /// Packets with this value in a range of bits of a register (or of any other field).
    #[must_use]
    pub fn reg(self, range: impl Into<Subfield>, value: impl Into<u128>) -> Self {
        self.subfield(range.into(), value.into())
    }

    /// Packets with this metadata.
    #[must_use]
    pub fn metadata(self, value: u64) -> Self {
        self.set(Field::Metadata, value)
    }

    /// Packets that came in by a tunnel with this key.
    #[must_use]
    pub fn tun_id(self, id: u64) -> Self {
        self.set(Field::TunId, id)
    }

    /// Packets that came in by a tunnel from this address.
    #[must_use]
    pub fn tun_src(self, address: Ipv4Addr) -> Self {
        self.set(Field::TunSrc, address)
    }

    /// Packets with this mark.
    #[must_use]
    pub fn pkt_mark(self, mark: u32) -> Self {
        self.set(Field::PktMark, mark)
    }

    /// Packets with the `set` bits of `ct_state` set and the `unset` bits not set, besides what is demanded of it
    /// already.
    #[must_use]
    pub fn ct_state(mut self, set: CtState, unset: CtState) -> Self {
        let mask = u128::from(set.union(unset).bits());
        let old = self.get(Field::CtState).map_or((0, 0), |entry| (entry.value, entry.mask));
        self.put(Field::CtState, old.0 & !mask | u128::from(set.bits()), old.1 | mask);
        self
    }

    /// Packets that connection tracking saw in this zone.
    #[must_use]
    pub fn ct_zone(self, zone: u16) -> Self {
        self.set(Field::CtZone, zone)
    }

    /// Packets of connections with the masked bits of the mark so.
    #[must_use]
    pub fn ct_mark(self, value: u32, mask: u32) -> Self {
        self.masked(Field::CtMark, value, mask)
    }

    /// Packets of connections with the masked bits of the label so.
    #[must_use]
    pub fn ct_label(self, value: u128, mask: u128) -> Self {
        self.masked(Field::CtLabel, value, mask)
    }

    /// Packets which satisfy the conjunction of this id.
    #[must_use]
    pub fn conj_id(self, id: u32) -> Self {
        self.set(Field::ConjId, id)
    }

    /// Demands that a field with an IPv4 address be in `net`; the prerequisites are for the caller.
    #[must_use]
    pub fn ipv4_net(self, field: Field, net: Ipv4Net) -> Self {
        self.masked(field, net.addr(), net.netmask())
    }

    /// Demands that a field with an IPv6 address be in `net`; the prerequisites are for the caller.
    #[must_use]
    pub fn ipv6_net(self, field: Field, net: Ipv6Net) -> Self {
        self.masked(field, net.addr(), net.netmask())
    }
}
