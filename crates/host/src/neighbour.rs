//! Neighbours: who the host thinks has which address on a link.

use std::net::IpAddr;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use crate::{Mac, Netlink, Result};

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
