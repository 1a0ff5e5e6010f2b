//! Rules of NetworkPolicies in short: `from app=b in namespaces team=x; 10.0.0.0/8 except 10.1.0.0/16 on TCP/80`.
//!
//! What is wrong in a rule is shown as it is written: what it means is the daemon's to say.

use policy::spec::{
    EgressRule, IngressRule, IntOrString, IpBlock, LabelSelector, PolicyPeer, PolicyPort, Requirement,
};

/// An ingress rule.
pub(super) fn ingress(rule: &IngressRule) -> String {
    format!("from {}{}", peers(rule.from.as_deref()), ports(rule.ports.as_deref()))
}

/// An egress rule.
pub(super) fn egress(rule: &EgressRule) -> String {
    format!("to {}{}", peers(rule.to.as_deref()), ports(rule.ports.as_deref()))
}

fn peers(peers: Option<&[PolicyPeer]>) -> String {
    match peers.unwrap_or_default() {
        [] => "anybody".to_owned(),
        some => some.iter().map(peer).collect::<Vec<_>>().join("; "),
    }
}

fn peer(peer: &PolicyPeer) -> String {
    let pods = peer.pod_selector.as_ref().map(selector).filter(|text| !text.is_empty());
    let pods = pods.unwrap_or_else(|| "all pods".to_owned());
    let selected = match &peer.namespace_selector {
        None if peer.pod_selector.is_none() => None,
        None => Some(pods),
        Some(namespaces) => Some(match selector(namespaces) {
            all if all.is_empty() => format!("{pods} in all namespaces"),
            some => format!("{pods} in namespaces {some}"),
        }),
    };
    match (selected, peer.ip_block.as_ref().map(block)) {
        (Some(selected), None) => selected,
        (None, Some(block)) => block,
        (Some(selected), Some(block)) => format!("{selected} and {block}"),
        (None, None) => "(nothing)".to_owned(),
    }
}

fn block(block: &IpBlock) -> String {
    match block.except.as_deref().unwrap_or_default() {
        [] => block.cidr.clone(),
        except => format!("{} except {}", block.cidr, except.join(", ")),
    }
}

/// As `kubectl` writes selectors; empty if it selects everything.
fn selector(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(requirement);
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

fn requirement(requirement: &Requirement) -> String {
    let Requirement { key, operator, values } = requirement;
    let values = values.as_deref().unwrap_or_default().join(",");
    match operator.as_str() {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "Exists" => key.clone(),
        "DoesNotExist" => format!("!{key}"),
        other => format!("{key} {other} ({values})"),
    }
}

fn ports(ports: Option<&[PolicyPort]>) -> String {
    match ports.unwrap_or_default() {
        [] => String::new(),
        some => format!(" on {}", some.iter().map(port).collect::<Vec<_>>().join(", ")),
    }
}

fn port(port: &PolicyPort) -> String {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let number = match &port.port {
        None => None,
        Some(IntOrString::Int(number)) => Some(number.to_string()),
        Some(IntOrString::String(name)) => Some(name.clone()),
    };
    match (number, port.end_port) {
        (None, None) => protocol.to_owned(),
        (Some(number), None) => format!("{protocol}/{number}"),
        (number, Some(end)) => format!("{protocol}/{}-{end}", number.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_ingress(rule: Value) -> String {
        ingress(&serde_json::from_value(rule).unwrap())
    }

    #[test]
    fn a_rule_says_who_may_come_and_to_which_ports() {
        let rule = json!({
            "from": [
                {"podSelector": {"matchLabels": {"app": "b"}}, "namespaceSelector": {"matchLabels": {"team": "x"}}},
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            ],
            "ports": [
                {"port": 80},
                {"protocol": "UDP", "port": 53, "endPort": 60},
                {"protocol": "TCP", "port": "http"},
                {"protocol": "SCTP"},
            ],
        });
        assert_eq!(
            of_ingress(rule),
            "from app=b in namespaces team=x; 10.0.0.0/8 except 10.1.0.0/16 on TCP/80, UDP/53-60, TCP/http, SCTP"
        );
        let rule: EgressRule = serde_json::from_value(json!({"to": [{"podSelector": {}}]})).unwrap();
        assert_eq!(egress(&rule), "to all pods");
    }

    #[test]
    fn what_is_empty_or_absent_means_everything() {
        assert_eq!(of_ingress(json!({})), "from anybody");
        assert_eq!(of_ingress(json!({"from": [], "ports": []})), "from anybody");
        assert_eq!(of_ingress(json!({"from": [{"podSelector": {}}]})), "from all pods");
        assert_eq!(
            of_ingress(json!({"from": [{"namespaceSelector": {}}]})),
            "from all pods in all namespaces"
        );
    }

    #[test]
    fn selectors_are_written_as_kubectl_writes_them() {
        let rule = json!({"from": [{"podSelector": {"matchLabels": {"a": "1", "b": "2"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ]}}]});
        assert_eq!(of_ingress(rule), "from a=1,b=2,c in (x,y),d notin (z),e,!f");
    }

    #[test]
    fn what_is_wrong_is_shown_as_it_is_written() {
        let rule = json!({
            "from": [{}, {"podSelector": {}, "ipBlock": {"cidr": "10/8"}},
                {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]}}],
            "ports": [{"endPort": 9}, {"protocol": "ICMP", "port": "x", "endPort": 1}],
        });
        assert_eq!(of_ingress(rule), "from (nothing); all pods and 10/8; a Like (b) on TCP/-9, ICMP/x-1");
    }
}
