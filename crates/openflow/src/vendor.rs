//! Ids of the experimenters whose extensions this crate speaks.

/// Nicira, whose extensions Open vSwitch grew up with.
pub(crate) const NICIRA: u32 = 0x0000_2320;
/// Netronome, who defined how select groups choose.
pub(crate) const NETRONOME: u32 = 0x0000_154d;
