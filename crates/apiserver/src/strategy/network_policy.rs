//! Network policies.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Strategy, label_selector_errors,
    pod::{PORT_RANGE, PROTOCOLS, port_name},
};
use crate::{object, status::Errors};

#[derive(Debug)]
pub(crate) struct NetworkPolicies;

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

impl Strategy for NetworkPolicies {
    fn default(&self, object: &mut Value) {
        object::default(object, &["spec", "podSelector"], json!({}));
        if object::list(object, &["spec", "policyTypes"]).is_empty() {
            let egress = !object::list(object, &["spec", "egress"]).is_empty();
            let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            object::set(object, &["spec", "policyTypes"], types);
        }
        for (direction, _) in DIRECTIONS {
            for rule in object::list_mut(object, &["spec", direction]) {
                for port in object::list_mut(rule, &["ports"]) {
                    object::default(port, &["protocol"], "TCP");
                }
            }
        }
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        let selector = object::at(object, &["spec", "podSelector"]).unwrap_or(&Value::Null);
        label_selector_errors(selector, "spec.podSelector", errors);
        for (i, ty) in object::list(object, &["spec", "policyTypes"]).iter().enumerate() {
            errors.one_of(format!("spec.policyTypes[{i}]"), ty, &["Egress", "Ingress"]);
        }
        for (direction, peers) in DIRECTIONS {
            for (i, rule) in object::list(object, &["spec", direction]).iter().enumerate() {
                let path = format!("spec.{direction}[{i}]");
                for (j, port) in object::list(rule, &["ports"]).iter().enumerate() {
                    validate_port(port, &format!("{path}.ports[{j}]"), errors);
                }
                for (j, peer) in object::list(rule, &[peers]).iter().enumerate() {
                    validate_peer(peer, &format!("{path}.{peers}[{j}]"), errors);
                }
            }
        }
    }

    fn has_generation(&self) -> bool {
        true
    }
}

fn validate_port(port: &Value, path: &str, errors: &mut Errors) {
    let protocol = port.get("protocol").unwrap_or(&Value::Null);
    errors.one_of(format!("{path}.protocol"), protocol, &PROTOCOLS);
    let end = object::int(port, &["endPort"]);
    match port.get("port") {
        None if end.is_some() => errors.required(format!("{path}.port"), "must be specified"),
        None => {}
        Some(Value::String(name)) => {
            if let Some(problem) = port_name(name) {
                errors.invalid(format!("{path}.port"), name.as_str(), problem);
            }
            if let Some(end) = end {
                errors.invalid(
                    format!("{path}.endPort"),
                    end,
                    "may not be specified when `port` is non-numeric",
                );
            }
        }
        Some(number) => {
            let start = number.as_i64().unwrap_or_default();
            if !(1..=65535).contains(&start) {
                errors.invalid(format!("{path}.port"), start, PORT_RANGE);
            }
            match end {
                Some(end) if end < start => {
                    errors.invalid(format!("{path}.endPort"), end, "must be greater than or equal to `port`");
                }
                Some(end) if end > 65535 => errors.invalid(format!("{path}.endPort"), end, PORT_RANGE),
                _ => {}
            }
        }
    }
}

fn validate_peer(peer: &Value, path: &str, errors: &mut Errors) {
    let mut selectors = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.get(name) {
            selectors += 1;
            label_selector_errors(selector, &format!("{path}.{name}"), errors);
        }
    }
    match peer.get("ipBlock") {
        None if selectors == 0 => errors.required(path, "must specify a peer"),
        None => {}
        Some(_) if selectors > 0 => {
            errors.forbidden(path, "may not specify both ipBlock and another peer");
        }
        Some(block) => {
            let path = format!("{path}.ipBlock");
            let text = object::text(block, &["cidr"]);
            let Some(outer) = cidr(text) else {
                errors.invalid(format!("{path}.cidr"), text, NOT_A_CIDR);
                return;
            };
            for (i, except) in object::list(block, &["except"]).iter().enumerate() {
                let path = format!("{path}.except[{i}]");
                let text = except.as_str().unwrap_or_default();
                match cidr(text) {
                    None => errors.invalid(path, text, NOT_A_CIDR),
                    Some(inner) if !strictly_inside(inner, outer) => {
                        let outer = object::text(block, &["cidr"]);
                        let detail = format!("must be a strict subset of `cidr` {outer}");
                        errors.invalid(path, text, detail);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

const NOT_A_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Both families as 128 bits, with the prefix length counted from the same end.
fn cidr(text: &str) -> Option<(bool, u128, u32)> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(v4) if length <= 32 => Some((true, u128::from(v4.to_bits()) << 96, length)),
        IpAddr::V6(v6) if length <= 128 => Some((false, v6.to_bits(), length)),
        _ => None,
    }
}

fn strictly_inside(inner: (bool, u128, u32), outer: (bool, u128, u32)) -> bool {
    let network = |bits: u128| bits.checked_shr(128_u32.saturating_sub(outer.2)).unwrap_or(0);
    inner.0 == outer.0 && inner.2 > outer.2 && network(inner.1) == network(outer.1)
}
