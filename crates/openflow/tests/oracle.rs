//! `ovs-ofctl ofp-print` reads what this crate writes, and prints it the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod common;

use std::fmt::Write as _;
use std::process::Command;

use openflow::Frame;

const XID: u32 = 0x1234;

/// What `ovs-ofctl` makes of a message. Without packets, which it prints in its own way.
fn ofp_print(bytes: &[u8]) -> String {
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let verbosity = if bytes[1] == 19 { "1" } else { "0" };
    let output = Command::new("ovs-ofctl").args(["ofp-print", &hex, verbosity]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_message_is_printed_as_ovs_ofctl_prints_it() {
    if !common::have("ovs-ofctl") {
        return;
    }
    let mut differences = String::new();
    for message in common::samples::messages() {
        let mut bytes = Vec::new();
        message.encode(XID, &mut bytes).unwrap();
        let ours = common::tidy(&Frame { xid: XID, message }.to_string());
        let theirs = common::tidy(&ofp_print(&bytes));
        if ours != theirs {
            let lines = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
            let (ours, theirs) = lines.unwrap_or((&ours, &theirs));
            writeln!(differences, "ours:   {ours}\ntheirs: {theirs}\n").unwrap();
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn every_message_reads_back_as_it_was() {
    for message in common::samples::messages().into_iter().chain(common::samples::unprintable_messages()) {
        let mut bytes = Vec::new();
        message.encode(XID, &mut bytes).unwrap();
        let frame =
            Frame::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", message.with_xid(XID)));
        assert_eq!(frame, Frame { xid: XID, message });
        let mut again = Vec::new();
        frame.message.encode(XID, &mut again).unwrap();
        assert_eq!(again, bytes);
    }
}

#[test]
fn a_message_cut_short_is_an_error_or_a_message() {
    for message in common::samples::messages() {
        let mut bytes = Vec::new();
        message.encode(XID, &mut bytes).unwrap();
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            if let (Some(slot), Ok(length)) = (cut.get_mut(2..4), u16::try_from(length)) {
                slot.copy_from_slice(&length.to_be_bytes());
            }
            if let Ok(frame) = Frame::decode(&cut) {
                let mut again = Vec::new();
                frame.message.encode(XID, &mut again).unwrap();
                assert_eq!(Frame::decode(&again).unwrap(), frame);
            }
        }
    }
}
