//! Sets of named bits.

use std::fmt;

/// Names of the bits of a set, the lowest bit first.
pub(crate) trait FlagNames {
    const NAMES: &'static [&'static str];

    fn name(bit: u32) -> &'static str {
        usize::try_from(bit).ok().and_then(|bit| Self::NAMES.get(bit)).copied().unwrap_or("[Unknown]")
    }

    /// The bits that are set: `syn|ack`, or `0`.
    fn set(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
        if value == 0 {
            return f.write_str("0");
        }
        let mut separator = "";
        for bit in (0..128).filter(|bit| value >> bit & 1 == 1) {
            write!(f, "{separator}{}", Self::name(bit))?;
            separator = "|";
        }
        Ok(())
    }

    /// The bits that `mask` selects: `+trk-new`; where it selects all of `all`, those that are set.
    fn masked(f: &mut fmt::Formatter<'_>, value: u128, mask: u128, all: u128) -> fmt::Result {
        if mask == all {
            return Self::set(f, value);
        }
        if mask == 0 {
            return f.write_str("0/0");
        }
        for bit in (0..128).filter(|bit| mask >> bit & 1 == 1) {
            let sign = if value >> bit & 1 == 1 { '+' } else { '-' };
            write!(f, "{sign}{}", Self::name(bit))?;
        }
        Ok(())
    }
}

/// Declares a public set of named bits.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident: $int:ty { $($(#[$bit_doc:meta])* $bit:ident = $value:expr;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name($int);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)+

            /// No bit.
            pub const EMPTY: Self = Self(0);

            /// The set with these bits.
            #[must_use]
            pub const fn from_bits(bits: $int) -> Self {
                Self(bits)
            }

            /// The bits of the set.
            #[must_use]
            pub const fn bits(self) -> $int {
                self.0
            }

            /// The bits of both sets.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether all bits of `other` are in this set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether there is no bit in this set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

pub(crate) use flags;

flags! {
    /// Bits of `ct_state`: what connection tracking knows of a packet (`ovs-fields(7)`, "Connection Tracking
    /// Fields").
    CtState: u8 {
        /// The packet begins a connection that nobody has committed.
        NEW = 0x01;
        /// The packet belongs to a committed connection.
        EST = 0x02;
        /// The packet is related to a committed connection (an ICMP error, for example).
        REL = 0x04;
        /// The packet goes in the direction opposite to that of the connection's first packet.
        RPL = 0x08;
        /// The packet cannot belong to any connection.
        INV = 0x10;
        /// Connection tracking has seen the packet.
        TRK = 0x20;
        /// The source address was translated.
        SNAT = 0x40;
        /// The destination address was translated.
        DNAT = 0x80;
    }
}

flags! {
    /// Flags of a TCP header.
    TcpFlags: u16 {
        /// No more data from the sender.
        FIN = 0x001;
        /// Synchronise sequence numbers.
        SYN = 0x002;
        /// Reset the connection.
        RST = 0x004;
        /// Push.
        PSH = 0x008;
        /// The acknowledgement number is valid.
        ACK = 0x010;
        /// The urgent pointer is valid.
        URG = 0x020;
        /// ECN echo.
        ECE = 0x040;
        /// Congestion window reduced.
        CWR = 0x080;
    }
}
