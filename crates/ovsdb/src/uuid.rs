//! Row identifiers (RFC 4122, in the form RFC 7047 section 3.1 asks for).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The identifier of a row or of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// A string that is no UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no UUID: expected 32 hexadecimal digits as 8-4-4-4-12")]
pub struct UuidError(String);

/// Where the dashes stand in the text form.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// All zero: no row has it, and as a transaction id it means "nothing is known yet".
    pub const ZERO: Self = Self([0; 16]);

    /// From its sixteen bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its sixteen bytes, in the order in which they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        parse(text.as_bytes()).map(Self).ok_or_else(|| UuidError(text.chars().take(64).collect()))
    }
}

fn parse(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, c)| *c);
    if DASHES.iter().any(|at| text.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut nibble = || match digits.next()? {
        c @ b'0'..=b'9' => Some(c - b'0'),
        c @ b'a'..=b'f' => Some(c - b'a' + 10),
        c @ b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = nibble()? << 4 | nibble()?;
    }
    Some(bytes)
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Uuid;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_lower_case() {
        let text = "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.as_bytes()[..3], [0xf6, 0x3a, 0x4d]);
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        assert_eq!(Uuid::ZERO.to_string(), "00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "f63a4d75",
            "f63a4d75-0f9c-4f7f-b800-2c982cf26f7",
            "f63a4d75-0f9c-4f7f-b800-2c982cf26f7g",
            "f63a4d750-f9c-4f7f-b800-2c982cf26f7a",
            "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a0",
            "é63a4d75-0f9c-4f7f-b800-2c982cf26f7",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
