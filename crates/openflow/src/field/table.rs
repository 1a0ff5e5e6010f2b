//! The table of fields.

use super::{CodePoint, Format, Info};

/// Declares the fields. A line reads: variant, name, bytes, bits, significant bits, maskable, format, code points.
macro_rules! fields {
    ($($variant:ident $name:literal $bytes:literal $bits:literal/$significant:literal $maskable:ident $format:ident
        $([$class:literal $code:literal $point:literal])+;)+) => {
        /// A field of a packet or of the metadata that accompanies it through the flow tables.
        ///
        /// The order of the variants is the order in which [`Match`](crate::Match) keeps fields: what another
        /// field needs as a prerequisite comes before it.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`, ", stringify!($bits), " bits.")] $variant,)+
        }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub(crate) fn info(self) -> &'static Info {
                match self {
                    $(Self::$variant => const { &Info {
                        name: $name,
                        bytes: $bytes,
                        bits: $bits,
                        significant: $significant,
                        maskable: fields!(@$maskable),
                        format: Format::$format,
                        code_points: &[$(CodePoint { class: $class, code: $code, name: $point }),+],
                    } },)+
                }
            }

            pub(crate) fn from_code(class: u16, code: u8) -> Option<Self> {
                match (class, code) {
                    $($(($class, $code) => Some(Self::$variant),)+)+
                    _ => None,
                }
            }
        }
    };
    (@mask) => { true };
    (@exact) => { false };
}

fields! {
    PacketType "packet_type" 4 32/32 exact PacketType [0x8000 44 "OXM_OF_PACKET_TYPE"];
    DpHash "dp_hash" 4 32/32 mask Hexadecimal [0x0001 35 "NXM_NX_DP_HASH"];
    RecircId "recirc_id" 4 32/32 exact Decimal [0x0001 36 "NXM_NX_RECIRC_ID"];
    ConjId "conj_id" 4 32/32 exact Decimal [0x0001 37 "NXM_NX_CONJ_ID"];
    InPort "in_port_oxm" 4 32/32 exact Port [0x8000 0 "OXM_OF_IN_PORT"];
    NxInPort "in_port" 2 16/16 exact Port [0x0000 0 "NXM_OF_IN_PORT"];
    ActsetOutput "actset_output" 4 32/32 exact Port [0x8000 43 "OXM_OF_ACTSET_OUTPUT"];
    EthSrc "eth_src" 6 48/48 mask Ethernet [0x0000 2 "NXM_OF_ETH_SRC"] [0x8000 4 "OXM_OF_ETH_SRC"];
    EthDst "eth_dst" 6 48/48 mask Ethernet [0x0000 1 "NXM_OF_ETH_DST"] [0x8000 3 "OXM_OF_ETH_DST"];
    EthType "eth_type" 2 16/16 exact Hexadecimal [0x0000 3 "NXM_OF_ETH_TYPE"] [0x8000 5 "OXM_OF_ETH_TYPE"];
    VlanVid "vlan_vid" 2 12/13 mask Decimal [0x8000 6 "OXM_OF_VLAN_VID"];
    VlanPcp "vlan_pcp" 1 3/3 exact Decimal [0x8000 7 "OXM_OF_VLAN_PCP"];
    MplsTc "mpls_tc" 1 3/3 exact Decimal [0x8000 35 "OXM_OF_MPLS_TC"];
    MplsBos "mpls_bos" 1 1/1 exact Decimal [0x8000 36 "OXM_OF_MPLS_BOS"];
    MplsTtl "mpls_ttl" 1 8/8 exact Decimal [0x0001 30 "NXM_NX_MPLS_TTL"];
    MplsLabel "mpls_label" 4 20/20 exact Decimal [0x8000 34 "OXM_OF_MPLS_LABEL"];
    Ipv4Src "ip_src" 4 32/32 mask Ipv4 [0x0000 7 "NXM_OF_IP_SRC"] [0x8000 11 "OXM_OF_IPV4_SRC"];
    Ipv4Dst "ip_dst" 4 32/32 mask Ipv4 [0x0000 8 "NXM_OF_IP_DST"] [0x8000 12 "OXM_OF_IPV4_DST"];
    Ipv6Src "ipv6_src" 16 128/128 mask Ipv6 [0x0001 19 "NXM_NX_IPV6_SRC"] [0x8000 26 "OXM_OF_IPV6_SRC"];
    Ipv6Dst "ipv6_dst" 16 128/128 mask Ipv6 [0x0001 20 "NXM_NX_IPV6_DST"] [0x8000 27 "OXM_OF_IPV6_DST"];
    IpFrag "ip_frag" 1 2/2 mask Frag [0x0001 26 "NXM_NX_IP_FRAG"];
    IpDscp "ip_dscp" 1 6/6 exact Decimal [0x8000 8 "OXM_OF_IP_DSCP"];
    IpEcn "nw_ecn" 1 2/2 exact Decimal [0x0001 28 "NXM_NX_IP_ECN"] [0x8000 9 "OXM_OF_IP_ECN"];
    IpTtl "nw_ttl" 1 8/8 exact Decimal [0x0001 29 "NXM_NX_IP_TTL"];
    Ipv6Label "ipv6_label" 4 20/20 mask Hexadecimal
        [0x0001 27 "NXM_NX_IPV6_LABEL"] [0x8000 28 "OXM_OF_IPV6_FLABEL"];
    IpProto "nw_proto" 1 8/8 exact Decimal [0x0000 6 "NXM_OF_IP_PROTO"] [0x8000 10 "OXM_OF_IP_PROTO"];
    TcpSrc "tcp_src" 2 16/16 mask Decimal [0x0000 9 "NXM_OF_TCP_SRC"] [0x8000 13 "OXM_OF_TCP_SRC"];
    TcpDst "tcp_dst" 2 16/16 mask Decimal [0x0000 10 "NXM_OF_TCP_DST"] [0x8000 14 "OXM_OF_TCP_DST"];
    TcpFlags "tcp_flags" 2 12/12 mask TcpFlags [0x0001 34 "NXM_NX_TCP_FLAGS"] [0x8000 42 "OXM_OF_TCP_FLAGS"];
    UdpSrc "udp_src" 2 16/16 mask Decimal [0x0000 11 "NXM_OF_UDP_SRC"] [0x8000 15 "OXM_OF_UDP_SRC"];
    UdpDst "udp_dst" 2 16/16 mask Decimal [0x0000 12 "NXM_OF_UDP_DST"] [0x8000 16 "OXM_OF_UDP_DST"];
    SctpSrc "sctp_src" 2 16/16 mask Decimal [0x8000 17 "OXM_OF_SCTP_SRC"];
    SctpDst "sctp_dst" 2 16/16 mask Decimal [0x8000 18 "OXM_OF_SCTP_DST"];
    IcmpType "icmp_type" 1 8/8 exact Decimal [0x0000 13 "NXM_OF_ICMP_TYPE"] [0x8000 19 "OXM_OF_ICMPV4_TYPE"];
    IcmpCode "icmp_code" 1 8/8 exact Decimal [0x0000 14 "NXM_OF_ICMP_CODE"] [0x8000 20 "OXM_OF_ICMPV4_CODE"];
    Icmpv6Type "icmpv6_type" 1 8/8 exact Decimal
        [0x0001 21 "NXM_NX_ICMPV6_TYPE"] [0x8000 29 "OXM_OF_ICMPV6_TYPE"];
    Icmpv6Code "icmpv6_code" 1 8/8 exact Decimal
        [0x0001 22 "NXM_NX_ICMPV6_CODE"] [0x8000 30 "OXM_OF_ICMPV6_CODE"];
    NdReserved "nd_reserved" 4 32/32 exact Decimal [0x1000 1 "ERICOXM_OF_ICMPV6_ND_RESERVED"];
    NdTarget "nd_target" 16 128/128 mask Ipv6 [0x0001 23 "NXM_NX_ND_TARGET"] [0x8000 31 "OXM_OF_IPV6_ND_TARGET"];
    NdOptionsType "nd_options_type" 1 8/8 exact Decimal [0x1000 2 "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"];
    NdSll "nd_sll" 6 48/48 mask Ethernet [0x0001 24 "NXM_NX_ND_SLL"] [0x8000 32 "OXM_OF_IPV6_ND_SLL"];
    NdTll "nd_tll" 6 48/48 mask Ethernet [0x0001 25 "NXM_NX_ND_TLL"] [0x8000 33 "OXM_OF_IPV6_ND_TLL"];
    ArpOp "arp_op" 2 16/16 exact Decimal [0x0000 15 "NXM_OF_ARP_OP"] [0x8000 21 "OXM_OF_ARP_OP"];
    ArpSpa "arp_spa" 4 32/32 mask Ipv4 [0x0000 16 "NXM_OF_ARP_SPA"] [0x8000 22 "OXM_OF_ARP_SPA"];
    ArpTpa "arp_tpa" 4 32/32 mask Ipv4 [0x0000 17 "NXM_OF_ARP_TPA"] [0x8000 23 "OXM_OF_ARP_TPA"];
    ArpSha "arp_sha" 6 48/48 mask Ethernet [0x0001 17 "NXM_NX_ARP_SHA"] [0x8000 24 "OXM_OF_ARP_SHA"];
    ArpTha "arp_tha" 6 48/48 mask Ethernet [0x0001 18 "NXM_NX_ARP_THA"] [0x8000 25 "OXM_OF_ARP_THA"];
    TunId "tun_id" 8 64/64 mask Hexadecimal [0x0001 16 "NXM_NX_TUN_ID"] [0x8000 38 "OXM_OF_TUNNEL_ID"];
    TunFlags "tun_flags" 2 1/1 mask TunnelFlags [0x0001 104 "NXM_NX_TUN_FLAGS"];
    TunSrc "tun_src" 4 32/32 mask Ipv4 [0x0001 31 "NXM_NX_TUN_IPV4_SRC"];
    TunDst "tun_dst" 4 32/32 mask Ipv4 [0x0001 32 "NXM_NX_TUN_IPV4_DST"];
    TunIpv6Src "tun_ipv6_src" 16 128/128 mask Ipv6 [0x0001 109 "NXM_NX_TUN_IPV6_SRC"];
    TunIpv6Dst "tun_ipv6_dst" 16 128/128 mask Ipv6 [0x0001 110 "NXM_NX_TUN_IPV6_DST"];
    Reg0 "reg0" 4 32/32 mask Hexadecimal [0x0001 0 "NXM_NX_REG0"];
    Reg1 "reg1" 4 32/32 mask Hexadecimal [0x0001 1 "NXM_NX_REG1"];
    Reg2 "reg2" 4 32/32 mask Hexadecimal [0x0001 2 "NXM_NX_REG2"];
    Reg3 "reg3" 4 32/32 mask Hexadecimal [0x0001 3 "NXM_NX_REG3"];
    Reg4 "reg4" 4 32/32 mask Hexadecimal [0x0001 4 "NXM_NX_REG4"];
    Reg5 "reg5" 4 32/32 mask Hexadecimal [0x0001 5 "NXM_NX_REG5"];
    Reg6 "reg6" 4 32/32 mask Hexadecimal [0x0001 6 "NXM_NX_REG6"];
    Reg7 "reg7" 4 32/32 mask Hexadecimal [0x0001 7 "NXM_NX_REG7"];
    Reg8 "reg8" 4 32/32 mask Hexadecimal [0x0001 8 "NXM_NX_REG8"];
    Reg9 "reg9" 4 32/32 mask Hexadecimal [0x0001 9 "NXM_NX_REG9"];
    Reg10 "reg10" 4 32/32 mask Hexadecimal [0x0001 10 "NXM_NX_REG10"];
    Reg11 "reg11" 4 32/32 mask Hexadecimal [0x0001 11 "NXM_NX_REG11"];
    Reg12 "reg12" 4 32/32 mask Hexadecimal [0x0001 12 "NXM_NX_REG12"];
    Reg13 "reg13" 4 32/32 mask Hexadecimal [0x0001 13 "NXM_NX_REG13"];
    Reg14 "reg14" 4 32/32 mask Hexadecimal [0x0001 14 "NXM_NX_REG14"];
    Reg15 "reg15" 4 32/32 mask Hexadecimal [0x0001 15 "NXM_NX_REG15"];
    Xreg0 "xreg0" 8 64/64 mask Hexadecimal [0x8001 0 "OXM_OF_PKT_REG0"];
    Xreg1 "xreg1" 8 64/64 mask Hexadecimal [0x8001 1 "OXM_OF_PKT_REG1"];
    Xreg2 "xreg2" 8 64/64 mask Hexadecimal [0x8001 2 "OXM_OF_PKT_REG2"];
    Xreg3 "xreg3" 8 64/64 mask Hexadecimal [0x8001 3 "OXM_OF_PKT_REG3"];
    Xreg4 "xreg4" 8 64/64 mask Hexadecimal [0x8001 4 "OXM_OF_PKT_REG4"];
    Xreg5 "xreg5" 8 64/64 mask Hexadecimal [0x8001 5 "OXM_OF_PKT_REG5"];
    Xreg6 "xreg6" 8 64/64 mask Hexadecimal [0x8001 6 "OXM_OF_PKT_REG6"];
    Xreg7 "xreg7" 8 64/64 mask Hexadecimal [0x8001 7 "OXM_OF_PKT_REG7"];
    Xxreg0 "xxreg0" 16 128/128 mask Hexadecimal [0x0001 111 "NXM_NX_XXREG0"];
    Xxreg1 "xxreg1" 16 128/128 mask Hexadecimal [0x0001 112 "NXM_NX_XXREG1"];
    Xxreg2 "xxreg2" 16 128/128 mask Hexadecimal [0x0001 113 "NXM_NX_XXREG2"];
    Xxreg3 "xxreg3" 16 128/128 mask Hexadecimal [0x0001 114 "NXM_NX_XXREG3"];
    PktMark "pkt_mark" 4 32/32 mask Hexadecimal [0x0001 33 "NXM_NX_PKT_MARK"];
    CtState "ct_state" 4 32/8 mask CtState [0x0001 105 "NXM_NX_CT_STATE"];
    CtZone "ct_zone" 2 16/16 exact Hexadecimal [0x0001 106 "NXM_NX_CT_ZONE"];
    CtMark "ct_mark" 4 32/32 mask Hexadecimal [0x0001 107 "NXM_NX_CT_MARK"];
    CtLabel "ct_label" 16 128/128 mask Hexadecimal [0x0001 108 "NXM_NX_CT_LABEL"];
    CtNwSrc "ct_nw_src" 4 32/32 mask Ipv4 [0x0001 120 "NXM_NX_CT_NW_SRC"];
    CtIpv6Src "ct_ipv6_src" 16 128/128 mask Ipv6 [0x0001 122 "NXM_NX_CT_IPV6_SRC"];
    CtNwDst "ct_nw_dst" 4 32/32 mask Ipv4 [0x0001 121 "NXM_NX_CT_NW_DST"];
    CtIpv6Dst "ct_ipv6_dst" 16 128/128 mask Ipv6 [0x0001 123 "NXM_NX_CT_IPV6_DST"];
    CtNwProto "ct_nw_proto" 1 8/8 exact Decimal [0x0001 119 "NXM_NX_CT_NW_PROTO"];
    CtTpSrc "ct_tp_src" 2 16/16 mask Decimal [0x0001 124 "NXM_NX_CT_TP_SRC"];
    CtTpDst "ct_tp_dst" 2 16/16 mask Decimal [0x0001 125 "NXM_NX_CT_TP_DST"];
    Metadata "metadata" 8 64/64 mask Hexadecimal [0x8000 2 "OXM_OF_METADATA"];
}
