//! The controller k-vswitch-controller.

fn main() {}
