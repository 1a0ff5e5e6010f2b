//! What a lab is asked to be: the arguments of `kvsctl lab up`, checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A lab has at most this many nodes: their underlay addresses end in one byte.
pub const MAX_NODES: u16 = 200;

/// Why a lab cannot be made as asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// The name cannot be part of the names of namespaces and folders.
    #[error("lab name {0:?}: use 1 to 20 of a-z, 0-9 and '-', beginning and ending with a letter or digit")]
    Name(String),
    /// Too few or too many nodes.
    #[error("a lab has 1 to {MAX_NODES} nodes, not {0}")]
    Nodes(u16),
    /// Open vSwitch in pods of a cluster that has none, or on nodes whose own network hangs on it.
    #[error("--ovs pods {0}")]
    OvsPods(&'static str),
    /// A word that names no choice.
    #[error("{what} {given:?}: choose {choices}")]
    Choice {
        /// The option.
        what: &'static str,
        /// What was given.
        given: String,
        /// What could be given.
        choices: &'static str,
    },
}

/// Name of a lab: part of the names of its network namespaces and of its folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let valid = (1..=20).contains(&text.len())
            && text.chars().all(|c| plain(c) || c == '-')
            && text.starts_with(plain)
            && text.ends_with(plain);
        if valid { Ok(Self(text.to_owned())) } else { Err(SpecError::Name(text.to_owned())) }
    }
}

impl TryFrom<String> for LabName {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How nodes carry each other's pod traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlay {
    /// VXLAN (RFC 7348).
    Vxlan,
    /// GRE (RFC 2784) with Ethernet payload.
    Gre,
}

impl Overlay {
    /// The name that `k-vswitch-controller --overlay-type` takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Gre => "gre",
        }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Overlay {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "vxlan" => Ok(Self::Vxlan),
            "gre" => Ok(Self::Gre),
            _ => Err(SpecError::Choice { what: "overlay", given: text.to_owned(), choices: "vxlan or gre" }),
        }
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(_) => Self::Ipv4,
            std::net::IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

impl FromStr for Family {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text.to_ascii_lowercase().as_str() {
            "ipv4" => Ok(Self::Ipv4),
            "ipv6" => Ok(Self::Ipv6),
            _ => Err(SpecError::Choice { what: "family", given: text.to_owned(), choices: "ipv4 or ipv6" }),
        }
    }
}

/// The address families of a lab, the first one being the one that pods and Services prefer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Families(Vec<Family>);

impl Families {
    /// Both families, IPv4 first.
    #[must_use]
    pub fn dual() -> Self {
        Self(vec![Family::Ipv4, Family::Ipv6])
    }

    /// The families in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = Family> + '_ {
        self.0.iter().copied()
    }

    /// Whether the lab has this family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.0.contains(&family)
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(|family| family.to_string()).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Families {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut families = Vec::new();
        for word in text.split(',') {
            let family: Family = word.trim().parse()?;
            if !families.contains(&family) {
                families.push(family);
            }
        }
        Ok(Self(families))
    }
}

/// Which Kubernetes API a lab uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiSource {
    /// The in-memory one of this project, run by the supervisor.
    Embedded,
    /// A real one with all that belongs to it: etcd, controllers, kubelets and containerd, in the lab.
    Kubernetes,
    /// The cluster that this kubeconfig's current context names.
    Kubeconfig(PathBuf),
}

impl FromStr for ApiSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "embedded" => Self::Embedded,
            "kubernetes" => Self::Kubernetes,
            path => Self::Kubeconfig(PathBuf::from(path)),
        })
    }
}

/// Which datapath the nodes' switches use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// `system` where the kernel has the openvswitch module, `netdev` where it has not.
    Auto,
    /// The kernel's.
    System,
    /// OVS's own, in user space.
    Netdev,
}

impl FromStr for Datapath {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "auto" => Ok(Self::Auto),
            "system" => Ok(Self::System),
            "netdev" => Ok(Self::Netdev),
            _ => Err(SpecError::Choice {
                what: "datapath",
                given: text.to_owned(),
                choices: "auto, system or netdev",
            }),
        }
    }
}

/// Where the nodes' Open vSwitch comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OvsSite {
    /// The nodes have it, as by their distribution's package.
    #[default]
    Host,
    /// A DaemonSet brings it, where Kubernetes is real.
    Pods,
}

impl FromStr for OvsSite {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "host" => Ok(Self::Host),
            "pods" => Ok(Self::Pods),
            _ => Err(SpecError::Choice { what: "ovs", given: text.to_owned(), choices: "host or pods" }),
        }
    }
}

/// A lab as asked for. Kept as `spec.json` in the lab's folder, where the supervisor reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabSpec {
    /// The lab's name.
    pub name: LabName,
    /// How many nodes.
    pub nodes: u16,
    /// The overlay between them.
    pub overlay: Overlay,
    /// Address families of the pod and Service networks. The underlay always has both.
    pub families: Families,
    /// Where the Kubernetes API is.
    pub api: ApiSource,
    /// Folder of `k-vswitchd`, `k-vswitch-controller` and `k-vswitch-cni`.
    pub bin_dir: PathBuf,
    /// Datapath of the nodes' switches.
    pub datapath: Datapath,
    /// Where the nodes' Open vSwitch comes from.
    #[serde(default)]
    pub ovs: OvsSite,
    /// Further arguments for each `k-vswitchd`.
    #[serde(default)]
    pub agent_args: Vec<String>,
}

impl LabSpec {
    /// Checks what the types alone do not.
    ///
    /// # Errors
    /// [`SpecError::Nodes`] when the number of nodes is out of range; [`SpecError::OvsPods`] where there are no pods to run it.
    pub fn check(&self) -> Result<(), SpecError> {
        if !(1..=MAX_NODES).contains(&self.nodes) {
            return Err(SpecError::Nodes(self.nodes));
        }
        if self.ovs == OvsSite::Pods && self.api != ApiSource::Kubernetes {
            return Err(SpecError::OvsPods("needs containers: add --api kubernetes"));
        }
        Ok(())
    }

    /// Checks what depends on the datapath. Tunnels of OVS's own leave by a bridge that has the uplink and the node's
    /// addresses: without the switch such a node has no network, and no pod comes to it.
    ///
    /// # Errors
    /// [`SpecError::OvsPods`].
    pub fn check_datapath(&self, netdev: bool) -> Result<(), SpecError> {
        if self.ovs == OvsSite::Pods && netdev && self.nodes > 1 {
            return Err(SpecError::OvsPods(
                "with OVS's userspace datapath has no tunnels: take --nodes 1, or the kernel's datapath",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_name_is_a_short_dns_label() {
        for good in ["a", "lab", "my-lab-2", "0"] {
            assert_eq!(good.parse::<LabName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "..", "abcdefghijklmnopqrstu"] {
            assert_eq!(bad.parse::<LabName>(), Err(SpecError::Name(bad.to_owned())));
        }
    }

    #[test]
    fn families_keep_their_order_and_drop_repetitions() {
        let families: Families = "ipv6,ipv4,ipv6".parse().unwrap();
        assert_eq!(families.to_string(), "ipv6,ipv4");
        assert!("ipv4,ipx".parse::<Families>().is_err());
    }
}
