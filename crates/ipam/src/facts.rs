//! What plugin and daemon tell each other, as `external_ids`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{Pool, keys, names};

/// `external_ids` that do not say what they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// A key that must be there is not.
    #[error("external_ids has no {0}")]
    Missing(&'static str),
    /// A value does not parse.
    #[error("external_ids:{key} is {value:?}, which cannot be read")]
    Malformed {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// There is no address of either family.
    #[error("external_ids has neither {0} nor {1}")]
    NoFamily(&'static str, &'static str),
}

type Ids = BTreeMap<String, String>;

fn optional<T: FromStr>(ids: &Ids, key: &'static str) -> Result<Option<T>, FactsError> {
    ids.get(key)
        .map(|value| value.parse().map_err(|_| FactsError::Malformed { key, value: value.clone() }))
        .transpose()
}

fn required(ids: &Ids, key: &'static str) -> Result<String, FactsError> {
    ids.get(key).cloned().ok_or(FactsError::Missing(key))
}

fn put(ids: &mut Ids, key: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        ids.insert(key.to_owned(), value.to_string());
    }
}

/// What a plugin needs to know of its node: on the `Bridge` row, written by the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's name.
    pub node: String,
    /// The IPv4 pod CIDR and the node's address in it.
    pub ipv4: Option<(Ipv4Net, Ipv4Addr)>,
    /// The IPv6 pod CIDR and the node's address in it.
    pub ipv6: Option<(Ipv6Net, Ipv6Addr)>,
    /// MTU of pod interfaces, bytes.
    pub mtu: u16,
}

impl NodeFacts {
    /// Reads them from the bridge's `external_ids`.
    ///
    /// # Errors
    /// When something is missing, as before the daemon has set the node up, or cannot be read.
    pub fn read(ids: &Ids) -> Result<Self, FactsError> {
        let family = |cidr, gateway| match (ids.contains_key(cidr), ids.contains_key(gateway)) {
            (true, false) => Err(FactsError::Missing(gateway)),
            (false, true) => Err(FactsError::Missing(cidr)),
            _ => Ok(()),
        };
        family(keys::POD_CIDR_IPV4, keys::GATEWAY_IPV4)?;
        family(keys::POD_CIDR_IPV6, keys::GATEWAY_IPV6)?;
        let facts = Self {
            node: required(ids, keys::NODE)?,
            ipv4: optional(ids, keys::POD_CIDR_IPV4)?.zip(optional(ids, keys::GATEWAY_IPV4)?),
            ipv6: optional(ids, keys::POD_CIDR_IPV6)?.zip(optional(ids, keys::GATEWAY_IPV6)?),
            mtu: optional(ids, keys::MTU)?.ok_or(FactsError::Missing(keys::MTU))?,
        };
        if facts.ipv4.is_none() && facts.ipv6.is_none() {
            return Err(FactsError::NoFamily(keys::POD_CIDR_IPV4, keys::POD_CIDR_IPV6));
        }
        Ok(facts)
    }

    /// All keys that [`NodeFacts::write`] may set: those it does not set must be removed.
    pub const KEYS: [&'static str; 6] = [
        keys::NODE,
        keys::POD_CIDR_IPV4,
        keys::POD_CIDR_IPV6,
        keys::GATEWAY_IPV4,
        keys::GATEWAY_IPV6,
        keys::MTU,
    ];

    /// The keys and values to set.
    #[must_use]
    pub fn write(&self) -> Ids {
        let mut ids = self.identity();
        put(&mut ids, keys::NODE, Some(&self.node));
        put(&mut ids, keys::MTU, Some(self.mtu));
        ids
    }

    /// The keys on which the choice of an address depends: a lease is guarded by them.
    pub(crate) fn identity(&self) -> Ids {
        let mut ids = Ids::new();
        put(&mut ids, keys::POD_CIDR_IPV4, self.ipv4.map(|(cidr, _)| cidr));
        put(&mut ids, keys::GATEWAY_IPV4, self.ipv4.map(|(_, gateway)| gateway));
        put(&mut ids, keys::POD_CIDR_IPV6, self.ipv6.map(|(cidr, _)| cidr));
        put(&mut ids, keys::GATEWAY_IPV6, self.ipv6.map(|(_, gateway)| gateway));
        ids
    }

    /// The pool of each family that is on.
    #[must_use]
    pub fn pools(&self) -> Vec<Pool> {
        let ipv4 = self.ipv4.map(|(cidr, gateway)| Pool::ipv4(cidr, gateway));
        let ipv6 = self.ipv6.map(|(cidr, gateway)| Pool::ipv6(cidr, gateway));
        ipv4.into_iter().chain(ipv6).collect()
    }
}

/// What a pod's port is: on the `Interface` row, written by the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPort {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid, if the runtime said.
    pub uid: Option<String>,
    /// The runtime's id of the container (sandbox).
    pub container_id: String,
    /// Name of the interface inside the pod.
    pub ifname: String,
    /// Path of the pod's network namespace.
    pub netns: String,
    /// MAC of the interface inside the pod.
    pub mac: [u8; 6],
    /// The pod's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The pod's IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// MTU that the plugin's configuration asks for, bytes; `None`: the node's, whatever becomes of it.
    pub mtu: Option<u16>,
}

impl PodPort {
    /// Whether these are the `external_ids` of a pod's port.
    #[must_use]
    pub fn is_one(ids: &Ids) -> bool {
        ids.contains_key(keys::CONTAINER_ID)
    }

    /// Reads it from an interface's `external_ids`.
    ///
    /// # Errors
    /// When something is missing or cannot be read.
    pub fn read(ids: &Ids) -> Result<Self, FactsError> {
        let mac = required(ids, keys::MAC)?;
        let port = Self {
            namespace: required(ids, keys::POD_NAMESPACE)?,
            name: required(ids, keys::POD_NAME)?,
            uid: ids.get(keys::POD_UID).cloned(),
            container_id: required(ids, keys::CONTAINER_ID)?,
            ifname: required(ids, keys::IFNAME)?,
            netns: required(ids, keys::NETNS)?,
            mac: names::parse_mac(&mac).ok_or(FactsError::Malformed { key: keys::MAC, value: mac })?,
            ipv4: optional(ids, keys::IPV4)?,
            ipv6: optional(ids, keys::IPV6)?,
            mtu: optional(ids, keys::MTU)?,
        };
        if port.ipv4.is_none() && port.ipv6.is_none() {
            return Err(FactsError::NoFamily(keys::IPV4, keys::IPV6));
        }
        Ok(port)
    }

    /// The keys and values to set.
    #[must_use]
    pub fn write(&self) -> Ids {
        let mut ids = Ids::new();
        put(&mut ids, keys::POD_NAMESPACE, Some(&self.namespace));
        put(&mut ids, keys::POD_NAME, Some(&self.name));
        put(&mut ids, keys::POD_UID, self.uid.as_ref());
        put(&mut ids, keys::CONTAINER_ID, Some(&self.container_id));
        put(&mut ids, keys::IFNAME, Some(&self.ifname));
        put(&mut ids, keys::NETNS, Some(&self.netns));
        put(&mut ids, keys::MAC, Some(names::format_mac(self.mac)));
        put(&mut ids, keys::IPV4, self.ipv4);
        put(&mut ids, keys::IPV6, self.ipv6);
        put(&mut ids, keys::MTU, self.mtu);
        ids
    }

    /// Name of the port and of the host's end of the veth pair.
    #[must_use]
    pub fn port_name(&self) -> String {
        names::port(&self.container_id, &self.ifname)
    }

    /// The addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ipv4.map(IpAddr::V4).into_iter().chain(self.ipv6.map(IpAddr::V6))
    }

    /// The addresses that an interface's `external_ids` take, whatever else they say.
    pub fn taken(ids: &Ids) -> impl Iterator<Item = IpAddr> {
        [keys::IPV4, keys::IPV6].into_iter().filter_map(|key| ids.get(key)?.parse().ok())
    }

    /// Whether the daemon has said that the flows of this `ofport` are in the switch.
    #[must_use]
    pub fn is_programmed(ids: &Ids, ofport: Option<i64>) -> bool {
        let stamp = ids.get(keys::PROGRAMMED).and_then(|value| value.parse::<i64>().ok());
        ofport.is_some_and(|ofport| ofport > 0 && stamp == Some(ofport))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NodeFacts {
        NodeFacts {
            node: "node-1".into(),
            ipv4: Some(("10.0.1.0/24".parse().unwrap(), "10.0.1.1".parse().unwrap())),
            ipv6: None,
            mtu: 1450,
        }
    }

    fn port() -> PodPort {
        PodPort {
            namespace: "default".into(),
            name: "web-0".into(),
            uid: None,
            container_id: "abc".into(),
            ifname: "eth0".into(),
            netns: "/run/netns/x".into(),
            mac: [0x0a, 0x58, 10, 0, 1, 2],
            ipv4: Some("10.0.1.2".parse().unwrap()),
            ipv6: Some("fd00::2".parse().unwrap()),
            mtu: Some(1400),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(NodeFacts::read(&facts().write()), Ok(facts()));
        assert_eq!(PodPort::read(&port().write()), Ok(port()));
        assert!(facts().write().keys().all(|key| NodeFacts::KEYS.contains(&key.as_str())));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let mut ids = facts().write();
        ids.remove(keys::GATEWAY_IPV4);
        assert_eq!(NodeFacts::read(&ids), Err(FactsError::Missing(keys::GATEWAY_IPV4)));
        ids.remove(keys::POD_CIDR_IPV4);
        assert!(matches!(NodeFacts::read(&ids), Err(FactsError::NoFamily(..))));
        let mut ids = port().write();
        ids.insert(keys::MAC.into(), "nonsense".into());
        let error = PodPort::read(&ids).unwrap_err().to_string();
        assert_eq!(error, "external_ids:kvs-mac is \"nonsense\", which cannot be read");
    }

    #[test]
    fn a_port_is_programmed_when_the_stamp_is_its_present_number() {
        let mut ids = port().write();
        assert!(!PodPort::is_programmed(&ids, Some(3)));
        ids.insert(keys::PROGRAMMED.into(), "3".into());
        assert!(PodPort::is_programmed(&ids, Some(3)));
        assert!(!PodPort::is_programmed(&ids, Some(4)));
        assert!(!PodPort::is_programmed(&ids, None));
        ids.insert(keys::PROGRAMMED.into(), "-1".into());
        assert!(!PodPort::is_programmed(&ids, Some(-1)));
    }
}
