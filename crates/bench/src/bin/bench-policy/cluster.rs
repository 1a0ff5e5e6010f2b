//! A generated cluster, and short ways to write its objects.

use std::net::{IpAddr, Ipv4Addr};

use policy::spec::{
    IntOrString, IpBlock, LabelSelector, Labels, Name, NetworkPolicySpec, Pod, PolicyPeer, PolicyPort,
};

/// How large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) namespaces: usize,
    pub(crate) pods_per_namespace: usize,
    pub(crate) nodes: usize,
    pub(crate) policies_per_namespace: usize,
}

/// A cluster. The node that is looked at is the first.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) namespaces: Vec<(String, Labels)>,
    pub(crate) pods: Vec<Placed>,
    pub(crate) policies: Vec<(Name, NetworkPolicySpec)>,
}

/// A pod, and where it runs.
pub(crate) struct Placed {
    pub(crate) name: Name,
    pub(crate) pod: Pod,
    pub(crate) node: usize,
}

impl Placed {
    pub(crate) fn is_local(&self) -> bool {
        self.node == 0
    }
}

impl Cluster {
    /// Adds a pod, with the next address.
    pub(crate) fn add_pod(&mut self, namespace: &str, name: String, mut pod: Pod, node: usize) {
        pod.namespace = namespace.to_owned();
        pod.addresses = vec![address(self.pods.len())];
        let name = Name { namespace: namespace.to_owned(), name };
        self.pods.push(Placed { name, pod, node });
    }

    pub(crate) fn add_policy(&mut self, namespace: &str, name: &str, spec: NetworkPolicySpec) {
        self.policies.push((Name { namespace: namespace.to_owned(), name: name.to_owned() }, spec));
    }

    pub(crate) fn local(&self) -> impl Iterator<Item = (u64, &Placed)> {
        (1..).zip(&self.pods).filter(|(_, placed)| placed.is_local())
    }
}

/// The address with this number.
pub(crate) fn address(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(0x0a00_0000 | (number & 0x00ff_ffff)).into()
}

pub(crate) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(crate) fn selector<const N: usize>(pairs: [(&str, &str); N]) -> LabelSelector {
    LabelSelector { match_labels: Some(labels(pairs)), match_expressions: None }
}

pub(crate) fn pods(selector: LabelSelector) -> PolicyPeer {
    PolicyPeer { pod_selector: Some(selector), ..PolicyPeer::default() }
}

pub(crate) fn namespaces(selector: LabelSelector) -> PolicyPeer {
    PolicyPeer { namespace_selector: Some(selector), ..PolicyPeer::default() }
}

pub(crate) fn pods_in(namespaces: LabelSelector, pods: LabelSelector) -> PolicyPeer {
    PolicyPeer { namespace_selector: Some(namespaces), pod_selector: Some(pods), ip_block: None }
}

pub(crate) fn block(cidr: &str, except: &[&str]) -> PolicyPeer {
    let except = (!except.is_empty()).then(|| except.iter().map(|text| (*text).to_owned()).collect());
    PolicyPeer { ip_block: Some(IpBlock { cidr: cidr.to_owned(), except }), ..PolicyPeer::default() }
}

pub(crate) fn port(protocol: &str, port: i64) -> PolicyPort {
    PolicyPort { protocol: Some(protocol.to_owned()), port: Some(IntOrString::Int(port)), end_port: None }
}

pub(crate) fn named_port(name: &str) -> PolicyPort {
    PolicyPort { protocol: None, port: Some(IntOrString::String(name.to_owned())), end_port: None }
}
