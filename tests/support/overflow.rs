//! Packets that switches never got to see: with OVS's own datapath they wait in sockets of `ovs-vswitchd` until it has a processor,
//! and what finds no room there is dropped. On a machine that is busy enough that happens whatever k-vswitch does.

use std::collections::BTreeMap;

use crate::Lab;

/// What the switches' sockets of a lab have dropped so far.
#[derive(Debug)]
pub struct Overflows(BTreeMap<(String, String), u32>);

impl Overflows {
    /// Asks all nodes.
    pub(crate) fn of(lab: &Lab) -> Self {
        let status = lab.json(&["status"]);
        let names = status["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap());
        let on = |name: &str| drops(&lab.node_of(name).exec(&["ss", "--packet", "--memory"]));
        let all =
            names.flat_map(|name| on(name).into_iter().map(|(link, drops)| ((name.to_owned(), link), drops)));
        Self(all.collect())
    }

    /// How many packets found no room since, in the sockets that there were then.
    pub(crate) fn until(&self, later: &Self) -> u32 {
        let of =
            |(socket, before): (&_, &u32)| later.0.get(socket).map_or(0, |now| now.saturating_sub(*before));
        self.0.iter().map(of).sum()
    }
}

/// What packet sockets have dropped, by their interfaces, as `ss` tells it: `*:eth0 … skmem:(…,d<drops>)`.
fn drops(said: &str) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    let mut link = None;
    for word in said.split_whitespace() {
        if let Some(name) = word.strip_prefix("*:") {
            link = Some(name);
        }
        let dropped =
            word.strip_prefix("skmem:(").and_then(|rest| rest.trim_end_matches(')').rsplit_once(",d"));
        if let Some((_, dropped)) = dropped
            && let Some(name) = link.take()
        {
            *all.entry(name.to_owned()).or_default() += dropped.parse::<u32>().unwrap();
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Netid Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n\
        p_raw 0      0                  *:eth0             *     skmem:(r0,rb212992,t0,tb212992,f0,w0,o176,bl0,d12)\n\
        p_raw 0      0                [0]:*                *     skmem:(r0,rb212992,t0,tb212992,f0,w0,o0,bl0,d9)\n\
        p_raw 0      0  *:kvs490df27f96cf                  *     skmem:(r0,rb212992,t0,tb212992,f0,w0,o176,bl0,d3)\n";

    #[test]
    fn drops_are_told_by_interface() {
        let expected = [("eth0", 12), ("kvs490df27f96cf", 3)].map(|(link, drops)| (link.to_owned(), drops));
        assert_eq!(drops(SAID), BTreeMap::from(expected));
        assert!(drops("").is_empty());
    }

    #[test]
    fn only_what_was_dropped_since_counts_and_only_by_sockets_that_were_there() {
        let of = |sockets: &[(&str, u32)]| {
            Overflows(
                sockets.iter().map(|(link, drops)| (("node-1".into(), (*link).into()), *drops)).collect(),
            )
        };
        let before = of(&[("eth0", 12), ("kvs1", 3)]);
        assert_eq!(before.until(&before), 0);
        assert_eq!(before.until(&of(&[("eth0", 14), ("kvs1", 3), ("kvs2", 100)])), 2);
        assert_eq!(before.until(&of(&[("eth0", 1)])), 0);
    }
}
