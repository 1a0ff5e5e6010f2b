//! Forgetting tracked connections.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::addr::OvsIpv6;
use crate::property::{Property, properties, put_property};
use crate::wire::{DecodeError, Reader, Writer};

/// Has the switch forget connections (Open vSwitch's `NXT_CT_FLUSH`). What is not given does not matter.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CtFlush {
    /// The IP protocol; 0 for any.
    pub ip_proto: u8,
    /// The zone; `None` for all.
    pub zone: Option<u16>,
    /// The direction of the first packet.
    pub original: CtTuple,
    /// The other direction.
    pub reply: CtTuple,
}

/// One direction of a connection. What is `None` or 0 does not matter.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CtTuple {
    /// The source address.
    pub src: Option<IpAddr>,
    /// The destination address.
    pub dst: Option<IpAddr>,
    /// The source port (not for ICMP).
    pub src_port: u16,
    /// The destination port (not for ICMP).
    pub dst_port: u16,
    /// ICMP's identifier, type and code (only for ICMP).
    pub icmp: CtIcmp,
}

/// What identifies a "connection" of ICMP.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct CtIcmp {
    /// The identifier.
    pub id: u16,
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
}

/// Types of the properties of the message.
mod prop {
    pub(super) const ORIG_TUPLE: u16 = 0;
    pub(super) const REPLY_TUPLE: u16 = 1;
    pub(super) const ZONE_ID: u16 = 2;
}

/// Types of the properties of a tuple.
mod tuple {
    pub(super) const SRC: u16 = 0;
    pub(super) const DST: u16 = 1;
    pub(super) const SRC_PORT: u16 = 2;
    pub(super) const DST_PORT: u16 = 3;
    pub(super) const ICMP_ID: u16 = 4;
    pub(super) const ICMP_TYPE: u16 = 5;
    pub(super) const ICMP_CODE: u16 = 6;
}

fn is_icmp(ip_proto: u8) -> bool {
    matches!(ip_proto, 1 | 58)
}

/// IPv4 addresses travel as mapped IPv6 ones.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn read_address(r: &mut Reader<'_>) -> Result<Option<IpAddr>, DecodeError> {
    let address = Ipv6Addr::from_bits(r.u128()?);
    Ok((!address.is_unspecified()).then(|| address.to_canonical()))
}

impl CtTuple {
    /// What is of no meaning for the protocol is passed over.
    fn decode(r: &mut Reader<'_>, ip_proto: u8) -> Result<Self, DecodeError> {
        r.skip(4)?;
        let icmp = is_icmp(ip_proto);
        let mut this = Self::default();
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            match code {
                tuple::SRC => this.src = read_address(&mut body)?,
                tuple::DST => this.dst = read_address(&mut body)?,
                tuple::SRC_PORT if !icmp => this.src_port = body.u16()?,
                tuple::DST_PORT if !icmp => this.dst_port = body.u16()?,
                tuple::ICMP_ID if icmp => this.icmp.id = body.u16()?,
                tuple::ICMP_TYPE if icmp => this.icmp.kind = body.u8()?,
                tuple::ICMP_CODE if icmp => this.icmp.code = body.u8()?,
                _ => {}
            }
        }
        Ok(this)
    }

    fn encode(&self, w: &mut Writer<'_>, code: u16, ip_proto: u8) {
        if *self == Self::default() && !is_icmp(ip_proto) {
            return;
        }
        put_property(w, code, |w| {
            w.zeros(4);
            for (code, address) in [(tuple::SRC, self.src), (tuple::DST, self.dst)] {
                if let Some(address) = address {
                    put_property(w, code, |w| w.u128(mapped(address).to_bits()));
                }
            }
            if is_icmp(ip_proto) {
                put_property(w, tuple::ICMP_ID, |w| w.u16(self.icmp.id));
                put_property(w, tuple::ICMP_TYPE, |w| w.u8(self.icmp.kind));
                put_property(w, tuple::ICMP_CODE, |w| w.u8(self.icmp.code));
            } else {
                for (code, port) in [(tuple::SRC_PORT, self.src_port), (tuple::DST_PORT, self.dst_port)] {
                    if port != 0 {
                        put_property(w, code, |w| w.u16(port));
                    }
                }
            }
        });
    }

    fn is_ipv4(&self) -> bool {
        self.src.or(self.dst).is_some_and(|address| address.is_ipv4())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, ip_proto: u8, ipv4: bool) -> fmt::Result {
        let family = if ipv4 { "nw" } else { "ipv6" };
        for (name, address, comma) in [("src", self.src, ""), ("dst", self.dst, ",")] {
            write!(f, "{comma}ct_{family}_{name}=")?;
            match address {
                Some(IpAddr::V4(address)) => write!(f, "{address}")?,
                Some(IpAddr::V6(address)) => write!(f, "{}", OvsIpv6(address))?,
                None => f.write_str("::")?,
            }
        }
        if is_icmp(ip_proto) {
            let CtIcmp { id, kind, code } = self.icmp;
            write!(f, ",icmp_id={id},icmp_type={kind},icmp_code={code}")
        } else {
            write!(f, ",ct_tp_src={},ct_tp_dst={}", self.src_port, self.dst_port)
        }
    }
}

impl CtFlush {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self { ip_proto: r.u8()?, ..Self::default() };
        r.skip(7)?;
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            match code {
                prop::ORIG_TUPLE => this.original = CtTuple::decode(&mut body, this.ip_proto)?,
                prop::REPLY_TUPLE => this.reply = CtTuple::decode(&mut body, this.ip_proto)?,
                prop::ZONE_ID => this.zone = Some(body.u16()?),
                _ => {}
            }
        }
        Ok(this)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.ip_proto);
        w.zeros(7);
        self.original.encode(w, prop::ORIG_TUPLE, self.ip_proto);
        self.reply.encode(w, prop::REPLY_TUPLE, self.ip_proto);
        if let Some(zone) = self.zone {
            put_property(w, prop::ZONE_ID, |w| w.u16(zone));
        }
    }
}

impl fmt::Display for CtFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ipv4 = self.original.is_ipv4() || self.reply.is_ipv4();
        write!(f, "zone={} '", self.zone.unwrap_or_default())?;
        self.original.write(f, self.ip_proto, ipv4)?;
        write!(f, ",ct_nw_proto={}' '", self.ip_proto)?;
        self.reply.write(f, self.ip_proto, ipv4)?;
        f.write_str("'")
    }
}
