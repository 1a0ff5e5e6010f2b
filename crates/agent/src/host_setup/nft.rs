//! Commands for the nftables table, as `nft -j` takes them (libnftables-json(5)).

use serde_json::{Value, json};

use super::NFT_TABLE;

/// Commands as one transaction.
pub(crate) fn batch(commands: &[Value]) -> Value {
    json!({ "nftables": commands })
}

/// Adds (`add`) or takes away (`delete`) elements of a set or a map.
pub(crate) fn element(verb: &str, name: &str, elements: &[Value]) -> Value {
    json!({ verb: { "element": { "family": "inet", "table": NFT_TABLE, "name": name, "elem": elements } } })
}

pub(super) fn table(verb: &str) -> Value {
    json!({ verb: { "table": { "family": "inet", "name": NFT_TABLE } } })
}

/// A chain that the kernel calls.
pub(super) fn base_chain(name: &str, kind: &str, hook: &str, priority: i32) -> Value {
    json!({ "add": { "chain": {
        "family": "inet", "table": NFT_TABLE, "name": name,
        "type": kind, "hook": hook, "prio": priority, "policy": "accept",
    } } })
}

/// A chain that others jump to.
pub(super) fn chain(verb: &str, name: &str) -> Value {
    json!({ verb: { "chain": { "family": "inet", "table": NFT_TABLE, "name": name } } })
}

pub(super) fn set(verb: &str, name: &str, key: &[&str]) -> Value {
    json!({ verb: { "set": { "family": "inet", "table": NFT_TABLE, "name": name, "type": key } } })
}

pub(super) fn map(verb: &str, name: &str, key: &[&str], value: &str) -> Value {
    json!({ verb: { "map": {
        "family": "inet", "table": NFT_TABLE, "name": name, "type": key, "map": value,
    } } })
}

/// A map whose keys begin with ranges of addresses.
pub(super) fn map_of_ranges(verb: &str, name: &str, key: &[&str], value: &str) -> Value {
    json!({ verb: { "map": {
        "family": "inet", "table": NFT_TABLE, "name": name, "type": key, "map": value, "flags": ["interval"],
    } } })
}

pub(super) fn rule(chain: &str, expr: &[Value], comment: &str) -> Value {
    json!({ "add": { "rule": {
        "family": "inet", "table": NFT_TABLE, "chain": chain, "expr": expr, "comment": comment,
    } } })
}

pub(super) fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

pub(super) fn payload(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

/// A range of addresses, as expressions and elements have it.
pub(crate) fn prefix(net: ipnet::IpNet) -> Value {
    json!({ "prefix": { "addr": net.network(), "len": net.prefix_len() } })
}

/// Compares: `op` is `==`, `!=` or `in`.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn matches(left: Value, op: &str, right: impl Into<Value>) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right.into() } })
}
