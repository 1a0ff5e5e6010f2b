//! Pairs of virtual Ethernet interfaces.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::{Mac, RTM_NEWLINK, check_name};
use crate::{Netlink, Netns, Result};

/// A veth pair to create: one end here, its peer in `peer_netns` from its first moment.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// Name of the end in the requester's namespace.
    pub name: &'a str,
    /// Its MAC; `None` lets the kernel make up a random one.
    pub mac: Option<Mac>,
    /// Whether it gets `IFF_NOARP`: the host does no ARP on it.
    pub noarp: bool,
    /// Whether it comes up at once. The peer cannot: the kernel makes it first, and a veth end without its other end
    /// refuses to come up.
    pub up: bool,
    /// Name of the peer.
    pub peer_name: &'a str,
    /// The peer's MAC; `None` lets the kernel make up a random one.
    pub peer_mac: Option<Mac>,
    /// Where the peer is created; `None` is the requester's namespace.
    pub peer_netns: Option<&'a Netns>,
    /// MTU of both ends, bytes; `None` leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

impl<'a> Veth<'a> {
    /// A pair with these names, both ends in the requester's namespace and down.
    #[must_use]
    pub fn new(name: &'a str, peer_name: &'a str) -> Self {
        Self {
            name,
            mac: None,
            noarp: false,
            up: false,
            peer_name,
            peer_mac: None,
            peer_netns: None,
            mtu: None,
        }
    }
}

impl Netlink {
    /// Creates a veth pair in one request: names, MACs, MTU, flags, and the peer's namespace. There is no moment at
    /// which one end exists half-configured or in the wrong namespace, and nothing to undo if it fails.
    ///
    /// # Errors
    /// [`crate::Error::LinkName`]; [`crate::Error::Kernel`], with [`crate::Error::is_exists`] if either name is
    /// taken.
    pub fn create_veth(&mut self, veth: &Veth<'_>) -> Result<()> {
        check_name(veth.name)?;
        check_name(veth.peer_name)?;
        let mut peer = end(veth.peer_name, veth.peer_mac, veth.mtu, LinkFlags::empty());
        if let Some(netns) = veth.peer_netns {
            peer.attributes.push(LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd()));
        }
        let mut message = end(veth.name, veth.mac, veth.mtu, flags(veth.up, veth.noarp));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        let action = || match veth.peer_netns {
            Some(netns) => {
                format!("create veth {} with its peer {} in {}", veth.name, veth.peer_name, netns.name())
            }
            None => format!("create veth {} with its peer {}", veth.name, veth.peer_name),
        };
        self.change(action, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)
    }
}

fn flags(up: bool, noarp: bool) -> LinkFlags {
    let mut flags = LinkFlags::empty();
    flags.set(LinkFlags::Up, up);
    flags.set(LinkFlags::Noarp, noarp);
    flags
}

fn end(name: &str, mac: Option<Mac>, mtu: Option<u32>, flags: LinkFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = flags;
    message.header.change_mask = flags;
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    if let Some(mac) = mac {
        message.attributes.push(LinkAttribute::Address(mac.to_vec()));
    }
    if let Some(mtu) = mtu {
        message.attributes.push(LinkAttribute::Mtu(mtu));
    }
    message
}
