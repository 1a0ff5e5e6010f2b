//! A routing netlink socket: one request, its answer, and errors that say what was attempted where.
//!
//! Requests are answered by the kernel before `send` returns, so the socket never waits for long and needs no timeout.

use std::{fmt, io, sync::Arc};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART,
    NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NlasIterator, Parseable,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use crate::{Error, Netns, Result};

const HEADER_LEN: usize = 16;
/// What the kernel fills at most for one read of a dump (`netlink_dump`), so that dumps take the fewest reads.
const RECEIVE_LEN: usize = 32 * 1024;
/// How often a dump is repeated when the tables changed under it.
const DUMP_ATTEMPTS: u32 = 10;
/// `NLMSGERR_ATTR_MSG` of `linux/netlink.h`: the extended acknowledgement's text.
const ATTR_MESSAGE: u16 = 1;

/// A netlink socket bound to one network namespace for its whole life, whichever thread uses it.
pub struct Netlink {
    socket: Socket,
    netns: Arc<str>,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Why a request got no good answer; becomes an [`Error`] with what was attempted.
enum Refusal {
    Errno { source: io::Error, said: String },
    Unreadable(String),
}

/// One message of an answer.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl fmt::Debug for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netlink").field("netns", &self.netns).finish_non_exhaustive()
    }
}

impl Netlink {
    /// Opens a socket to the routing netlink of the calling thread's namespace.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the kernel gives no socket.
    pub fn open() -> Result<Self> {
        Self::open_protocol(NETLINK_ROUTE, "of this process".into())
    }

    /// Opens a socket to the routing netlink of `netns`. It stays there, whichever thread uses it.
    ///
    /// # Errors
    /// [`Error::Netns`] if the namespace cannot be entered, [`Error::Kernel`] if the kernel gives no socket.
    pub fn open_in(netns: &Netns) -> Result<Self> {
        netns.run(|| Self::open_protocol(NETLINK_ROUTE, netns.name().clone()))?
    }

    pub(crate) fn open_protocol(protocol: isize, netns: Arc<str>) -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            // Kernels before 4.12 know neither; they cost words in error messages, nothing else.
            let _ = socket.set_ext_ack(true);
            let _ = socket.set_cap_ack(true);
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Self { socket, netns, sequence: 0, buffer: Vec::with_capacity(RECEIVE_LEN) }),
            Err(source) => {
                let action = "open a netlink socket".to_owned();
                Err(Error::Kernel { action, netns, source, said: String::new() })
            }
        }
    }

    /// The namespace it speaks to, for messages.
    #[must_use]
    pub fn netns(&self) -> &Arc<str> {
        &self.netns
    }

    /// Changes something: sends `body` and waits for the acknowledgement.
    pub(crate) fn change(
        &mut self,
        action: impl FnOnce() -> String,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> Result<()> {
        match self.exchange(kind, flags | NLM_F_ACK, body) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(self.error(action, refusal)),
        }
    }

    /// Asks for one object.
    pub(crate) fn get<M: Parseable<[u8]>>(
        &mut self,
        action: impl FnOnce() -> String,
        kind: u16,
        body: &impl Emitable,
    ) -> Result<Option<M>> {
        match self.exchange(kind, 0, body).and_then(|(payloads, _)| parse(&payloads)) {
            Ok(messages) => Ok(messages.into_iter().next()),
            Err(refusal) => Err(self.error(action, refusal)),
        }
    }

    /// Asks for all objects of a kind. Repeated when the kernel says that they changed meanwhile.
    pub(crate) fn dump<M: Parseable<[u8]>>(
        &mut self,
        action: impl FnOnce() -> String,
        kind: u16,
        body: &impl Emitable,
    ) -> Result<Vec<M>> {
        for _ in 1..DUMP_ATTEMPTS {
            match self.exchange(kind, NLM_F_DUMP, body) {
                Ok((_, true)) => {}
                Ok((payloads, false)) => {
                    return parse(&payloads).map_err(|refusal| self.error(action, refusal));
                }
                Err(refusal) => return Err(self.error(action, refusal)),
            }
        }
        let said = "the tables changed during every attempt to read them".to_owned();
        Err(self.error(action, Refusal::Errno { source: Errno::INTR.into(), said }))
    }

    /// Joins a multicast group: from now on the kernel tells what it tells the group, and [`Netlink::told`] reads it. No
    /// requests go by this socket any more.
    pub(crate) fn join(&mut self, action: impl FnOnce() -> String, group: u32) -> Result<()> {
        let joined = self.socket.add_membership(group);
        joined.map_err(|source| self.error(action, Refusal::Errno { source, said: String::new() }))
    }

    /// Waits for what the kernel tells groups, and asks `which` of each message, by its kind and payload. What cannot be read is
    /// passed over.
    pub(crate) fn told(&mut self, which: impl Fn(u16, &[u8]) -> bool) -> io::Result<bool> {
        match self.receive() {
            Err(Refusal::Errno { source, .. }) => return Err(source),
            Err(Refusal::Unreadable(_)) => return Ok(false),
            Ok(()) => {}
        }
        let mut rest = self.buffer.as_slice();
        while let Ok((message, after)) = next_message(rest) {
            if which(message.kind, message.payload) {
                return Ok(true);
            }
            rest = after;
        }
        Ok(false)
    }

    fn error(&self, action: impl FnOnce() -> String, refusal: Refusal) -> Error {
        let (action, netns) = (action(), self.netns.clone());
        match refusal {
            Refusal::Errno { source, said } => Error::Kernel { action, netns, source, said },
            Refusal::Unreadable(reason) => Error::Answer { action, netns, reason },
        }
    }

    /// Sends one request and collects the payloads of its answer. The flag says that a dump was interrupted.
    fn exchange(
        &mut self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> std::result::Result<(Vec<Vec<u8>>, bool), Refusal> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = encode(kind, flags | NLM_F_REQUEST, self.sequence, body)?;
        loop {
            match self.socket.send(&request, 0) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Refusal::Errno { source, said: String::new() }),
            }
        }
        let mut payloads = Vec::new();
        let mut interrupted = false;
        loop {
            self.receive()?;
            let mut rest = self.buffer.as_slice();
            while !rest.is_empty() {
                let (message, after) = next_message(rest)?;
                rest = after;
                if message.sequence != self.sequence {
                    // Left over from a request that was given up.
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_ERROR => return outcome(&message).map(|()| (payloads, interrupted)),
                    NLMSG_DONE => return Ok((payloads, interrupted)),
                    _ => payloads.push(message.payload.to_vec()),
                }
                // A single object without an acknowledgement asked for is complete with its message.
                if message.flags & NLM_F_MULTIPART == 0 && flags & NLM_F_ACK == 0 {
                    return Ok((payloads, interrupted));
                }
            }
        }
    }

    fn receive(&mut self) -> std::result::Result<(), Refusal> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(0) => return Err(Refusal::Unreadable("it is empty".to_owned())),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Refusal::Errno { source, said: String::new() }),
            }
        }
    }
}

fn encode(
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &impl Emitable,
) -> std::result::Result<Vec<u8>, Refusal> {
    let length = HEADER_LEN + body.buffer_len();
    let mut header = NetlinkHeader::default();
    header.length =
        u32::try_from(length).map_err(|_| Refusal::Unreadable("the request is too long".to_owned()))?;
    header.message_type = kind;
    header.flags = flags;
    header.sequence_number = sequence;
    let mut request = vec![0; length];
    let (head, tail) = request.split_at_mut(HEADER_LEN);
    header.emit(head);
    body.emit(tail);
    Ok(request)
}

fn next_message(bytes: &[u8]) -> std::result::Result<(Message<'_>, &[u8]), Refusal> {
    let unreadable = |e: &dyn fmt::Display| Refusal::Unreadable(e.to_string());
    let buffer = NetlinkBuffer::new_checked(bytes).map_err(|e| unreadable(&e))?;
    let length = usize::try_from(buffer.length()).map_err(|e| unreadable(&e))?;
    let payload = bytes.get(HEADER_LEN..length).ok_or_else(|| unreadable(&"a length beyond its end"))?;
    let message = Message {
        kind: buffer.message_type(),
        flags: buffer.flags(),
        sequence: buffer.sequence_number(),
        payload,
    };
    // Messages start at multiples of four; the last one need not be padded.
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok((message, after))
}

/// Reads an `nlmsgerr`: a negative errno (0 is the acknowledgement), the request's header, attributes.
fn outcome(message: &Message<'_>) -> std::result::Result<(), Refusal> {
    let Some((code, rest)) = message.payload.split_first_chunk::<4>() else {
        return Err(Refusal::Unreadable("an error without a code".to_owned()));
    };
    let code = i32::from_ne_bytes(*code);
    if code == 0 {
        return Ok(());
    }
    let source = io::Error::from_raw_os_error(code.saturating_neg());
    let told = NLM_F_ACK_TLVS | NLM_F_CAPPED;
    let said = match rest.get(HEADER_LEN..) {
        Some(attributes) if message.flags & told == told => kernel_words(attributes),
        _ => String::new(),
    };
    Err(Refusal::Errno { source, said })
}

fn kernel_words(attributes: &[u8]) -> String {
    for attribute in NlasIterator::new(attributes).flatten() {
        if attribute.kind() == ATTR_MESSAGE {
            let text = String::from_utf8_lossy(attribute.value());
            return text.trim_end_matches('\0').to_owned();
        }
    }
    String::new()
}

fn parse<M: Parseable<[u8]>>(payloads: &[Vec<u8>]) -> std::result::Result<Vec<M>, Refusal> {
    let parsed: std::result::Result<Vec<M>, _> = payloads.iter().map(|payload| M::parse(payload)).collect();
    parsed.map_err(|e| Refusal::Unreadable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_answers_are_errors() {
        assert!(next_message(&[0; 15]).is_err());
        let mut bytes = [0; 16];
        bytes[0] = 20;
        assert!(next_message(&bytes).is_err());
    }

    #[test]
    fn messages_follow_each_other_at_multiples_of_four() {
        let mut bytes = vec![0; 40];
        bytes[0] = 18;
        bytes[20] = 20;
        bytes[24] = 3;
        let (first, rest) = next_message(&bytes).unwrap_or_else(|_| unreachable!());
        assert_eq!(first.payload.len(), 2);
        let (second, rest) = next_message(rest).unwrap_or_else(|_| unreachable!());
        assert_eq!((second.kind, second.payload.len(), rest.len()), (3, 4, 0));
    }
}
