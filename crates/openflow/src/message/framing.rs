//! Messages out of a stream of bytes.

use super::{Frame, HEADER, Header};
use crate::wire::DecodeError;

/// Cuts a stream of bytes into messages.
///
/// Feed it what comes, in pieces of any size, and poll until it has no message left. The buffer never holds more
/// than one incomplete message and what was fed at once.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the stream could end here: no message is incomplete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next message with its header; `None` until more bytes come.
    ///
    /// A message that cannot be decoded is an error of its own, within: the stream goes on after it, and its
    /// header says what to answer.
    ///
    /// # Errors
    ///
    /// When a header has an impossible length. The stream cannot be followed any further.
    #[expect(clippy::type_complexity, reason = "one error ends the stream, the other does not")]
    pub fn poll(&mut self) -> Result<Option<(Header, Result<Frame, DecodeError>)>, DecodeError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        if rest.len() < HEADER {
            return Ok(None);
        }
        let header = Header::parse(rest)?;
        let Some(bytes) = rest.get(..usize::from(header.length)) else { return Ok(None) };
        let frame = Frame::decode(bytes);
        self.start += bytes.len();
        Ok(Some((header, frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn stream() -> (Vec<Message>, Vec<u8>) {
        let messages =
            vec![Message::BarrierRequest, Message::EchoRequest(vec![1, 2, 3]), Message::CtFlushZone(7)];
        let mut bytes = Vec::new();
        for (xid, message) in (1..).zip(&messages) {
            message.encode(xid, &mut bytes).unwrap();
        }
        (messages, bytes)
    }

    #[test]
    fn messages_come_out_whatever_the_pieces() {
        let (messages, bytes) = stream();
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::new();
            let mut decoded = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.feed(piece);
                while let Some((_, frame)) = decoder.poll().unwrap() {
                    decoded.push(frame.unwrap().message);
                }
            }
            assert_eq!(decoded, messages, "pieces of {size}");
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn a_bad_message_does_not_end_the_stream() {
        let mut decoder = Decoder::new();
        decoder.feed(&[6, 14, 0, 12, 0, 0, 0, 9, 1, 2, 3, 4]); // a flow-mod that is too short
        decoder.feed(&stream().1);
        let (header, frame) = decoder.poll().unwrap().unwrap();
        assert_eq!((header.kind, header.xid), (14, 9));
        assert!(frame.is_err());
        assert_eq!(decoder.poll().unwrap().unwrap().1.unwrap().message, Message::BarrierRequest);
    }

    #[test]
    fn an_impossible_length_ends_the_stream() {
        let mut decoder = Decoder::new();
        decoder.feed(&[6, 2, 0, 7, 0, 0, 0, 1]);
        assert_eq!(decoder.poll(), Err(DecodeError::Length { what: "message", length: 7 }));
    }
}
