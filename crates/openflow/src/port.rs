//! OpenFlow port numbers.

use std::fmt;

/// An OpenFlow port number: 32 bits on the wire, of which Open vSwitch uses 16.
///
/// Ordinary ports are 1 to 0xfeff (`Self::MAX_ORDINARY`); the rest of the numbers name special ports.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortNo(u32);

impl PortNo {
    /// The highest number of an ordinary port in Open vSwitch.
    pub const MAX_ORDINARY: u32 = 0xfeff;
    /// Not set; only in a match on `actset_output`.
    pub const UNSET: Self = Self(0xffff_fff7);
    /// The port that the packet came in by, which `output` otherwise leaves out.
    pub const IN_PORT: Self = Self(0xffff_fff8);
    /// The flow tables, from the first one (packet-out only).
    pub const TABLE: Self = Self(0xffff_fff9);
    /// Forwarding as an ordinary learning switch would.
    pub const NORMAL: Self = Self(0xffff_fffa);
    /// All ports with flooding enabled but the one the packet came in by.
    pub const FLOOD: Self = Self(0xffff_fffb);
    /// All ports but the one the packet came in by.
    pub const ALL: Self = Self(0xffff_fffc);
    /// The controllers, by packet-in.
    pub const CONTROLLER: Self = Self(0xffff_fffd);
    /// The bridge's own network device.
    pub const LOCAL: Self = Self(0xffff_fffe);
    /// No port in particular; "every port" in requests.
    pub const ANY: Self = Self(0xffff_ffff);

    /// The port with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, as OpenFlow 1.1 and later write it.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as OpenFlow 1.0 and the Nicira extensions write it, in 16 bits.
    pub(crate) const fn to_u16(self) -> u16 {
        let [_, _, high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// The inverse of [`Self::to_u16`].
    pub(crate) const fn from_u16(number: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        if number >= 0xff00 {
            Self(u32::from_be_bytes([0xff, 0xff, high, low]))
        } else {
            Self(u32::from_be_bytes([0, 0, high, low]))
        }
    }
}

impl From<u16> for PortNo {
    /// A port from the range that Open vSwitch uses: numbers from 0xff00 are the special ports, as in OpenFlow 1.0.
    fn from(number: u16) -> Self {
        Self::from_u16(number)
    }
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::UNSET => "UNSET",
            Self::IN_PORT => "IN_PORT",
            Self::TABLE => "TABLE",
            Self::NORMAL => "NORMAL",
            Self::FLOOD => "FLOOD",
            Self::ALL => "ALL",
            Self::CONTROLLER => "CONTROLLER",
            Self::LOCAL => "LOCAL",
            Self::ANY => "ANY",
            Self(number) => return write!(f, "{number}"),
        })
    }
}

impl fmt::Debug for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
