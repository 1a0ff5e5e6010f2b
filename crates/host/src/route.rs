//! Routes.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType,
    },
};

use crate::{Netlink, Result};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

/// `RTPROT_STATIC`: a route an administrator, or a program like this one, put there.
pub const PROTOCOL_STATIC: u8 = 4;

/// The main table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = RouteHeader::RT_TABLE_MAIN as u32;

/// A unicast route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; the host bits are zero.
    pub destination: IpNet,
    /// The next hop; `None` is a destination on the link itself (scope link).
    pub via: Option<IpAddr>,
    /// Index of the interface.
    pub link: u32,
    /// Take `via` as reachable on the link although no other route says so.
    pub onlink: bool,
    /// The source address that packets of this host get.
    pub source: Option<IpAddr>,
    /// Path MTU, bytes.
    pub mtu: Option<u32>,
    /// Priority: lower wins. `None` is the kernel's default (0 for IPv4, 1024 for IPv6).
    pub metric: Option<u32>,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// The table it is in.
    pub table: u32,
}

impl Route {
    /// A route to a destination on the link itself.
    #[must_use]
    pub fn on_link(destination: IpNet, link: u32) -> Self {
        Self {
            destination: destination.trunc(),
            via: None,
            link,
            onlink: false,
            source: None,
            mtu: None,
            metric: None,
            protocol: PROTOCOL_STATIC,
            table: MAIN_TABLE,
        }
    }

    /// A route through a next hop.
    #[must_use]
    pub fn via(destination: IpNet, via: IpAddr, link: u32) -> Self {
        Self { via: Some(via), ..Self::on_link(destination, link) }
    }

    /// With a preferred source address.
    #[must_use]
    pub fn with_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// With a path MTU, bytes.
    #[must_use]
    pub fn with_mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// With a priority.
    #[must_use]
    pub fn with_metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// With a next hop that no other route has to cover.
    #[must_use]
    pub fn with_onlink(mut self) -> Self {
        self.onlink = true;
        self
    }

    /// In another table than the main one.
    #[must_use]
    pub fn in_table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: family(self.destination),
            destination_prefix_length: self.destination.prefix_len(),
            table: u8::try_from(self.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
            protocol: RouteProtocol::from(self.protocol),
            scope: if self.via.is_some() { RouteScope::Universe } else { RouteScope::Link },
            kind: RouteType::Unicast,
            flags: if self.onlink { RouteFlags::Onlink } else { RouteFlags::empty() },
            ..RouteHeader::default()
        };
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(self.destination.network().into()));
        attributes.push(RouteAttribute::Oif(self.link));
        attributes.push(RouteAttribute::Table(self.table));
        attributes.extend(self.via.map(|ip| RouteAttribute::Gateway(ip.into())));
        attributes.extend(self.source.map(|ip| RouteAttribute::PrefSource(ip.into())));
        attributes.extend(self.metric.map(RouteAttribute::Priority));
        attributes.extend(self.mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
        message
    }

    fn from_message(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let unspecified: IpAddr = match header.address_family {
            AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        if header.kind != RouteType::Unicast || header.flags.contains(RouteFlags::Cloned) {
            return None;
        }
        let (mut destination, mut link) = (unspecified, None);
        let mut route = Self::on_link(IpNet::new(unspecified, 0).ok()?, 0);
        route.protocol = header.protocol.into();
        route.table = header.table.into();
        route.onlink = header.flags.contains(RouteFlags::Onlink);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Gateway(address) => route.via = ip(address),
                RouteAttribute::PrefSource(address) => route.source = ip(address),
                RouteAttribute::Oif(index) => link = Some(*index),
                RouteAttribute::Table(id) => route.table = *id,
                RouteAttribute::Priority(metric) => route.metric = Some(*metric),
                RouteAttribute::Metrics(metrics) => {
                    route.mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        route.destination = IpNet::new(destination, header.destination_prefix_length).ok()?;
        route.link = link?;
        Some(route)
    }
}

impl Netlink {
    /// Adds a route, in place of one to the same destination with the same metric.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`]: for instance `ENETUNREACH` if nothing says how to reach the next hop.
    pub fn replace_route(&mut self, route: &Route) -> Result<()> {
        let action = || describe("set the route", route);
        self.change(action, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route.message())
    }

    /// Deletes a route.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], with [`crate::Error::is_not_found`] if there is none like it.
    pub fn delete_route(&mut self, route: &Route) -> Result<()> {
        self.change(|| describe("delete the route", route), RTM_DELROUTE, 0, &route.message())
    }

    /// The unicast routes of a table, both families. Routes with several next hops are left out.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn routes_in(&mut self, table: u32) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let found: Vec<RouteMessage> = self.dump(|| "list routes".to_owned(), RTM_GETROUTE, &message)?;
            let found = found.iter().filter_map(Route::from_message);
            routes.extend(found.filter(|route| route.table == table));
        }
        Ok(routes)
    }

    /// The unicast routes of the main table, as [`Self::routes_in`] has them.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        self.routes_in(MAIN_TABLE)
    }

    /// The route a packet of this host to `destination` would take. Its `destination` is the single address.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], `ENETUNREACH` if there is none. `None` if it is no unicast route (an own address).
    pub fn route_to(&mut self, destination: IpAddr) -> Result<Option<Route>> {
        let mut message = RouteMessage::default();
        let net = IpNet::from(destination);
        message.header.address_family = family(net);
        message.header.destination_prefix_length = net.prefix_len();
        message.attributes.push(RouteAttribute::Destination(destination.into()));
        let answer: Option<RouteMessage> =
            self.get(|| format!("look up the route to {destination}"), RTM_GETROUTE, &message)?;
        Ok(answer.and_then(|mut message| {
            // A looked-up route is marked as a copy of one in the table.
            message.header.flags.remove(RouteFlags::Cloned);
            Route::from_message(&message)
        }))
    }
}

fn describe(action: &str, route: &Route) -> String {
    let Route { destination, link, .. } = route;
    match route.via {
        Some(via) => format!("{action} to {destination} via {via} on interface index {link}"),
        None => format!("{action} to {destination} on interface index {link}"),
    }
}

fn family(net: IpNet) -> AddressFamily {
    match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
