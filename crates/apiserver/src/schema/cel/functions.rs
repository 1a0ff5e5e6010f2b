//! Kubernetes' own CEL libraries: addresses (`ip`, `cidr` and what belongs to them) and `find`, `findAll`.

#![allow(clippy::needless_pass_by_value, reason = "CEL hands its arguments over by value")]

use std::{net::IpAddr, sync::Arc};

use ::cel::{Context, DeclarationError, ExecutionError, Value as Cel, extractors::This, objects::Opaque};
use regex::Regex;

type Text = Arc<String>;
type Answer<T> = Result<T, ExecutionError>;

#[derive(Debug, PartialEq, Eq)]
struct Ip(IpAddr);

impl Opaque for Ip {
    fn runtime_type_name(&self) -> &str {
        "net.IP"
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    length: u8,
}

impl Opaque for Cidr {
    fn runtime_type_name(&self) -> &str {
        "net.CIDR"
    }
}

impl Cidr {
    fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn network(&self) -> Cidr {
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4((a.to_bits() & mask4(self.length)).into()),
            IpAddr::V6(a) => IpAddr::V6((a.to_bits() & mask6(self.length)).into()),
        };
        Cidr { address, length: self.length }
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Cidr { address, length: self.length }.network() == self.network()
    }
}

fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0)
}

fn mask6(length: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

/// IPv4-mapped addresses and zones are refused, as in Kubernetes.
fn parse_ip(text: &str) -> Option<Ip> {
    match text.parse().ok()? {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        address => Some(Ip(address)),
    }
}

fn parse_cidr(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let canonical = length == "0" || !length.starts_with(['0', '+']);
    let cidr = Cidr { address: parse_ip(address)?.0, length: length.parse().ok().filter(|_| canonical)? };
    (cidr.length <= cidr.width()).then_some(cidr)
}

fn opaque(value: impl Opaque) -> Cel {
    Cel::Opaque(Arc::new(value))
}

fn wrong(function: &str, message: &str) -> ExecutionError {
    ExecutionError::function_error(function, message)
}

fn as_ip(function: &str, value: &Cel) -> Answer<IpAddr> {
    match value {
        Cel::Opaque(o) => o.downcast_ref::<Ip>().map(|ip| ip.0),
        Cel::String(text) => parse_ip(text).map(|ip| ip.0),
        _ => None,
    }
    .ok_or_else(|| wrong(function, "no such overload, or not an IP address"))
}

fn as_cidr(function: &str, value: &Cel) -> Answer<Cidr> {
    match value {
        Cel::Opaque(o) => o.downcast_ref::<Cidr>().map(|c| Cidr { address: c.address, length: c.length }),
        Cel::String(text) => parse_cidr(text),
        _ => None,
    }
    .ok_or_else(|| wrong(function, "no such overload, or not a CIDR"))
}

fn ip(this: This<Cel>) -> Answer<Cel> {
    match &this.0 {
        // `cidr('…').ip()`
        Cel::Opaque(o) if o.downcast_ref::<Cidr>().is_some() => {
            Ok(opaque(Ip(as_cidr("ip", &this.0)?.address)))
        }
        Cel::String(text) => {
            let parsed = parse_ip(text).map(opaque);
            parsed.ok_or_else(|| {
                wrong("ip", &format!("IP Address '{text}' parse error during conversion from string"))
            })
        }
        _ => Err(wrong("ip", "no such overload")),
    }
}

fn cidr(This(text): This<Text>) -> Answer<Cel> {
    let parsed = parse_cidr(&text).map(opaque);
    parsed.ok_or_else(|| {
        wrong("cidr", &format!("network address parse error during conversion from string: {text}"))
    })
}

fn family(This(this): This<Cel>) -> Answer<i64> {
    let address = as_ip("family", &this).or_else(|_| as_cidr("family", &this).map(|c| c.address))?;
    Ok(if address.is_ipv4() { 4 } else { 6 })
}

fn prefix_length(This(this): This<Cel>) -> Answer<i64> {
    as_cidr("prefixLength", &this).map(|c| c.length.into())
}

fn masked(This(this): This<Cel>) -> Answer<Cel> {
    as_cidr("masked", &this).map(|c| opaque(c.network()))
}

fn contains_ip(This(this): This<Cel>, other: Cel) -> Answer<bool> {
    Ok(as_cidr("containsIP", &this)?.contains(as_ip("containsIP", &other)?))
}

fn contains_cidr(This(this): This<Cel>, other: Cel) -> Answer<bool> {
    let (outer, inner) = (as_cidr("containsCIDR", &this)?, as_cidr("containsCIDR", &other)?);
    Ok(outer.length <= inner.length && outer.contains(inner.address))
}

fn find(This(text): This<Text>, pattern: Text) -> Answer<Cel> {
    let regex = Regex::new(&pattern).map_err(|e| wrong("find", &e.to_string()))?;
    let found = regex.find(&text).map(|found| found.as_str().to_owned()).unwrap_or_default();
    Ok(Cel::String(Arc::new(found)))
}

fn find_all(This(text): This<Text>, pattern: Text) -> Answer<Cel> {
    let regex = Regex::new(&pattern).map_err(|e| wrong("findAll", &e.to_string()))?;
    let found = regex.find_iter(&text).map(|m| Cel::String(Arc::new(m.as_str().to_owned())));
    Ok(Cel::List(Arc::new(found.collect())))
}

/// A question about an address.
fn question(
    name: &'static str,
    ask: fn(IpAddr) -> bool,
) -> impl Fn(This<Cel>) -> Answer<bool> + Send + Sync + 'static {
    move |This(this): This<Cel>| as_ip(name, &this).map(ask)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(a) => (a.to_bits() >> 112) & 0xff0f == 0xff02,
    }
}

pub(super) fn add_to(context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
    context.add_function("isIP", |This(text): This<Text>| parse_ip(&text).is_some())?;
    context.add_function("isCIDR", |This(text): This<Text>| parse_cidr(&text).is_some())?;
    context.add_function("ip", ip)?;
    context.add_function("cidr", cidr)?;
    context.add_function("ip.isCanonical", |text: Text| -> Answer<bool> {
        let parsed = parse_ip(&text).ok_or_else(|| wrong("ip.isCanonical", "not an IP address"))?;
        Ok(parsed.0.to_string() == *text)
    })?;
    context.add_function("family", family)?;
    context.add_function("prefixLength", prefix_length)?;
    context.add_function("masked", masked)?;
    context.add_function("containsIP", contains_ip)?;
    context.add_function("containsCIDR", contains_cidr)?;
    context.add_function("isUnspecified", question("isUnspecified", |a| a.is_unspecified()))?;
    context.add_function("isLoopback", question("isLoopback", |a| a.is_loopback()))?;
    context.add_function("isLinkLocalUnicast", question("isLinkLocalUnicast", is_link_local))?;
    context
        .add_function("isLinkLocalMulticast", question("isLinkLocalMulticast", is_link_local_multicast))?;
    context.add_function(
        "isGlobalUnicast",
        question("isGlobalUnicast", |a| {
            !(a.is_unspecified() || a.is_loopback() || a.is_multicast() || is_link_local(a))
        }),
    )?;
    context.add_function("find", find)?;
    context.add_function("findAll", find_all)?;
    Ok(())
}
