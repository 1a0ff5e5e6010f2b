//! The node daemon k-vswitchd.

fn main() {}
