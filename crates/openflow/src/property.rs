//! Properties: type, length and value, padded to eight bytes (OpenFlow 1.5.1 section 7.1.2).

use crate::wire::{DecodeError, Reader, Writer};

/// The type of properties whose meaning an experimenter defines.
pub(crate) const EXPERIMENTER: u16 = 0xffff;

pub(crate) struct Property<'a> {
    pub(crate) code: u16,
    pub(crate) body: Reader<'a>,
}

/// The properties that fill the rest of a structure.
pub(crate) fn properties(mut r: Reader<'_>) -> impl Iterator<Item = Result<Property<'_>, DecodeError>> {
    std::iter::from_fn(move || {
        if r.is_empty() {
            return None;
        }
        let property = read_property(&mut r);
        if property.is_err() {
            r = Reader::new("properties", &[]);
        }
        Some(property)
    })
}

fn read_property<'a>(r: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
    let (length, mut body) = r.sized("property", 2, 4)?;
    r.align8(length)?;
    let code = body.u16()?;
    body.skip(2)?;
    Ok(Property { code, body })
}

/// Writes a property with its padding. `body` writes what follows the type and length.
pub(crate) fn put_property(w: &mut Writer<'_>, code: u16, body: impl FnOnce(&mut Writer<'_>)) {
    let start = w.position();
    w.u16(code);
    w.u16(0);
    body(w);
    w.patch_length("property", start + 2, start);
    w.align8(start);
}
