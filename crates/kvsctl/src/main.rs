//! kvsctl, the operator's tool.

fn main() {}
