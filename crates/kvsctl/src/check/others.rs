//! Others who do what k-vswitch does: kube-proxy beside it, and what an earlier network plugin has left.

use serde_json::Value;

use super::finding::{Check, Finding};

const CHECK: Check = Check("others");

/// Interfaces of other network plugins, and whose they are.
const LINKS: [(&str, &str); 10] = [
    ("cni0", "the bridge plugin or Flannel"),
    ("flannel.1", "Flannel"),
    ("cilium_host", "Cilium"),
    ("cilium_vxlan", "Cilium"),
    ("antrea-gw0", "Antrea"),
    ("vxlan.calico", "Calico"),
    ("weave", "Weave Net"),
    ("ovn-k8s-mp0", "OVN-Kubernetes"),
    ("kube-bridge", "kube-router"),
    ("ovn0", "Kube-OVN"),
];

/// What kube-proxy in IPVS mode makes.
const IPVS_LINK: &str = "kube-ipvs0";

/// What can be known of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Interfaces of the node.
    pub(super) links: Vec<String>,
    /// Rules of kube-proxy, by the mode that makes them.
    pub(super) kube_proxy: Option<&'static str>,
}

/// From the interfaces, and rules (`nft -j list ruleset`).
pub(super) fn facts(links: Vec<String>, ruleset: &Value) -> Facts {
    let all = ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is = |object: &Value, kind: &str, name: &str| {
        object.get(kind).is_some_and(|object| object.get("name").and_then(Value::as_str) == Some(name))
    };
    let kube_proxy = if all.iter().any(|object| is(object, "table", "kube-proxy")) {
        Some("nftables")
    } else if all.iter().any(|object| is(object, "chain", "KUBE-SERVICES")) {
        Some("iptables")
    } else {
        None
    };
    Facts { links, kube_proxy }
}

/// Judges the facts. `proxy`: k-vswitch is, or will be, the proxy of Services.
pub(super) fn check(facts: &Facts, proxy: bool) -> Vec<Finding> {
    let has = |name: &str| facts.links.iter().any(|link| link == name);
    let mut findings = Vec::new();
    if has(IPVS_LINK) {
        findings.push(CHECK.problem(
            "kube-proxy works, or has worked, in IPVS mode here (there is kube-ipvs0): policies cannot tell what it \
             forwards from what the node sends",
            "let k-vswitch be the proxy, or run kube-proxy in nftables mode; then kube-proxy --cleanup, or ip link delete \
             kube-ipvs0 and ipvsadm --clear, or restart the node",
        ));
    } else if let (Some(mode), true) = (facts.kube_proxy, proxy) {
        findings.push(CHECK.note(
            format!("kube-proxy's rules ({mode} mode) are here, and k-vswitch is to be the proxy of Services"),
            "give k-vswitch kubernetesAPI, then kubectl -n kube-system delete daemonset kube-proxy, and on each node \
             kube-proxy --cleanup or a restart",
        ));
    } else if facts.kube_proxy.is_none() && !proxy {
        findings.push(CHECK.note(
            "k-vswitch is not the proxy of Services, and there are no rules of kube-proxy",
            "run kube-proxy, or set serviceProxy: on; without either Services are not reached",
        ));
    }
    for (link, whose) in LINKS.iter().filter(|(link, _)| has(link)) {
        findings.push(CHECK.note(
            format!("{link} is here, which {whose} makes"),
            format!(
                "uninstall that plugin and ip link delete {link}, or restart the node; pods that it gave an address must be \
                 made again"
            ),
        ));
    }
    CHECK.or_ok(findings, "no other network plugin, and one proxy of Services")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn said(links: &[&str], objects: &[Value], proxy: bool) -> Vec<(Verdict, String)> {
        let links = links.iter().map(ToString::to_string).collect();
        let found = check(&facts(links, &json!({"nftables": objects})), proxy);
        found.into_iter().map(|f| (f.result, f.found)).collect()
    }

    #[test]
    fn kube_proxy_is_known_by_what_it_makes() {
        let nftables = json!({"table": {"family": "ip", "name": "kube-proxy"}});
        let iptables = json!({"chain": {"family": "ip", "table": "nat", "name": "KUBE-SERVICES"}});
        assert_eq!(said(&["eth0"], &[], true)[0].0, Verdict::Ok);
        assert!(said(&[], std::slice::from_ref(&nftables), true)[0].1.contains("nftables mode"));
        assert!(said(&[], &[iptables], true)[0].1.contains("iptables mode"));
        assert_eq!(said(&[], &[nftables], false)[0].0, Verdict::Ok);
        assert_eq!(said(&[], &[], false)[0].0, Verdict::Note);
        assert_eq!(said(&["kube-ipvs0"], &[], true)[0].0, Verdict::Problem);
    }

    #[test]
    fn leftovers_are_named_with_whose_they_are() {
        let found = said(&["eth0", "cni0", "flannel.1"], &[], true);
        assert!(
            found.len() == 2
                && found[1] == (Verdict::Note, "flannel.1 is here, which Flannel makes".to_owned())
        );
    }
}
