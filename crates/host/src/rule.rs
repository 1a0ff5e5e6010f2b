//! Rules that say which table of routes is looked in (`ip-rule(8)`).

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

/// "Packets that this host makes itself are looked up in that table": `iif lo lookup TABLE`. What it forwards has come in
/// by another interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPacketsRule {
    /// For IPv4 or for IPv6.
    pub ipv4: bool,
    /// The table.
    pub table: u32,
    /// Its place among the rules: lower ones come first.
    pub priority: u32,
}

impl OwnPacketsRule {
    fn message(self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if self.ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.table = TABLE_IN_ATTRIBUTE;
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Iifname("lo".to_owned()),
            RuleAttribute::Table(self.table),
            RuleAttribute::Priority(self.priority),
        ];
        message
    }

    fn from_message(message: &RuleMessage) -> Option<Self> {
        let ipv4 = match message.header.family {
            AddressFamily::Inet => true,
            AddressFamily::Inet6 => false,
            _ => return None,
        };
        let mut rule = Self { ipv4, table: message.header.table.into(), priority: 0 };
        let mut own = false;
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Iifname(name) => own = name == "lo",
                RuleAttribute::Table(table) => rule.table = *table,
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                _ => {}
            }
        }
        (own && message.header.action == RuleAction::ToTable).then_some(rule)
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
