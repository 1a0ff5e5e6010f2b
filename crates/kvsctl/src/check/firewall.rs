//! Firewalls of the host: chains that drop what they do not know. No table can accept what another one drops.

use std::process::Command;

use api::OverlayType;
use serde_json::Value;

use super::finding::{Check, Finding};

const CHECK: Check = Check("firewall");

/// The table of k-vswitch, which is no stranger.
const OWN_TABLE: &str = "k-vswitch";

/// A base chain that ends with a drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// How it is called: `table inet filter, chain forward`.
    pub(super) name: String,
    /// Which packets come to it.
    pub(super) hook: Hook,
    /// The rules of its table, as text, to be searched.
    pub(super) rules: String,
}

/// Which packets come to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// Those that the node sends on: of pods to the outside, and back.
    Forward,
    /// Those for the node itself: the overlay's, and pods' to the node.
    Input,
}

/// What can be known of a node's firewalls.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The closed chains of nftables, and of iptables where it can be asked.
    pub(super) closed: Vec<Closed>,
    /// The older kind of iptables has tables, and its program is not here.
    pub(super) legacy_unknown: bool,
}

/// Reads rules (`nft -j list ruleset`), and in the calling thread's network namespace iptables' own.
pub(super) fn gather(ruleset: &Value) -> Facts {
    let mut facts = Facts { closed: closed(ruleset), legacy_unknown: false };
    // (`/proc/net` is the namespace of the process, not of the thread.)
    let tables = std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if tables.lines().any(|table| table == "filter") {
        match Command::new("iptables-legacy").arg("-S").output() {
            Ok(output) if output.status.success() => {
                facts.closed.extend(legacy(&String::from_utf8_lossy(&output.stdout)));
            }
            _ => facts.legacy_unknown = true,
        }
    }
    facts
}

/// The base chains of filters that drop what no rule accepts: by their policy, or by a last rule for everything.
fn closed(ruleset: &Value) -> Vec<Closed> {
    let all = ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let place =
        |value: &Value, chain: &str| (text(value, "family"), text(value, "table"), text(value, chain));
    let rules: Vec<&Value> = all.iter().filter_map(|object| object.get("rule")).collect();
    let mut closed = Vec::new();
    for chain in all.iter().filter_map(|object| object.get("chain")) {
        let hook = match chain.get("hook").and_then(Value::as_str) {
            Some("forward") => Hook::Forward,
            Some("input") => Hook::Input,
            _ => continue,
        };
        let (family, table, name) = place(chain, "name");
        if !matches!(family.as_str(), "ip" | "ip6" | "inet") || table == OWN_TABLE {
            continue;
        }
        let here = |rule: &&&Value| place(rule, "chain") == (family.clone(), table.clone(), name.clone());
        let last = rules.iter().rfind(here).and_then(|rule| rule.get("expr")).and_then(Value::as_array);
        let drops = last.is_some_and(|expressions| {
            expressions
                .iter()
                .all(|e| ["drop", "reject", "counter", "log"].iter().any(|verdict| e.get(verdict).is_some()))
                && expressions.iter().any(|e| e.get("drop").is_some() || e.get("reject").is_some())
        });
        if drops || text(chain, "policy") == "drop" {
            let of_table = |rule: &&&Value| text(rule, "family") == family && text(rule, "table") == table;
            let rules: Vec<String> = rules.iter().filter(of_table).map(ToString::to_string).collect();
            closed.push(Closed {
                name: format!("table {family} {table}, chain {name}"),
                hook,
                rules: rules.join("\n"),
            });
        }
    }
    closed
}

/// The same of what `iptables-legacy -S` says.
fn legacy(said: &str) -> Vec<Closed> {
    let chains = [("FORWARD", Hook::Forward), ("INPUT", Hook::Input)];
    let is_closed = |chain: &str| said.lines().any(|line| line == format!("-P {chain} DROP"));
    let closed = chains.into_iter().filter(|(chain, _)| is_closed(chain));
    closed
        .map(|(chain, hook)| Closed {
            name: format!("iptables-legacy, chain {chain}"),
            hook,
            rules: said.to_owned(),
        })
        .collect()
}

/// Whether the table is there that the node's daemon makes; other checks say so where rules cannot be read.
pub(super) fn own_table(ruleset: &Value) -> Option<Finding> {
    let there = ruleset.is_null() || host::nft::tables(ruleset).any(|table| table == ("inet", OWN_TABLE));
    (!there).then(|| {
        CHECK.problem(
            format!(
                "there is no table inet {OWN_TABLE}: pods do not reach the outside, and node ports lead nowhere"
            ),
            "k-vswitchd restores it while it runs: see what is said of the daemon. Who deletes it may be a firewall that \
             begins with `flush ruleset`, as nftables.service does: let that delete and make its own tables instead",
        )
    })
}

/// Judges the facts. With the `userspace` datapath tunnels' packets do not come to the host's stack.
pub(super) fn check(facts: &Facts, bridge: &str, overlay: OverlayType, userspace: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        facts.closed.iter().filter_map(|closed| judge(closed, bridge, overlay, userspace)).collect();
    if facts.legacy_unknown {
        findings.push(CHECK.note(
            "there are tables of the older kind of iptables, which cannot be looked at from here",
            "on the node: iptables-legacy -S FORWARD; its policy must not be DROP, or its rules must accept \
             k-vswitch0",
        ));
    }
    CHECK.or_ok(findings, "no chain drops what pods or tunnels send")
}

fn judge(closed: &Closed, bridge: &str, overlay: OverlayType, userspace: bool) -> Option<Finding> {
    let Closed { name, hook, rules } = closed;
    let knows_bridge = rules.contains(bridge);
    let (tunnel, words, allow): (_, [&str; 2], _) = match overlay {
        OverlayType::Vxlan => ("UDP port 4789", ["4789", "vxlan"], "udp dport 4789 accept"),
        OverlayType::Gre => ("IP protocol 47", ["gre", "47"], "meta l4proto gre accept"),
    };
    match hook {
        Hook::Forward if knows_bridge => None,
        Hook::Forward => Some(CHECK.problem(
            format!("{name} drops what it does not know: pods do not reach the outside, nor does that reach Services"),
            format!(
                "accept iifname {bridge} and oifname {bridge} there (nft: `iifname \"{bridge}\" accept`, `oifname \
                 \"{bridge}\" accept`; iptables: -I FORWARD -i {bridge} -j ACCEPT, -I FORWARD -o {bridge} -j ACCEPT), and \
                 in the firewall's own configuration, so that it stays"
            ),
        )),
        Hook::Input if userspace || words.iter().any(|word| has_word(rules, word)) => (!knows_bridge).then(|| {
            CHECK.note(
                format!("{name} drops what it does not know, such as what pods send to this node"),
                format!("accept iifname {bridge} there, so that pods reach the node's own addresses"),
            )
        }),
        Hook::Input => Some(CHECK.problem(
            format!("{name} drops what it does not know, and no rule knows of {tunnel}: other nodes' pods are not heard"),
            format!(
                "accept {tunnel} from the other nodes there (nft: `{allow}`), and what comes by {bridge}, so that pods \
                 reach the node"
            ),
        )),
    }
}

/// Whether a text has this word, and not only as part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests;
