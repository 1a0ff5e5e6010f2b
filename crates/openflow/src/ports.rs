//! Descriptions and counters of ports.

use std::fmt;
use std::time::Duration;

use crate::addr::MacAddr;
use crate::flow::Seconds;
use crate::port::PortNo;
use crate::property::{Property, properties, put_property};
use crate::wire::{DecodeError, Reader, Writer};

/// A port (OpenFlow 1.5.1 section 7.2.1).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Port {
    /// Its number.
    pub number: PortNo,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its name, at most 15 bytes; for longer names Open vSwitch gives the beginning.
    pub name: String,
    /// Bitmap of `OFPPC_*`: what the administrator wants.
    pub config: u32,
    /// Bitmap of `OFPPS_*`: how it is.
    pub state: u32,
    /// What is known of its link.
    pub ethernet: EthernetLink,
}

/// An Ethernet port's link: bitmaps of `OFPPF_*`, and speeds in kilobits per second.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EthernetLink {
    /// What is in use.
    pub current: u32,
    /// What the port offers.
    pub advertised: u32,
    /// What it could do.
    pub supported: u32,
    /// What its peer offers.
    pub peer: u32,
    /// The present speed.
    pub speed: u32,
    /// The highest speed.
    pub max_speed: u32,
}

impl Port {
    /// The bit of the state that means that there is no link.
    pub const LINK_DOWN: u32 = 1;
    /// The bit of the state that means that the port is live, for fast failover.
    pub const LIVE: u32 = 4;
    const NAME_BYTES: usize = 16;
    const ETHERNET: u16 = 0;

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("port", 4, 40)?;
        let number = PortNo::new(r.u32()?);
        r.skip(4)?;
        let mac = MacAddr(r.array()?);
        r.skip(2)?;
        let name = r.text(Self::NAME_BYTES)?;
        let (config, state) = (r.u32()?, r.u32()?);
        let mut ethernet = EthernetLink::default();
        for property in properties(r) {
            let Property { code, mut body } = property?;
            if code == Self::ETHERNET {
                body.skip(4)?;
                ethernet = EthernetLink {
                    current: body.u32()?,
                    advertised: body.u32()?,
                    supported: body.u32()?,
                    peer: body.u32()?,
                    speed: body.u32()?,
                    max_speed: body.u32()?,
                };
            }
        }
        Ok(Self { number, mac, name, config, state, ethernet })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u32(self.number.get());
        w.zeros(4);
        w.bytes(&self.mac.octets());
        w.zeros(2);
        w.text(&self.name, Self::NAME_BYTES);
        w.u32(self.config);
        w.u32(self.state);
        put_property(w, Self::ETHERNET, |w| {
            w.zeros(4);
            let EthernetLink { current, advertised, supported, peer, speed, max_speed } = self.ethernet;
            [current, advertised, supported, peer, speed, max_speed].iter().for_each(|word| w.u32(*word));
        });
        w.patch_length("port", start + 4, start);
    }
}

/// Tells that a port came, went or changed (OpenFlow 1.5.1 section 7.4.3).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PortStatus {
    /// What happened.
    pub reason: PortReason,
    /// The port as it is now.
    pub port: Port,
}

/// What happened to a port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PortReason {
    /// It is new.
    Add,
    /// It is gone.
    Delete,
    /// It changed.
    Modify,
}

impl PortStatus {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reason = match r.u8()? {
            0 => PortReason::Add,
            1 => PortReason::Delete,
            2 => PortReason::Modify,
            other => return Err(DecodeError::Unknown { what: "port reason", code: u64::from(other) }),
        };
        r.skip(7)?;
        Ok(Self { reason, port: Port::decode(r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u8(match self.reason {
            PortReason::Add => 0,
            PortReason::Delete => 1,
            PortReason::Modify => 2,
        });
        w.zeros(7);
        self.port.encode(w);
    }
}

/// Counters of a port (OpenFlow 1.5.1 section 7.3.5.7). `u64::MAX` where the switch does not know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PortStats {
    /// The port.
    pub number: PortNo,
    /// Time since it was added, if the switch knows.
    pub duration: Option<Duration>,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped on reception.
    pub rx_dropped: u64,
    /// Packets dropped on sending.
    pub tx_dropped: u64,
    /// Errors of reception, of all kinds.
    pub rx_errors: u64,
    /// Errors of sending, of all kinds.
    pub tx_errors: u64,
    /// Packets received with bad alignment.
    pub rx_frame_errors: u64,
    /// Packets that came too fast.
    pub rx_over_errors: u64,
    /// Packets received with a bad checksum.
    pub rx_crc_errors: u64,
    /// Collisions.
    pub collisions: u64,
}

impl PortStats {
    const ETHERNET: u16 = 0;

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("port counters", 0, 80)?;
        r.skip(4)?;
        let number = PortNo::new(r.u32()?);
        let duration = r.duration()?;
        let mut this = Self {
            number,
            duration,
            rx_packets: r.u64()?,
            tx_packets: r.u64()?,
            rx_bytes: r.u64()?,
            tx_bytes: r.u64()?,
            rx_dropped: r.u64()?,
            tx_dropped: r.u64()?,
            rx_errors: r.u64()?,
            tx_errors: r.u64()?,
            rx_frame_errors: u64::MAX,
            rx_over_errors: u64::MAX,
            rx_crc_errors: u64::MAX,
            collisions: u64::MAX,
        };
        for property in properties(r) {
            let Property { code, mut body } = property?;
            if code == Self::ETHERNET {
                body.skip(4)?;
                this.rx_frame_errors = body.u64()?;
                this.rx_over_errors = body.u64()?;
                this.rx_crc_errors = body.u64()?;
                this.collisions = body.u64()?;
            }
        }
        Ok(this)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.zeros(4);
        w.u32(self.number.get());
        w.duration(self.duration);
        for counter in [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
        ] {
            w.u64(counter);
        }
        put_property(w, Self::ETHERNET, |w| {
            w.zeros(4);
            for counter in [self.rx_frame_errors, self.rx_over_errors, self.rx_crc_errors, self.collisions] {
                w.u64(counter);
            }
        });
        w.patch_length("port counters", start, start);
    }
}

/// Names of the bits that are set, separated by spaces; bits without a name in hexadecimal.
pub(crate) fn bit_names(bits: u32, names: &[(u32, &str)]) -> String {
    if bits == 0 {
        return "0".to_owned();
    }
    let named = names.iter().filter(|(bit, _)| bits & bit != 0);
    let rest = named.clone().fold(bits, |rest, (bit, _)| rest & !bit);
    let mut words: Vec<_> = named.map(|(_, name)| (*name).to_owned()).collect();
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    words.join(" ")
}

const CONFIG: &[(u32, &str)] =
    &[(1, "PORT_DOWN"), (1 << 2, "NO_RECV"), (1 << 5, "NO_FWD"), (1 << 6, "NO_PACKET_IN")];
const STATE: &[(u32, &str)] = &[(1, "LINK_DOWN"), (2, "BLOCKED"), (4, "LIVE")];
const FEATURES: &[(u32, &str)] = &[
    (1, "10MB-HD"),
    (1 << 1, "10MB-FD"),
    (1 << 2, "100MB-HD"),
    (1 << 3, "100MB-FD"),
    (1 << 4, "1GB-HD"),
    (1 << 5, "1GB-FD"),
    (1 << 6, "10GB-FD"),
    (1 << 7, "40GB-FD"),
    (1 << 8, "100GB-FD"),
    (1 << 9, "1TB-FD"),
    (1 << 10, "OTHER"),
    (1 << 11, "COPPER"),
    (1 << 12, "FIBER"),
    (1 << 13, "AUTO_NEG"),
    (1 << 14, "AUTO_PAUSE"),
    (1 << 15, "AUTO_PAUSE_ASYM"),
];

impl fmt::Display for Port {
    /// The port as `ovs-ofctl dump-ports-desc` prints it, over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " {}({}): addr:{}", self.number, self.name, self.mac)?;
        writeln!(f, "     config:     {}", bit_names(self.config, CONFIG))?;
        writeln!(f, "     state:      {}", bit_names(self.state, STATE))?;
        let link = self.ethernet;
        for (label, bits) in [
            ("current:   ", link.current),
            ("advertised:", link.advertised),
            ("supported: ", link.supported),
            ("peer:      ", link.peer),
        ] {
            if bits != 0 {
                writeln!(f, "     {label} {}", bit_names(bits, FEATURES))?;
            }
        }
        write!(f, "     speed: {} Mbps now, {} Mbps max", link.speed / 1000, link.max_speed / 1000)
    }
}

impl fmt::Display for PortStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            PortReason::Add => "ADD",
            PortReason::Delete => "DEL",
            PortReason::Modify => "MOD",
        };
        write!(f, "{reason}:{}", self.port)
    }
}

impl fmt::Display for PortStats {
    /// The counters as `ovs-ofctl dump-ports` prints them, over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u64| if n == u64::MAX { "?".to_owned() } else { n.to_string() };
        write!(f, "  port {:>2}: rx ", self.number.to_string())?;
        for (name, n) in [
            ("pkts", self.rx_packets),
            ("bytes", self.rx_bytes),
            ("drop", self.rx_dropped),
            ("errs", self.rx_errors),
            ("frame", self.rx_frame_errors),
            ("over", self.rx_over_errors),
        ] {
            write!(f, "{name}={}, ", count(n))?;
        }
        writeln!(f, "crc={}", count(self.rx_crc_errors))?;
        f.write_str("           tx ")?;
        for (name, n) in [
            ("pkts", self.tx_packets),
            ("bytes", self.tx_bytes),
            ("drop", self.tx_dropped),
            ("errs", self.tx_errors),
        ] {
            write!(f, "{name}={}, ", count(n))?;
        }
        write!(f, "coll={}", count(self.collisions))?;
        match self.duration {
            Some(duration) => write!(f, "\n           duration={}", Seconds(duration)),
            None => Ok(()),
        }
    }
}
