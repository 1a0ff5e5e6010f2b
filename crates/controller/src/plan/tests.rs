use super::*;
use proptest::prelude::*;
use serde_json::json;

fn plan() -> Plan {
    Plan::new(ClusterParams {
        cluster_cidr: "10.0.0.0/16,fd00::/48".parse().unwrap(),
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        overlay_type: OverlayType::Vxlan,
    })
}

fn node(name: &str, pod_cidrs: &[&str], ip: Option<&str>) -> Node {
    let addresses: Vec<_> = ip
        .map(|ip| json!({"type": "InternalIP", "address": ip}))
        .into_iter()
        .chain([json!({"type": "Hostname", "address": name})])
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"podCIDRs": pod_cidrs}, "status": {"addresses": addresses}
    }))
    .unwrap()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

fn rejection(plan: &Plan, name: &str) -> Option<&'static str> {
    plan.desired(name).unwrap().rejection.map(|r| r.reason())
}

#[test]
fn a_node_becomes_a_spec() {
    let mut plan = plan();
    plan.upsert(&node("a", &["10.0.1.0/24", "fd00:0:0:1::/64"], Some("192.0.2.1")));
    let desired = plan.desired("a").unwrap();
    assert_eq!(desired.rejection, None);
    assert_eq!(desired.spec.pod_cidr.as_deref(), Some("10.0.1.0/24,fd00:0:0:1::/64"));
    assert_eq!(desired.spec.overlay_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(plan.desired("b"), None);
}

#[test]
fn each_thing_that_can_be_wrong_has_its_reason() {
    let mut plan = plan();
    plan.upsert(&node("none", &[], Some("192.0.2.1")));
    plan.upsert(&node("bad", &["10.0.1.0"], Some("192.0.2.2")));
    plan.upsert(&node("out", &["10.1.0.0/24"], Some("192.0.2.3")));
    plan.upsert(&node("no-ip", &["10.0.9.0/24"], None));
    assert_eq!(rejection(&plan, "none"), Some("NoPodCIDR"));
    assert_eq!(rejection(&plan, "bad"), Some("MalformedPodCIDR"));
    assert_eq!(rejection(&plan, "out"), Some("PodCIDROutsideClusterCIDR"));
    assert_eq!(rejection(&plan, "no-ip"), Some("NoInternalIP"));
    let text = plan.desired("out").unwrap().rejection.unwrap().to_string();
    assert!(
        text.contains("10.1.0.0/24") && text.contains("10.0.0.0/16") && text.contains("--cluster-cidr"),
        "{text}"
    );
}

#[test]
fn the_first_holder_keeps_a_cidr_until_it_goes() {
    let mut plan = plan();
    plan.upsert(&node("b", &["10.0.1.0/24"], Some("192.0.2.1")));
    assert_eq!(plan.upsert(&node("a", &["10.0.1.128/25"], Some("192.0.2.2"))), set(&["a"]));
    assert_eq!(plan.upsert(&node("c", &["10.0.0.0/20"], Some("192.0.2.3"))), set(&["c"]));
    assert_eq!(rejection(&plan, "a"), Some("PodCIDROverlap"));
    assert_eq!(rejection(&plan, "c"), Some("PodCIDROverlap"));
    assert_eq!(rejection(&plan, "b"), None);
    assert_eq!(plan.desired("a").unwrap().spec.pod_cidr, None);

    assert_eq!(plan.remove("b"), set(&["a", "b", "c"]));
    assert_eq!(rejection(&plan, "a"), None);
    assert_eq!(plan.desired("c").unwrap().rejection.unwrap().to_string().matches("Node a").count(), 1);
}

#[test]
fn a_node_that_changes_its_cidr_frees_the_old_one() {
    let mut plan = plan();
    plan.upsert(&node("a", &["10.0.1.0/24"], Some("192.0.2.1")));
    plan.upsert(&node("b", &["10.0.1.0/24"], Some("192.0.2.2")));
    assert_eq!(rejection(&plan, "b"), Some("PodCIDROverlap"));
    assert_eq!(plan.upsert(&node("a", &["10.0.2.0/24"], Some("192.0.2.1"))), set(&["a", "b"]));
    assert_eq!(rejection(&plan, "a"), None);
    assert_eq!(rejection(&plan, "b"), None);
}

proptest! {
    /// Whatever happens, accepted CIDRs are disjoint, and whoever is refused for an overlap overlaps an accepted one.
    #[test]
    fn accepted_cidrs_are_disjoint_and_no_refusal_is_stale(
        steps in prop::collection::vec((0..6u8, prop::option::of((0..8u8, 22..27u8))), 1..60)
    ) {
        let mut plan = plan();
        for (who, what) in steps {
            let name = format!("n{who}");
            match what {
                None => { plan.remove(&name); }
                Some((third, len)) => {
                    let net = ipnet::Ipv4Net::new([10, 0, third, 0].into(), len).unwrap().trunc();
                    plan.upsert(&node(&name, &[&net.to_string()], Some("192.0.2.1")));
                }
            }
            let names: Vec<_> = plan.nodes().map(str::to_owned).collect();
            let accepted: Vec<(String, DualStack)> = names.iter().filter_map(|n| {
                plan.desired(n).unwrap().spec.pod_cidr.map(|c| (n.clone(), c.parse().unwrap()))
            }).collect();
            for (i, (_, a)) in accepted.iter().enumerate() {
                for (_, b) in &accepted[i + 1..] {
                    prop_assert_eq!(a.overlap(b), None);
                }
            }
            for n in &names {
                if let Some(Rejection::Overlap { other, other_cidr, .. }) = plan.desired(n).unwrap().rejection {
                    prop_assert!(accepted.iter().any(|(a, c)| *a == other && c.iter().any(|x| x == other_cidr)));
                }
            }
        }
    }
}
