//! Who deletes a table: the kernel tells the group `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`) of every change.

use std::io;

use netlink_packet_core::NlasIterator;
use netlink_sys::protocols::NETLINK_NETFILTER;
use rustix::io::Errno;

use crate::{Netlink, Result};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
/// `NFNL_SUBSYS_NFTABLES` in the high byte, `NFT_MSG_DELTABLE` in the low one (`linux/netfilter/nf_tables.h`).
const DELETE_TABLE: u16 = 0x0a02;
/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// Length of `nfgenmsg`: family, version, resource.
const HEADER_LEN: usize = 4;

/// Tells when a table of family `inet` is deleted in one network namespace: alone, or with all rules.
#[derive(Debug)]
pub struct Deletions {
    netlink: Netlink,
    table: String,
}

/// What the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The table was deleted. Whoever did it may have made another one of its name since.
    Deleted,
    /// More than the socket holds, as it tells of every element of a set: nobody knows whether a deletion was among it.
    TooMuch,
}

impl Deletions {
    /// Listens in the calling thread's namespace, from now on.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the kernel gives no socket.
    pub fn of(table: &str) -> Result<Self> {
        let mut netlink = Netlink::open_protocol(NETLINK_NETFILTER, "of this process".into())?;
        netlink.join(|| "listen to changes of nftables".to_owned(), GROUP)?;
        Ok(Self { netlink, table: table.to_owned() })
    }

    /// Waits for the next thing that is told, or was since the last time. Blocking.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&mut self) -> io::Result<Told> {
        loop {
            match self.netlink.told(|kind, payload| kind == DELETE_TABLE && is_of(payload, &self.table)) {
                Ok(true) => return Ok(Told::Deleted),
                Ok(false) => {}
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(Told::TooMuch);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a message is about the table of this name in family `inet`.
fn is_of(payload: &[u8], table: &str) -> bool {
    let Some(([INET, ..], attributes)) = payload.split_first_chunk::<HEADER_LEN>() else { return false };
    NlasIterator::new(attributes).flatten().any(|attribute| {
        attribute.kind() == NAME && attribute.value().strip_suffix(b"\0") == Some(table.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel tells of a table.
    fn payload(family: u8, table: &str) -> Vec<u8> {
        let length = u16::try_from(5 + table.len()).unwrap();
        let mut payload = vec![family, 0, 0, 0];
        payload.extend(length.to_ne_bytes());
        payload.extend(NAME.to_ne_bytes());
        payload.extend(table.as_bytes());
        payload.push(0);
        payload.resize(payload.len().next_multiple_of(4), 0);
        payload
    }

    #[test]
    fn a_table_is_known_by_its_family_and_its_whole_name() {
        let own = payload(INET, "mine");
        assert!(is_of(&own, "mine"));
        for other in [payload(2, "mine"), payload(INET, "mine2"), payload(INET, "min")] {
            assert!(!is_of(&other, "mine"));
        }
        for length in 0..own.len() - 4 {
            assert!(!is_of(&own[..length], "mine"), "cut after {length} bytes");
        }
    }
}
