//! Cuts a byte stream into JSON texts (RFC 7047 section 4: messages follow each other without a separator).

/// The largest message that is accepted unless told otherwise, bytes. The first reply to a monitor is the largest:
/// some 2 kB for each interface.
pub const DEFAULT_MESSAGE_LIMIT: usize = 64 << 20;

/// Consumed bytes are dropped from the front of the buffer when there are at least this many.
const COMPACT: usize = 64 << 10;

/// The stream holds no JSON-RPC messages. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message starts with something else than an object.
    #[error("expected a JSON object, found byte {0:#04x}: is this the socket of an OVSDB server?")]
    NotAnObject(u8),
    /// A message is too large.
    #[error("an OVSDB message is larger than {0} bytes")]
    TooLarge(usize),
}

/// Collects bytes and gives out whole messages.
///
/// Every byte is looked at once, however the stream is cut. Only strings and brackets matter here: whether the text
/// between them is JSON is the business of whoever decodes the message.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the current message starts in `buffer`.
    start: usize,
    /// How far `buffer` has been looked at.
    scanned: usize,
    /// Open objects and arrays.
    depth: usize,
    state: State,
    limit: usize,
    failed: Option<FrameError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    InString,
    Escaped,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(DEFAULT_MESSAGE_LIMIT)
    }
}

impl Framer {
    /// A framer that refuses messages of more than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, depth: 0, state: State::Plain, limit, failed: None }
    }

    /// Takes bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() || self.start >= COMPACT {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` when it has not arrived yet.
    ///
    /// # Errors
    /// When the stream holds something else, or a message is too large. Every later call fails too.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.find_end() {
            Ok(None) => Ok(None),
            Ok(Some(end)) => {
                let start = std::mem::replace(&mut self.start, end);
                Ok(self.buffer.get(start..end))
            }
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
        }
    }

    /// Where the current message ends.
    fn find_end(&mut self) -> Result<Option<usize>, FrameError> {
        if self.depth == 0 && !self.skip_to_object()? {
            return Ok(None);
        }
        let whole = self.scan();
        // Checked for whole messages as well, so that the answer does not depend on how the stream was cut.
        if self.scanned - self.start > self.limit {
            return Err(FrameError::TooLarge(self.limit));
        }
        Ok(whole.then_some(self.scanned))
    }

    /// Moves to the first byte of a message. False when only white space is left.
    fn skip_to_object(&mut self) -> Result<bool, FrameError> {
        for byte in self.buffer.get(self.scanned..).unwrap_or_default() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.scanned += 1,
                b'{' => {
                    self.start = self.scanned;
                    return Ok(true);
                }
                other => return Err(FrameError::NotAnObject(*other)),
            }
        }
        self.start = self.scanned;
        Ok(false)
    }

    /// Looks at bytes until the message is whole (true) or the buffer ends (false).
    fn scan(&mut self) -> bool {
        for byte in self.buffer.get(self.scanned..).unwrap_or_default() {
            self.scanned += 1;
            match (self.state, byte) {
                (State::Plain, b'"') => self.state = State::InString,
                (State::Plain, b'{' | b'[') => self.depth += 1,
                (State::Plain, b'}' | b']') => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return true;
                    }
                }
                (State::InString, b'"') | (State::Escaped, _) => {
                    self.state = if self.state == State::Escaped { State::InString } else { State::Plain };
                }
                (State::InString, b'\\') => self.state = State::Escaped,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
