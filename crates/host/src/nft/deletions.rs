//! Who deletes a table: the kernel tells the group `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`) of every change.

use std::io;
use std::sync::Arc;

use netlink_packet_core::{NetlinkBuffer, NlasIterator};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;

use crate::{Error, Result};

/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
/// `NFNL_SUBSYS_NFTABLES` in the high byte, `NFT_MSG_DELTABLE` in the low one (`linux/netfilter/nf_tables.h`).
const DELETE_TABLE: u16 = 0x0a02;
/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// Length of `nlmsghdr`, and with it that of `nfgenmsg`: family, version, resource.
const HEADER_LEN: usize = 16;
const GENERIC_LEN: usize = HEADER_LEN + 4;
/// More than the kernel tells at once.
const RECEIVE_LEN: usize = 64 * 1024;

/// Tells when a table of family `inet` is deleted in one network namespace: alone, or with all rules.
#[derive(Debug)]
pub struct Deletions {
    socket: Socket,
    table: String,
    buffer: Vec<u8>,
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
    /// [`Error::Kernel`] if the kernel gives no socket.
    pub fn of(table: &str) -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.add_membership(GROUP)?;
            Ok(socket)
        };
        let failed = |source| Error::Kernel {
            action: "listen to changes of nftables".to_owned(),
            netns: Arc::from("of this process"),
            source,
            said: String::new(),
        };
        let socket = open().map_err(failed)?;
        Ok(Self { socket, table: table.to_owned(), buffer: Vec::with_capacity(RECEIVE_LEN) })
    }

    /// Waits for the next thing that is told, or was since the last time. Blocking.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&mut self) -> io::Result<Told> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) if deletes(&self.buffer, &self.table) => return Ok(Told::Deleted),
                Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(Told::TooMuch);
                }
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

/// Whether a message among these says that the table is deleted. What cannot be read says nothing.
fn deletes(mut messages: &[u8], table: &str) -> bool {
    while let Ok(message) = NetlinkBuffer::new_checked(messages) {
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        if message.message_type() == DELETE_TABLE
            && let Some([INET, ..]) = messages.get(HEADER_LEN..GENERIC_LEN)
            && let Some(attributes) = messages.get(GENERIC_LEN..length)
            && NlasIterator::new(attributes).flatten().any(|attribute| {
                attribute.kind() == NAME && attribute.value().strip_suffix(b"\0") == Some(table.as_bytes())
            })
        {
            return true;
        }
        let Some(rest) = messages.get(length.next_multiple_of(4)..) else { break };
        messages = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message about a table, as the kernel tells it.
    fn message(kind: u16, family: u8, table: &str) -> Vec<u8> {
        let attribute = 5 + table.len();
        let length = GENERIC_LEN + attribute;
        let mut message = vec![];
        message.extend(u32::try_from(length).unwrap().to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend([family, 0, 0, 0]);
        message.extend(u16::try_from(attribute).unwrap().to_ne_bytes());
        message.extend(NAME.to_ne_bytes());
        message.extend(table.as_bytes());
        message.push(0);
        message.resize(length.next_multiple_of(4), 0);
        message
    }

    #[test]
    fn only_the_tables_own_deletion_counts_wherever_it_stands() {
        let (new, del) = (DELETE_TABLE - 2, DELETE_TABLE);
        let own = message(del, INET, "mine");
        assert!(deletes(&own, "mine"));
        assert!(deletes(&[message(del, INET, "others"), own.clone()].concat(), "mine"));
        for other in [message(new, INET, "mine"), message(del, 2, "mine"), message(del, INET, "mine2")] {
            assert!(!deletes(&other, "mine"));
        }
        for length in 0..own.len() {
            deletes(&own[..length], "mine");
        }
    }
}
