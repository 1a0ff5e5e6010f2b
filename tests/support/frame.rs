//! Ethernet frames, byte by byte.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// MAC of the virtual router, a pod's only neighbour.
pub const ROUTER: [u8; 6] = [0x0a, 0x58, 0, 0, 0, 1];

const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// A frame (IEEE 802.3, type interpretation).
#[must_use]
pub fn ethernet(destination: [u8; 6], source: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), payload].concat()
}

/// An IPv4 packet with UDP (RFC 791, RFC 768), without UDP checksum.
#[must_use]
pub fn udp4(source: Ipv4Addr, destination: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp =
        [&4444_u16.to_be_bytes()[..], &port.to_be_bytes(), &length(8, payload), &[0, 0], payload].concat();
    ipv4(source, destination, UDP, &udp)
}

/// An IPv4 packet (RFC 791).
#[must_use]
pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = length(20, payload);
    let mut header = vec![0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    [header, payload.to_vec()].concat()
}

/// An IPv6 packet with UDP (RFC 8200).
#[must_use]
pub fn udp6(source: Ipv6Addr, destination: Ipv6Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp =
        [&4444_u16.to_be_bytes()[..], &port.to_be_bytes(), &length(8, payload), &[0, 0], payload].concat();
    ipv6(source, destination, UDP, 6, udp)
}

/// A neighbour solicitation, 135, or advertisement, 136, with a link-layer address (RFC 4861 sections 4.3 and 4.4).
#[must_use]
pub fn neighbour(
    kind: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    mac: [u8; 6],
) -> Vec<u8> {
    let (flags, option) = if kind == 136 { (0x20, 2) } else { (0, 1) };
    let body = [&[kind, 0, 0, 0, flags, 0, 0, 0][..], &target.octets(), &[option, 1], &mac].concat();
    ipv6(source, destination, ICMPV6, 2, body)
}

/// An IPv6 packet (RFC 8200) whose payload has its checksum at `at`.
#[must_use]
pub fn ipv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    at: usize,
    mut payload: Vec<u8>,
) -> Vec<u8> {
    let len = length(0, &payload);
    let addresses = [source.octets(), destination.octets()].concat();
    // RFC 8200 section 8.1: the pseudo-header.
    let sum = checksum(&[&addresses[..], &[0, 0], &len, &[0, 0, 0, protocol], &payload].concat());
    payload[at..at + 2].copy_from_slice(&sum);
    [&[0x60, 0, 0, 0][..], &len, &[protocol, 255], &addresses, &payload].concat()
}

/// An ARP packet (RFC 826): a request, 1, or a reply, 2.
#[must_use]
pub fn arp(operation: u8, sha: [u8; 6], spa: Ipv4Addr, tha: [u8; 6], tpa: Ipv4Addr) -> Vec<u8> {
    let header = [0, 1, 8, 0, 6, 4, 0, operation];
    [&header[..], &sha, &spa.octets(), &tha, &tpa.octets()].concat()
}

/// A packet inside VXLAN with the key that nodes use among each other (RFC 7348 section 5).
#[must_use]
pub fn vxlan(inside: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0x6b, 0x76, 0x73, 0][..], inside].concat()
}

/// A packet inside GRE with the key that nodes use among each other (RFC 2890 section 2): Ethernet inside.
#[must_use]
pub fn gre(inside: &[u8]) -> Vec<u8> {
    [&[0x20, 0, 0x65, 0x58, 0, 0x6b, 0x76, 0x73][..], inside].concat()
}

fn length(header: usize, payload: &[u8]) -> [u8; 2] {
    u16::try_from(header + payload.len()).unwrap().to_be_bytes()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}
