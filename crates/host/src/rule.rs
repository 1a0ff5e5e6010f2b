//! Rules that say which table of routes is looked in (`ip-rule(8)`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily,
    rule::{RuleAction, RuleAttribute, RuleMessage},
};

use crate::{Netlink, Result};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
/// In a rule's header: the table is in an attribute.
const TABLE_IN_ATTRIBUTE: u8 = 0;

/// "Packets that this host makes itself, to that network, are looked up in that table": `to NETWORK iif lo lookup TABLE`. What it
/// forwards has come in by another interface.
///
/// The network spares others the table: the kernel also looks the ways back to senders up as if this host sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPacketsRule {
    /// Where the packets go; the host bits are zero.
    pub destination: IpNet,
    /// The table.
    pub table: u32,
    /// Its place among the rules: lower ones come first.
    pub priority: u32,
}

impl OwnPacketsRule {
    fn message(self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = match self.destination {
            IpNet::V4(_) => AddressFamily::Inet,
            IpNet::V6(_) => AddressFamily::Inet6,
        };
        message.header.dst_len = self.destination.prefix_len();
        message.header.table = TABLE_IN_ATTRIBUTE;
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Iifname("lo".to_owned()),
            RuleAttribute::Table(self.table),
            RuleAttribute::Priority(self.priority),
        ];
        if self.destination.prefix_len() > 0 {
            message.attributes.push(RuleAttribute::Destination(self.destination.network()));
        }
        message
    }

    fn from_message(message: &RuleMessage) -> Option<Self> {
        let mut destination: IpAddr = match message.header.family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let (mut table, mut priority, mut own) = (message.header.table.into(), 0, false);
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Iifname(name) => own = name == "lo",
                RuleAttribute::Table(number) => table = *number,
                RuleAttribute::Priority(number) => priority = *number,
                RuleAttribute::Destination(address) => destination = *address,
                _ => {}
            }
        }
        let destination = IpNet::new(destination, message.header.dst_len).ok()?;
        (own && message.header.action == RuleAction::ToTable).then_some(Self { destination, table, priority })
    }
}

impl Netlink {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`]: for instance `EEXIST`.
    pub fn add_rule(&mut self, rule: OwnPacketsRule) -> Result<()> {
        let action = || format!("add the rule that leads own packets to table {}", rule.table);
        self.change(action, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &rule.message())
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], with [`crate::Error::is_not_found`] if there is none like it.
    pub fn delete_rule(&mut self, rule: OwnPacketsRule) -> Result<()> {
        let action = || format!("delete the rule that leads own packets to table {}", rule.table);
        self.change(action, RTM_DELRULE, 0, &rule.message())
    }

    /// The rules of this kind, both families.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn rules(&mut self) -> Result<Vec<OwnPacketsRule>> {
        let mut rules = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RuleMessage::default();
            message.header.family = family;
            let found: Vec<RuleMessage> = self.dump(|| "list rules".to_owned(), RTM_GETRULE, &message)?;
            rules.extend(found.iter().filter_map(OwnPacketsRule::from_message));
        }
        Ok(rules)
    }
}
