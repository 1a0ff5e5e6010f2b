//! The interface that carries the overlay.

use std::net::IpAddr;

use host::Netlink;

/// The interface with the node's overlay address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// The node's addresses on it: all that are good for more than its link, but for those that stand alone (with a prefix
    /// of full length), which are other machines' too or somebody's virtual ones, unless it is the overlay's.
    pub addresses: Vec<IpAddr>,
    /// The first of them in each family, as the kernel lists them: what Open vSwitch takes for a tunnel's source by itself.
    pub first: Vec<IpAddr>,
}

/// Why the uplink is not known.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// No interface has the address.
    #[error(
        "no interface of this node has the overlay address {0}: is it the Node's InternalIP, and does k-vswitchd run \
         in the host's network namespace?"
    )]
    NoSuchAddress(IpAddr),
    /// The kernel cannot be asked.
    #[error(transparent)]
    Host(#[from] host::Error),
}

/// Looks for the interface that has `address`. Blocking.
///
/// # Errors
/// When there is none.
pub fn find(address: IpAddr) -> Result<Uplink, UplinkError> {
    let mut netlink = Netlink::open()?;
    let all = netlink.addresses(None)?;
    let found = all.iter().find(|a| a.net.addr() == address);
    let found = found.ok_or(UplinkError::NoSuchAddress(address))?;
    let link = netlink.link(found.link)?;
    let own = |a: &&host::Address| {
        let alone = a.net.prefix_len() == a.net.max_prefix_len();
        a.link == found.link && !is_link_local(a.net.addr()) && (!alone || a.net.addr() == address)
    };
    let mut addresses: Vec<IpAddr> = all.iter().filter(own).map(|a| a.net.addr()).collect();
    let first_of = |ipv4| addresses.iter().copied().find(|address: &IpAddr| address.is_ipv4() == ipv4);
    let first = [true, false].into_iter().filter_map(first_of).collect();
    addresses.sort_unstable();
    Ok(Uplink { name: link.name, mtu: link.mtu, addresses, first })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
