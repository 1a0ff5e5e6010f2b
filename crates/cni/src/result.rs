//! The result of ADD, in the layout of each version (CNI specification, section 5).

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CniError, Code, Version, error::Result};

/// What ADD did, and `prevResult`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AddResult {
    /// Interfaces that were made, on the host and in containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Addresses that were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Ip>,
    /// Routes that were made in the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteEntry>,
    /// Name servers and so on, passed through as they are.
    #[serde(default = "no_dns")]
    pub dns: Value,
}

fn no_dns() -> Value {
    Value::Object(serde_json::Map::new())
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its MAC, six bytes in hexadecimal with colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its MTU, bytes (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The namespace it is in; absent on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Path of a socket behind it (since 1.1.0); other plugins'.
    #[serde(rename = "socketPath", default, skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// PCI device behind it (since 1.1.0); other plugins'.
    #[serde(rename = "pciID", default, skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// `4` or `6` (until 0.4.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Index into `interfaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// The address with its prefix length.
    pub address: IpNet,
    /// The default gateway of its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    /// Where it leads.
    pub dst: IpNet,
    /// The next hop; absent means the gateway of the address, or the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// Path MTU, bytes (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// TCP segment size to announce (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// Metric (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Routing table (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Scope (since 1.1.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
}

impl Ip {
    /// An address on the interface with this index of the result.
    #[must_use]
    pub fn new(interface: usize, address: IpNet, gateway: Option<IpAddr>) -> Self {
        Self { version: None, interface: Some(interface), address, gateway }
    }
}

impl RouteEntry {
    /// A route with nothing special.
    #[must_use]
    pub fn new(dst: IpNet, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None }
    }
}

impl AddResult {
    /// Reads a result of any supported version.
    ///
    /// # Errors
    /// Code 6.
    pub fn from_json(value: Value) -> Result<Self> {
        serde_json::from_value(value).map_err(|e| {
            CniError::new(Code::Decode, "prevResult of the network configuration cannot be read", e)
        })
    }

    /// Adds what `other` has after what is there, as a plugin in the middle of a chain does.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        let offset = self.interfaces.len();
        self.interfaces.extend(other.interfaces);
        self.ips.extend(other.ips.into_iter().map(|mut ip| {
            ip.interface = ip.interface.map(|index| index.saturating_add(offset));
            ip
        }));
        self.routes.extend(other.routes);
        if let (Value::Object(ours), Value::Object(theirs)) = (&mut self.dns, other.dns) {
            ours.extend(theirs);
        }
        self
    }

    /// The JSON for standard output, in the layout of `version`: fields that are younger are left out, and addresses
    /// have their `version` where it was required.
    #[must_use]
    pub fn to_json(&self, version: Version) -> String {
        let mut result = self.clone();
        if version < Version::V1_1_0 {
            for interface in &mut result.interfaces {
                (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
            }
            for route in &mut result.routes {
                *route = RouteEntry::new(route.dst, route.gw);
            }
        }
        for ip in &mut result.ips {
            let number = if ip.address.addr().is_ipv4() { "4" } else { "6" };
            ip.version = (version < Version::V1_0_0).then(|| number.to_owned());
        }
        let with_version = WithVersion { cni_version: version.as_str(), result };
        // Strings, numbers and addresses always serialize.
        serde_json::to_string(&with_version).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct WithVersion<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'a str,
    #[serde(flatten)]
    result: AddResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> AddResult {
        AddResult {
            interfaces: vec![
                Interface { name: "kvs0".into(), mtu: Some(1450), ..Interface::default() },
                Interface {
                    name: "eth0".into(),
                    mac: Some("0a:58:0a:01:00:05".into()),
                    mtu: Some(1450),
                    sandbox: Some("/run/netns/x".into()),
                    ..Interface::default()
                },
            ],
            ips: vec![Ip::new(1, "10.1.0.5/32".parse().unwrap(), Some("10.1.0.1".parse().unwrap()))],
            routes: vec![RouteEntry {
                mtu: Some(1400),
                ..RouteEntry::new("0.0.0.0/0".parse().unwrap(), None)
            }],
            dns: no_dns(),
        }
    }

    #[test]
    fn each_version_has_its_layout() {
        for version in Version::ALL {
            let json: Value = serde_json::from_str(&sample().to_json(version)).unwrap();
            assert_eq!(json["cniVersion"], version.as_str());
            let expected = if version < Version::V1_0_0 { Value::from("4") } else { Value::Null };
            assert_eq!(json["ips"][0]["version"], expected, "{version}");
            assert_eq!(json["ips"][0]["address"], "10.1.0.5/32");
            assert_eq!(json["ips"][0]["interface"], 1);
            let young = version >= Version::V1_1_0;
            assert_eq!(json["interfaces"][0]["mtu"].is_u64(), young, "{version}");
            assert_eq!(json["routes"][0]["mtu"].is_u64(), young, "{version}");
            assert_eq!(json["dns"], serde_json::json!({}));
            assert_eq!(AddResult::from_json(json).unwrap().ips.len(), 1);
        }
    }

    #[test]
    fn results_of_a_chain_keep_their_indices() {
        let both = sample().followed_by(sample());
        assert_eq!(both.interfaces.len(), 4);
        let indices: Vec<_> = both.ips.iter().map(|ip| ip.interface).collect();
        assert_eq!(indices, [Some(1), Some(3)]);
    }

    #[test]
    fn a_previous_result_that_makes_no_sense_is_code_6() {
        for bad in [
            serde_json::json!(1),
            serde_json::json!({"ips": [{"address": "x"}]}),
            serde_json::json!({"ips": 1}),
        ] {
            assert_eq!(AddResult::from_json(bad).unwrap_err().code.number(), 6);
        }
    }
}
