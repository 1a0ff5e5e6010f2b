//! Who is measured: three pods on two machines, however they are joined.

use std::any::Any;
use std::net::IpAddr;

use anyhow::Context as _;
use bench::Background;
use host::{Netns, sysctl};

/// A pod, or what stands for one.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) netns: Netns,
    pub(crate) address: IpAddr,
}

/// Three pods: one that asks, one beside it, and one on the other machine.
pub(crate) struct Contender {
    /// Name in the figures.
    pub(crate) key: &'static str,
    pub(crate) client: End,
    pub(crate) near: End,
    pub(crate) far: End,
    /// The machines they are on.
    pub(crate) nodes: [Netns; 2],
    /// What rests while others are measured. Before the guard, which may need it.
    pub(crate) background: Vec<Background>,
    /// What is removed with it.
    pub(crate) _guard: Box<dyn Any>,
}

/// Our own, as a cluster has it that has nothing but pods.
pub(crate) const OURS: &str = "k-vswitch";
/// The same with many policies and Services.
pub(crate) const LOADED: &str = "k-vswitch, 1,000 policies and Services";
/// Open vSwitch that forwards by MAC addresses, which ratios are to.
pub(crate) const NORMAL: &str = "OVS, one NORMAL flow";
/// The same that tracks connections, which is the least that policies and Services take.
pub(crate) const TRACKED: &str = "OVS, NORMAL behind conntrack";
/// What people have without Open vSwitch.
pub(crate) const BRIDGE: &str = "Linux bridge, kube-proxy's rules";

/// How machines carry each other's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    Vxlan,
    Gre,
}

impl Overlay {
    pub(crate) const ALL: [Self; 2] = [Self::Vxlan, Self::Gre];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Gre => "gre",
        }
    }
}

/// Where measured packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// To a pod of the same machine.
    Near,
    /// To a pod of the other machine.
    Far(Overlay),
}

impl Path {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Near => "one node",
            Self::Far(Overlay::Vxlan) => "VXLAN",
            Self::Far(Overlay::Gre) => "GRE",
        }
    }
}

impl Contender {
    /// Lets its programs do nothing: what they kept in the kernel stays there.
    pub(crate) fn rest(&self) -> anyhow::Result<()> {
        self.background.iter().try_for_each(Background::rest).context(self.key)
    }

    /// Lets its programs go on.
    pub(crate) fn wake(&self) -> anyhow::Result<()> {
        self.background.iter().try_for_each(Background::wake).context(self.key)
    }

    /// Has machines and pods look for the way back to each packet's sender, or not (`rp_filter`: 0, 1 or 2).
    ///
    /// Kernels come with 0; systemd's own settings, which most distributions keep, are 2.
    pub(crate) fn filter_reverse_paths(&self, mode: u8) -> anyhow::Result<()> {
        let pods = [&self.client, &self.near, &self.far].map(|end| &end.netns);
        for netns in self.nodes.iter().chain(pods) {
            netns.run(|| sysctl::write("net/ipv4/conf/all/rp_filter", &mode.to_string()))??;
        }
        Ok(())
    }

    /// Who is asked on a path.
    pub(crate) const fn server(&self, path: Path) -> &End {
        match path {
            Path::Near => &self.near,
            Path::Far(_) => &self.far,
        }
    }
}
