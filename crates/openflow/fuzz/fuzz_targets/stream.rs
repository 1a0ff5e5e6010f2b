//! A stream: its pieces make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::{DecodeError, Decoder, Frame, Header};

type Outcome = Result<(Header, Result<Frame, DecodeError>), DecodeError>;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Outcome> {
    let mut decoder = Decoder::new();
    let mut out = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.poll() {
                Ok(Some(message)) => out.push(Ok(message)),
                Ok(None) => break,
                Err(error) => {
                    out.push(Err(error));
                    return out;
                }
            }
        }
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((size, rest)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(decode(rest.chunks(size)), decode(std::iter::once(rest)));
});
