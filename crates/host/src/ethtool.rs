//! Offloads of an interface.
//!
//! Open vSwitch's userspace datapath reads packets from a raw socket as they are: with checksum offload a veth hands
//! over packets whose checksum nobody has computed, and with segmentation offload packets of 64 KiB. On interfaces
//! that belong to it both have to be off.

use std::{ffi::c_void, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use crate::{Error, Result, link::check_name};

/// `SIOCETHTOOL` of `linux/sockios.h`.
const SIOCETHTOOL: Opcode = 0x8946;

/// The offloads to switch off: get and set command of `linux/ethtool.h`, and `ethtool -k`'s name. Segmentation comes
/// after checksums: the kernel drops it by itself when there is nothing to compute checksums with.
const OFFLOADS: [(u32, u32, &str); 4] = [
    (0x16, 0x17, "tx-checksumming"),
    (0x1e, 0x1f, "tcp-segmentation-offload"),
    (0x23, 0x24, "generic-segmentation-offload"),
    (0x2b, 0x2c, "generic-receive-offload"),
];

/// Switches transmit checksum, TSO, GSO and GRO off on an interface of the calling thread's namespace.
///
/// # Errors
/// [`Error::Offload`] names the offload that could not be switched; those the driver does not have are passed over.
pub fn offloads_off(link: &str) -> Result<()> {
    check_name(link)?;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| Error::Offload { feature: "offloads", link: link.to_owned(), source: e.into() })?;
    for (_, set, feature) in OFFLOADS {
        match request(&socket, link, set, 0) {
            Ok(_) | Err(Errno::OPNOTSUPP) => {}
            Err(e) => return Err(Error::Offload { feature, link: link.to_owned(), source: e.into() }),
        }
    }
    Ok(())
}

/// The offloads of [`offloads_off`] that are on, by `ethtool -k`'s names.
///
/// # Errors
/// [`Error::Offload`] if the interface cannot be asked.
pub fn offloads_on(link: &str) -> Result<Vec<&'static str>> {
    check_name(link)?;
    let failed = |feature, e: Errno| Error::Offload { feature, link: link.to_owned(), source: e.into() };
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| failed("offloads", e))?;
    let mut on = Vec::new();
    for (get, _, feature) in OFFLOADS {
        match request(&socket, link, get, 0) {
            Ok(0) | Err(Errno::OPNOTSUPP) => {}
            Ok(_) => on.push(feature),
            Err(e) => return Err(failed(feature, e)),
        }
    }
    Ok(on)
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ifreq` with `ifr_data`; the kernel copies 40 bytes.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: *mut Value,
    rest: [u8; 16],
}

struct EthtoolValue {
    request: Request,
}

/// Runs one `ethtool_value` command and returns the value afterwards.
#[allow(unsafe_code)]
fn request(socket: &OwnedFd, link: &str, command: u32, data: u32) -> rustix::io::Result<u32> {
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(link.bytes().take(15)) {
        *to = from;
    }
    let mut value = Value { command, data };
    let request = Request { name, value: &raw mut value, rest: [0; 16] };
    // SAFETY: SIOCETHTOOL takes a `struct ifreq` whose `ifr_data` points to the structure of the command in its first
    // word. All commands used here are those of `struct ethtool_value`, and `value` outlives the call.
    unsafe { ioctl(socket, EthtoolValue { request }) }?;
    Ok(value.data)
}

// SAFETY: the opcode is SIOCETHTOOL and the pointer is to a `struct ifreq` of its full 40 bytes, alive and exclusively
// ours during the call. There is no output to construct from the pointer.
#[allow(unsafe_code)]
unsafe impl Ioctl for EthtoolValue {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        SIOCETHTOOL
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.request).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_kernels_layout() {
        assert_eq!(size_of::<Request>(), 40);
        assert_eq!(std::mem::offset_of!(Request, value), 16);
        assert_eq!(size_of::<Value>(), 8);
    }

    #[test]
    fn a_missing_interface_is_named() {
        let error = offloads_off("kvst-none").unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("kvst-none"), "{error}");
    }
}
