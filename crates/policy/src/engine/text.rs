//! Pairs of texts as bytes: each text after its length. So two lists are equal if and only if their bytes are.

pub(crate) fn push(bytes: &mut Vec<u8>, key: &str, value: &str) {
    for text in [key, value] {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
}

pub(crate) fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = bytes;
    std::iter::from_fn(move || Some((next(&mut rest)?, next(&mut rest)?)))
}

fn next<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_out_as_they_went_in() {
        let all = [("app", "web"), ("", ""), ("k\0", "ü"), ("a", "")];
        let mut bytes = Vec::new();
        all.iter().for_each(|(key, value)| push(&mut bytes, key, value));
        assert_eq!(pairs(&bytes).collect::<Vec<_>>(), all);
    }
}
