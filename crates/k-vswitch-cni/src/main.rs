//! The CNI plugin k-vswitch-cni.

fn main() {}
