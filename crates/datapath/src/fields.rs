//! Every bit that tables hand to each other, named once.

use openflow::{Field, PortNo, Subfield};

/// Where the packet came from, one of [`source`]. `reg0[0..3]`.
pub const SOURCE: Subfield = Subfield::new(Field::Reg0, 0, 4);

/// Where the packet goes, one of [`destination`]; zero until it has been routed. `reg0[4..7]`.
pub const DESTINATION: Subfield = Subfield::new(Field::Reg0, 4, 4);

/// The port the packet leaves by, set when it is routed, as [`port`] has it. `reg1`.
pub const OUTPUT: Subfield = Subfield::new(Field::Reg1, 0, 32);

/// A port's number in [`OUTPUT`]. Open vSwitch outputs to a number in a register only if it is one of its own, of 16
/// bits: the bridge's own interface is 0xfffe there.
#[must_use]
pub const fn port(port: PortNo) -> u32 {
    let number = port.get();
    if number > PortNo::MAX_ORDINARY { number & 0xffff } else { number }
}

/// Values of [`SOURCE`].
pub mod source {
    /// A pod of this node.
    pub const POD: u8 = 1;
    /// The node itself, or what it forwards.
    pub const GATEWAY: u8 = 2;
    /// Another node, by the overlay.
    pub const TUNNEL: u8 = 3;
}

/// Values of [`DESTINATION`].
pub mod destination {
    /// A pod of this node.
    pub const POD: u8 = 1;
    /// The node itself, or what it forwards.
    pub const GATEWAY: u8 = 2;
    /// Another node, by the overlay.
    pub const TUNNEL: u8 = 3;
}
