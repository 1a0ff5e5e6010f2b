//! Flows of a node's datapath, as `ovs-appctl dpctl/dump-flows` tells of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Node;

/// A flow of the datapath: a megaflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Megaflow {
    /// What it matches, as the switch writes it.
    pub matching: String,
    /// What it does.
    pub actions: String,
}

impl Megaflow {
    /// Reads a line. `None` if it is no flow.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (before, actions) = line.trim().split_once(", actions:")?;
        let (matching, _) = before.split_once(", packets:")?;
        Some(Self { matching: matching.trim_end_matches(',').to_owned(), actions: actions.to_owned() })
    }

    /// The datapath's port by which its packets come.
    #[must_use]
    pub fn in_port(&self) -> &str {
        self.field("in_port").unwrap_or_default()
    }

    /// The recirculation that its packets come from, 0 for packets as they arrive.
    #[must_use]
    pub fn recirculation(&self) -> u32 {
        self.field("recirc_id").map_or(0, number)
    }

    /// The recirculations that it sends packets to.
    #[must_use]
    pub fn next(&self) -> BTreeSet<u32> {
        let after = self.actions.split("recirc(").skip(1);
        after.map(|text| number(text.split(')').next().unwrap())).collect()
    }

    /// Which bits of which fields it looks at, without their values. Flows of the same shape share a mask.
    #[must_use]
    pub fn shape(&self) -> String {
        let fields = split(&self.matching).into_iter().map(|field| {
            let Some((name, inside)) = field.split_once('(') else { return field.to_owned() };
            let parts = split(inside.trim_end_matches(')')).into_iter();
            format!("{name}({})", parts.map(mask).collect::<Vec<_>>().join(","))
        });
        fields.collect::<Vec<_>>().join(",")
    }

    fn field(&self, name: &str) -> Option<&str> {
        let fields = split(&self.matching).into_iter();
        let inside = fields.filter_map(|field| field.strip_prefix(name)?.strip_prefix('('));
        inside.map(|inside| inside.trim_end_matches(')')).next()
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .collect()
}

/// `src=10.0.0.0/255.0.0.0` without its value, and `+new-rel` without its signs.
fn mask(part: &str) -> String {
    let (name, value) = part.split_once('=').map_or(("", part), |(name, value)| (name, value));
    if value.starts_with(['+', '-']) {
        return value.replace('+', "-");
    }
    match value.split_once('/') {
        Some((_, mask)) => format!("{name}/{mask}"),
        None => name.to_owned(),
    }
}

fn number(text: &str) -> u32 {
    let digits = text.strip_prefix("0x");
    digits.map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16)).unwrap()
}

/// How often a packet is recirculated at most, by these flows.
#[must_use]
pub fn recirculations(flows: &[Megaflow]) -> usize {
    let mut next: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for flow in flows {
        next.entry(flow.recirculation()).or_default().extend(flow.next());
    }
    let mut at = BTreeSet::from([0]);
    let mut depth = 0;
    loop {
        at = at.iter().filter_map(|id| next.get(id)).flatten().copied().collect();
        if at.is_empty() {
            return depth;
        }
        depth += 1;
        assert!(depth <= next.len(), "packets go round in circles: {flows:?}");
    }
}

/// How many masks these flows have.
#[must_use]
pub fn shapes(flows: &[Megaflow]) -> BTreeSet<String> {
    flows.iter().map(Megaflow::shape).collect()
}

impl Node<'_> {
    /// The flows of its datapath.
    #[must_use]
    pub fn megaflows(&self) -> Vec<Megaflow> {
        let text = self.exec(&["ovs-appctl", "dpctl/dump-flows", "--names"]);
        text.lines().filter_map(Megaflow::read).collect()
    }

    /// Packets that the datapath had to ask the slow path about.
    #[must_use]
    pub fn upcalls(&self) -> u64 {
        let text = self.exec(&["ovs-appctl", "dpctl/show", "-s"]);
        let missed = text.split_whitespace().find_map(|word| word.strip_prefix("missed:"));
        missed.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    }

    /// How many masks its datapath counts: the kernel's does.
    #[must_use]
    pub fn masks(&self) -> Option<usize> {
        let text = self.exec(&["ovs-appctl", "dpctl/show"]);
        let line = text.lines().find_map(|line| line.trim().strip_prefix("masks:"))?.to_owned();
        line.split_whitespace().find_map(|word| word.strip_prefix("total:")?.parse().ok())
    }

    /// Has the datapath forget its flows, which packets bring back as they need them, and keep those it gets from now on.
    pub fn forget_megaflows(&self) {
        // By default a flow goes that had no packet for ten seconds.
        self.exec(&["ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=600000"]);
        self.exec(&["ovs-appctl", "revalidator/purge"]);
    }
}
