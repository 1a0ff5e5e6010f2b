//! One message: whatever decodes prints, can be written, and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::Frame;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let Ok(length) = u16::try_from(bytes.len()) else { return };
    if let Some(slot) = bytes.get_mut(2..4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
    let Ok(frame) = Frame::decode(&bytes) else { return };
    let _ = frame.to_string();
    let mut again = Vec::new();
    if frame.message.encode(frame.xid, &mut again).is_ok() {
        assert_eq!(Frame::decode(&again), Ok(frame));
    }
});
