//! Neighbours: who the host thinks has which address on a link.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};

use crate::{Mac, Netlink, Result};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;

/// A neighbour table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub link: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC; `None` while it is being asked for and when it did not answer.
    pub mac: Option<Mac>,
    /// Nobody answered.
    pub failed: bool,
}

impl Netlink {
    /// The neighbour table, both families, of one interface or of all.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn neighbours(&mut self, link: Option<u32>) -> Result<Vec<Neighbour>> {
        let found: Vec<NeighbourMessage> =
            self.dump(|| "list neighbours".to_owned(), RTM_GETNEIGH, &NeighbourMessage::default())?;
        let all = found.iter().filter_map(from_message);
        Ok(all.filter(|neighbour| link.is_none_or(|link| link == neighbour.link)).collect())
    }

    /// Says a neighbour's MAC for good: nobody is asked, and no answer changes it.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn set_neighbour(&mut self, link: u32, address: IpAddr, mac: Mac) -> Result<()> {
        let mut message = about(link, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        let action = || format!("set neighbour {address} on interface index {link}");
        self.change(action, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &message)
    }

    /// Has the kernel ask a neighbour for its MAC now, whether it thinks it knows or not. Does not wait for the
    /// answer. `known` is what the table says.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn solicit_neighbour(&mut self, link: u32, address: IpAddr, known: Option<Mac>) -> Result<()> {
        let mut message = about(link, address);
        let action = || format!("look for neighbour {address} on interface index {link}");
        match known {
            Some(mac) if address.is_ipv4() => {
                message.header.state = NeighbourState::Probe;
                message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
            }
            known => {
                // Linux answers a unicast solicitation without its link-layer address (RFC 4861 section 7.2.4 allows
                // that), so whoever listens learns nothing: ask as for an unknown neighbour, by multicast.
                if known.is_some() {
                    match self.change(action, RTM_DELNEIGH, 0, &message) {
                        Err(error) if !error.is_not_found() => return Err(error),
                        _ => {}
                    }
                }
                // As if a packet were sent to it.
                message.header.flags = NeighbourFlags::Use;
            }
        }
        self.change(action, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &message)
    }
}

fn about(link: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = link;
    message.attributes.push(NeighbourAttribute::Destination(match address {
        IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
        IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
    }));
    message
}

fn from_message(message: &NeighbourMessage) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::from(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::from(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let failed = message.header.state == NeighbourState::Failed;
    Some(Neighbour { link: message.header.ifindex, address: address?, mac, failed })
}
