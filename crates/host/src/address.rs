//! Addresses of interfaces.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
};

use crate::{Netlink, Result};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub link: u32,
    /// The address with its prefix length (host bits set).
    pub net: IpNet,
    /// Duplicate address detection is under way or has failed: the address cannot be used (IPv6).
    pub tentative: bool,
}

impl Netlink {
    /// Adds an address. IPv6 addresses are usable at once: without duplicate address detection.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], with [`crate::Error::is_exists`] if the interface has it already.
    pub fn add_address(&mut self, link: u32, net: IpNet) -> Result<()> {
        let action = || format!("add address {net} to interface index {link}");
        self.change(action, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message(link, net))
    }

    /// Adds an address that may be there already.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn replace_address(&mut self, link: u32, net: IpNet) -> Result<()> {
        let action = || format!("set address {net} on interface index {link}");
        self.change(action, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &message(link, net))
    }

    /// Deletes an address.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], with [`crate::Error::is_not_found`] if the interface does not have it.
    pub fn delete_address(&mut self, link: u32, net: IpNet) -> Result<()> {
        let action = || format!("delete address {net} from interface index {link}");
        self.change(action, RTM_DELADDR, 0, &message(link, net))
    }

    /// All addresses, of one interface or of all.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn addresses(&mut self, link: Option<u32>) -> Result<Vec<Address>> {
        let found: Vec<AddressMessage> =
            self.dump(|| "list addresses".to_owned(), RTM_GETADDR, &AddressMessage::default())?;
        let all = found.into_iter().filter_map(|message| from_message(&message));
        Ok(all.filter(|address| link.is_none_or(|link| link == address.link)).collect())
    }
}

fn message(link: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = link;
    message.header.prefix_len = net.prefix_len();
    message.header.family = match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => {
            message.header.flags = AddressHeaderFlags::Nodad;
            AddressFamily::Inet6
        }
    };
    message.attributes = vec![AddressAttribute::Address(net.addr()), AddressAttribute::Local(net.addr())];
    message
}

fn from_message(message: &AddressMessage) -> Option<Address> {
    let (mut address, mut local): (Option<IpAddr>, Option<IpAddr>) = (None, None);
    let mut tentative = message.header.flags.contains(AddressHeaderFlags::Tentative);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(flags) => {
                tentative |= flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
            }
            _ => {}
        }
    }
    // IFA_ADDRESS is the other end of a point-to-point link; IFA_LOCAL, where present, is ours.
    let net = IpNet::new(local.or(address)?, message.header.prefix_len).ok()?;
    Some(Address { link: message.header.index, net, tentative })
}
