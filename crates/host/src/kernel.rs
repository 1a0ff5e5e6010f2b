//! What this kernel can do.

use std::process::{Command, Stdio};

use netlink_packet_core::Emitable;
use netlink_sys::protocols::NETLINK_GENERIC;

use crate::{Error, Netlink, Result};

/// The controller of generic netlink (`GENL_ID_CTRL`), and its request for a family by name
/// (`CTRL_CMD_GETFAMILY`, version 1, `CTRL_ATTR_FAMILY_NAME`).
const GENL_ID_CTRL: u16 = 0x10;
const GET_FAMILY: [u8; 4] = [3, 1, 0, 0];
const FAMILY_NAME: u16 = 2;

/// The family by which `ovs-vswitchd` talks to the kernel's datapath.
const OVS_DATAPATH: &str = "ovs_datapath";

/// Whether the kernel has Open vSwitch's datapath. The module is loaded if it is not yet.
///
/// The question is put the way `ovs-vswitchd` itself will: by looking the generic netlink family up, which makes the
/// kernel load the module that has it. Only if that finds nothing is `modprobe` tried.
///
/// # Errors
/// [`Error::Kernel`] if the kernel cannot be asked.
pub fn has_openvswitch() -> Result<bool> {
    if has_family(OVS_DATAPATH)? {
        return Ok(true);
    }
    let modprobe = Command::new("modprobe")
        .args(["--quiet", "openvswitch"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // No modprobe, or no module: the same answer.
    if modprobe.is_ok_and(|status| status.success()) { has_family(OVS_DATAPATH) } else { Ok(false) }
}

/// Whether a generic netlink family is there.
///
/// # Errors
/// [`Error::Kernel`] if the kernel cannot be asked.
pub fn has_family(name: &str) -> Result<bool> {
    let mut netlink = Netlink::open_protocol(NETLINK_GENERIC, "of this process".into())?;
    let action = || format!("look for the generic netlink family {name}");
    match netlink.change(action, GENL_ID_CTRL, 0, &GetFamily(name)) {
        Ok(()) => Ok(true),
        Err(error @ Error::Kernel { .. }) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

struct GetFamily<'a>(&'a str);

impl GetFamily<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = GET_FAMILY.to_vec();
        let length = u16::try_from(self.0.len() + 5).unwrap_or(u16::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(FAMILY_NAME.to_ne_bytes());
        bytes.extend(self.0.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

impl Emitable for GetFamily<'_> {
    fn buffer_len(&self) -> usize {
        self.bytes().len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(self.bytes()) {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_itself_is_a_family_and_nonsense_is_not() {
        assert!(has_family("nlctrl").unwrap());
        assert!(!has_family("kvst_no_such").unwrap());
    }

    #[test]
    fn asking_for_the_datapath_gives_an_answer() {
        assert_eq!(has_openvswitch().unwrap(), has_family(OVS_DATAPATH).unwrap());
    }
}
