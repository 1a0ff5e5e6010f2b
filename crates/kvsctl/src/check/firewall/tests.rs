//! Rules of firewalls that there are.

use serde_json::json;

use super::super::finding::Verdict;
use super::*;

fn chain(family: &str, table: &str, name: &str, hook: &str, policy: &str) -> Value {
    json!({"chain": {"family": family, "table": table, "name": name, "hook": hook, "policy": policy}})
}

fn rule(table: &str, chain: &str, expr: &Value) -> Value {
    json!({"rule": {"family": "inet", "table": table, "chain": chain, "expr": expr}})
}

fn said(objects: &[Value], overlay: OverlayType, userspace: bool) -> Vec<(Verdict, String)> {
    let facts = Facts { closed: closed(&json!({"nftables": objects})), legacy_unknown: false };
    check(&facts, "k-vswitch0", overlay, userspace).into_iter().map(|f| (f.result, f.found)).collect()
}

#[test]
fn a_policy_of_drop_is_a_problem_until_a_rule_knows_the_bridge() {
    let docker = chain("inet", "filter", "FORWARD", "forward", "drop");
    let found = said(std::slice::from_ref(&docker), OverlayType::Vxlan, false);
    assert!(
        found[0].0 == Verdict::Problem && found[0].1.contains("table inet filter, chain FORWARD"),
        "{found:?}"
    );
    let accept = json!([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "k-vswitch0"}},
                        {"accept": null}]);
    let allowed = said(&[docker, rule("filter", "FORWARD", &accept)], OverlayType::Vxlan, false);
    assert_eq!(allowed[0].0, Verdict::Ok, "{allowed:?}");
    for open in [
        chain("inet", "filter", "FORWARD", "forward", "accept"),
        chain("inet", "k-vswitch", "pod-tunnels", "forward", "drop"),
        chain("bridge", "filter", "FORWARD", "forward", "drop"),
        chain("inet", "filter", "OUTPUT", "output", "drop"),
    ] {
        assert_eq!(said(&[open], OverlayType::Vxlan, false)[0].0, Verdict::Ok);
    }
}

#[test]
fn a_last_rule_for_everything_is_as_good_as_a_policy() {
    // As firewalld has it.
    let base = chain("inet", "firewalld", "filter_FORWARD", "forward", "accept");
    let reject = rule(
        "firewalld",
        "filter_FORWARD",
        &json!([{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]),
    );
    assert_eq!(said(&[base.clone(), reject.clone()], OverlayType::Vxlan, false)[0].0, Verdict::Problem);
    let some = json!([{"match": {"op": "==", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, {"drop": null}]);
    assert_eq!(
        said(&[base, reject, rule("firewalld", "filter_FORWARD", &some)], OverlayType::Vxlan, false)[0].0,
        Verdict::Ok
    );
}

#[test]
fn what_comes_in_must_know_the_overlay() {
    let input = chain("inet", "filter", "input", "input", "drop");
    let port = |port: &str| {
        json!([{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
                          "right": port.parse::<u16>().unwrap()}}, {"accept": null}])
    };
    assert_eq!(said(std::slice::from_ref(&input), OverlayType::Vxlan, false)[0].0, Verdict::Problem);
    assert!(said(std::slice::from_ref(&input), OverlayType::Gre, false)[0].1.contains("IP protocol 47"));
    assert_eq!(said(std::slice::from_ref(&input), OverlayType::Vxlan, true)[0].0, Verdict::Note);
    let ssh = rule("filter", "input", &port("22"));
    assert_eq!(said(&[input.clone(), ssh], OverlayType::Vxlan, false)[0].0, Verdict::Problem);
    let vxlan = rule("filter", "input", &port("4789"));
    assert_eq!(said(&[input, vxlan], OverlayType::Vxlan, false)[0].0, Verdict::Note);
}

#[test]
fn the_older_iptables_is_read_too() {
    let closed = legacy("-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER-USER\n");
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].hook, Hook::Forward);
    let facts = Facts { closed: vec![], legacy_unknown: true };
    assert_eq!(check(&facts, "k-vswitch0", OverlayType::Vxlan, false)[0].result, Verdict::Note);
}

#[test]
fn the_daemons_own_table_is_missed_by_its_family_and_name_where_rules_can_be_read() {
    let table = |family: &str, name: &str| json!({"table": {"family": family, "name": name}});
    let missed = |tables: &[Value]| own_table(&json!({"nftables": tables})).is_some();
    assert!(!missed(&[table("ip", "nat"), table("inet", "k-vswitch")]));
    assert!(missed(&[]) && missed(&[table("ip", "k-vswitch"), table("inet", "filter")]));
    assert!(own_table(&Value::Null).is_none());
}
