//! Pod CIDRs and the nodes that hold them, so that an overlap is found in one walk down a prefix tree.

use std::collections::HashMap;

use api::DualStack;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

/// Disjoint CIDRs, each with the node that holds it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    ipv4: PrefixMap<Ipv4Net, String>,
    ipv6: PrefixMap<Ipv6Net, String>,
    held: HashMap<String, DualStack>,
}

impl Claims {
    /// What `node` holds.
    pub(super) fn holds(&self, node: &str) -> Option<DualStack> {
        self.held.get(node).copied()
    }

    /// The first of `wanted` that another node holds in part: (wanted, held, holder).
    pub(super) fn conflict(&self, node: &str, wanted: &DualStack) -> Option<(IpNet, IpNet, &str)> {
        let ipv4 = wanted.ipv4().and_then(|net| {
            let above = self.ipv4.get_lpm(&net).into_iter();
            let mut all = above.chain(self.ipv4.children(&net));
            all.find(|(_, holder)| *holder != node)
                .map(|(held, holder)| (net.into(), held.into(), holder.as_str()))
        });
        ipv4.or_else(|| {
            wanted.ipv6().and_then(|net| {
                let above = self.ipv6.get_lpm(&net).into_iter();
                let mut all = above.chain(self.ipv6.children(&net));
                all.find(|(_, holder)| *holder != node)
                    .map(|(held, holder)| (net.into(), held.into(), holder.as_str()))
            })
        })
    }

    /// Gives `cidrs` to `node`, in place of what it held.
    pub(super) fn take(&mut self, node: &str, cidrs: DualStack) {
        if self.held.get(node) == Some(&cidrs) {
            return;
        }
        self.release(node);
        if let Some(net) = cidrs.ipv4() {
            self.ipv4.insert(net, node.to_owned());
        }
        if let Some(net) = cidrs.ipv6() {
            self.ipv6.insert(net, node.to_owned());
        }
        self.held.insert(node.to_owned(), cidrs);
    }

    /// Frees what `node` holds.
    pub(super) fn release(&mut self, node: &str) {
        if let Some(cidrs) = self.held.remove(node) {
            if let Some(net) = cidrs.ipv4() {
                self.ipv4.remove(&net);
            }
            if let Some(net) = cidrs.ipv6() {
                self.ipv6.remove(&net);
            }
        }
    }
}
