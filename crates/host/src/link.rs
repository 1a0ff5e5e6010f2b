//! Network interfaces.

use std::{
    fmt,
    os::fd::{AsFd, AsRawFd},
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage, State,
};
use rustix::io::Errno;

use crate::{Error, Netlink, Netns, Result};

mod veth;

pub use veth::Veth;

/// A MAC address.
pub type Mac = [u8; 6];

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

/// `IFNAMSIZ` less the terminating zero.
const MAX_NAME_LEN: usize = 15;

/// An interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC; `None` for kinds without one (tunnels at layer 3).
    pub mac: Option<Mac>,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Up and with a carrier: it passes packets.
    pub running: bool,
    /// `IFF_NOARP`: the host neither asks nor answers neighbours on it.
    pub noarp: bool,
    /// `IFF_LOOPBACK`.
    pub loopback: bool,
    /// The driver: `veth`, `bridge`, `dummy`, …; `None` for hardware and loopback.
    pub kind: Option<String>,
    /// Index of the bridge or bond it belongs to.
    pub master: Option<u32>,
    /// Index of the interface at the other end (veth) or below (VLAN), in *that* interface's namespace.
    pub peer: Option<u32>,
}

/// One interface by name or by index. From `&str` and `u32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRef<'a> {
    /// By name.
    Name(&'a str),
    /// By index.
    Index(u32),
}

// === impl LinkRef ===

impl<'a> From<&'a str> for LinkRef<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for LinkRef<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl From<u32> for LinkRef<'_> {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl From<&Link> for LinkRef<'_> {
    fn from(link: &Link) -> Self {
        Self::Index(link.index)
    }
}

impl fmt::Display for LinkRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "index {index}"),
        }
    }
}

impl LinkRef<'_> {
    fn message(self) -> LinkMessage {
        let mut message = LinkMessage::default();
        match self {
            Self::Name(name) => message.attributes.push(LinkAttribute::IfName(name.to_owned())),
            Self::Index(index) => message.header.index = index,
        }
        message
    }
}

// === impl Link ===

impl Link {
    fn from_message(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::LowerUp),
            noarp: flags.contains(LinkFlags::Noarp),
            loopback: flags.contains(LinkFlags::Loopback),
            kind: None,
            master: None,
            peer: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(mac) => link.mac = mac.try_into().ok(),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Controller(index) => link.master = Some(index),
                LinkAttribute::Link(index) if index != 0 => link.peer = Some(index),
                LinkAttribute::OperState(State::Down | State::LowerLayerDown) => link.running = false,
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        if let LinkInfo::Kind(kind) = info {
                            link.kind = Some(kind.to_string());
                        }
                    }
                }
                _ => {}
            }
        }
        link
    }
}

/// Checks a name by the kernel's rules (`dev_valid_name`).
///
/// # Errors
/// [`Error::LinkName`] with the rule that is broken.
pub fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_LEN {
        "it is longer than 15 bytes"
    } else if name == "." || name == ".." {
        "it is a directory's name"
    } else if name.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0') {
        "it has a slash, a colon or white space in it"
    } else {
        return Ok(());
    };
    Err(Error::LinkName { name: name.to_owned(), reason })
}

impl Netlink {
    /// The interface with this name or index.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn link<'a>(&mut self, link: impl Into<LinkRef<'a>>) -> Result<Link> {
        let link = link.into();
        let mut message = link.message();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let found: Result<Option<LinkMessage>> =
            self.get(|| format!("look at interface {link}"), RTM_GETLINK, &message);
        match found {
            Ok(Some(message)) => Ok(Link::from_message(message)),
            Ok(None) => Err(self.no_link(link)),
            Err(error) => Err(self.explain(link, error)),
        }
    }

    /// The interface with this name or index, or `None`.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn find_link<'a>(&mut self, link: impl Into<LinkRef<'a>>) -> Result<Option<Link>> {
        match self.link(link) {
            Ok(link) => Ok(Some(link)),
            Err(Error::NoLink { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces of the namespace.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let found: Vec<LinkMessage> = self.dump(|| "list interfaces".to_owned(), RTM_GETLINK, &message)?;
        Ok(found.into_iter().map(Link::from_message).collect())
    }

    /// Deletes an interface; of a veth pair, both ends.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn delete_link<'a>(&mut self, link: impl Into<LinkRef<'a>>) -> Result<()> {
        let link = link.into();
        self.change(|| format!("delete interface {link}"), RTM_DELLINK, 0, &link.message())
            .map_err(|error| self.explain(link, error))
    }

    /// Sets an interface administratively up or down.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_up<'a>(&mut self, link: impl Into<LinkRef<'a>>, up: bool) -> Result<()> {
        let link = link.into();
        let word = if up { "up" } else { "down" };
        self.set(
            link,
            || format!("set interface {link} {word}"),
            |message| {
                message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
                message.header.change_mask = LinkFlags::Up;
            },
        )
    }

    /// Sets the MTU, bytes.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_mtu<'a>(&mut self, link: impl Into<LinkRef<'a>>, mtu: u32) -> Result<()> {
        let link = link.into();
        self.set(
            link,
            || format!("set the MTU of interface {link} to {mtu}"),
            |message| {
                message.attributes.push(LinkAttribute::Mtu(mtu));
            },
        )
    }

    /// Sets the MAC address.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_mac<'a>(&mut self, link: impl Into<LinkRef<'a>>, mac: Mac) -> Result<()> {
        let link = link.into();
        self.set(
            link,
            || format!("set the MAC address of interface {link}"),
            |message| {
                message.attributes.push(LinkAttribute::Address(mac.to_vec()));
            },
        )
    }

    /// Sets the MTU, and has the kernel make no IPv6 link-local address when the interface comes up (`addrgenmode
    /// none`). Without IPv6 in the kernel there is nothing to prevent.
    ///
    /// Unlike the sysctl `disable_ipv6`, whose writers spin while somebody else changes the network, this waits its
    /// turn: with 50 writers at once the sysctl costs three times as much as everything else together.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_mtu_without_link_local<'a>(&mut self, link: impl Into<LinkRef<'a>>, mtu: u32) -> Result<()> {
        let link = link.into();
        let no_address = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let set = self.set(
            link,
            || format!("prevent a link-local address of interface {link}"),
            |message| {
                message.attributes.push(LinkAttribute::Mtu(mtu));
                message.attributes.push(LinkAttribute::AfSpecUnspec(vec![no_address]));
            },
        );
        match set {
            Err(error) if error.errno() == Some(Errno::AFNOSUPPORT) => self.set_mtu(link, mtu),
            other => other,
        }
    }

    /// Sets MAC address and MTU and brings the interface up, in one request.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_mac_mtu_up<'a>(&mut self, link: impl Into<LinkRef<'a>>, mac: Mac, mtu: u32) -> Result<()> {
        let link = link.into();
        self.set(
            link,
            || format!("set MAC address and MTU {mtu} of interface {link}"),
            |message| {
                message.header.flags = LinkFlags::Up;
                message.header.change_mask = LinkFlags::Up;
                message.attributes.push(LinkAttribute::Address(mac.to_vec()));
                message.attributes.push(LinkAttribute::Mtu(mtu));
            },
        )
    }

    /// Renames an interface. It must be down on kernels before 6.3.
    ///
    /// # Errors
    /// [`Error::LinkName`], [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn rename_link<'a>(&mut self, link: impl Into<LinkRef<'a>>, name: &str) -> Result<()> {
        check_name(name)?;
        let link = link.into();
        // The request carries the new name, so the old one has to become an index first.
        let index = self.link(link)?.index;
        self.set(
            index.into(),
            || format!("rename interface {link} to {name}"),
            |message| {
                message.attributes.push(LinkAttribute::IfName(name.to_owned()));
            },
        )
    }

    /// Moves an interface to another namespace. It arrives down and without addresses.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn move_link<'a>(&mut self, link: impl Into<LinkRef<'a>>, netns: &Netns) -> Result<()> {
        let link = link.into();
        let target = netns.name();
        self.set(
            link,
            || format!("move interface {link} to network namespace {target}"),
            |message| {
                message.attributes.push(LinkAttribute::NetNsFd(netns.as_fd().as_raw_fd()));
            },
        )
    }

    /// Makes an interface a port of the bridge with index `master`; `None` takes it out.
    ///
    /// # Errors
    /// [`Error::NoLink`] if there is none, [`Error::Kernel`] otherwise.
    pub fn set_master<'a>(&mut self, link: impl Into<LinkRef<'a>>, master: Option<u32>) -> Result<()> {
        let link = link.into();
        self.set(
            link,
            || format!("change the master of interface {link}"),
            |message| {
                message.attributes.push(LinkAttribute::Controller(master.unwrap_or(0)));
            },
        )
    }

    /// Creates a Linux bridge, up, and returns it.
    ///
    /// # Errors
    /// [`Error::LinkName`], [`Error::Kernel`]; [`Error::is_exists`] if the name is taken.
    pub fn create_bridge(&mut self, name: &str) -> Result<Link> {
        check_name(name)?;
        let mut message = LinkRef::Name(name).message();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.change(|| format!("create bridge {name}"), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)?;
        self.link(name)
    }

    fn set(
        &mut self,
        link: LinkRef<'_>,
        action: impl FnOnce() -> String,
        edit: impl FnOnce(&mut LinkMessage),
    ) -> Result<()> {
        let mut message = link.message();
        edit(&mut message);
        self.change(action, RTM_SETLINK, 0, &message).map_err(|error| self.explain(link, error))
    }

    fn no_link(&self, link: LinkRef<'_>) -> Error {
        Error::NoLink { link: link.to_string(), netns: self.netns().clone() }
    }

    fn explain(&self, link: LinkRef<'_>, error: Error) -> Error {
        if error.errno() == Some(Errno::NODEV) { self.no_link(link) } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_follow_the_kernels_rules() {
        for good in ["eth0", "a", "kvs0123456789ab", "x.y-z_1", "@"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a:1", "a b", "a\tb", "kvs0123456789abc", "\u{a0}"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
