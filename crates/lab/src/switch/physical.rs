//! `br-phy`, which holds the uplink of a node with OVS's own datapath: its addresses, and the routes that tunnels take.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use host::Netns;
use ipnet::IpNet;
use tokio::sync::watch;

use super::{PATIENCE, SwitchError, blocking, run_tool};
use crate::layout::NodeLayout;
use crate::patience::patience;
use crate::plan::{self, Ends};
use crate::program::ProgramState;
use crate::topology::{self, UPLINK};

/// The bridge's name.
const NAME: &str = "br-phy";

/// Has `ovs-vswitchd` take no routes from the kernel.
pub(super) const VSWITCHD_OPTION: &str = "--disable-system-route";

/// What `ovs-vsctl` is told to have the bridge.
pub(super) const BRIDGE_COMMANDS: [&str; 14] = [
    "--may-exist",
    "add-br",
    NAME,
    "--",
    "set",
    "Bridge",
    NAME,
    "datapath_type=netdev",
    "fail_mode=standalone",
    "--",
    "--may-exist",
    "add-port",
    NAME,
    UPLINK,
];

/// The bridge of a node.
#[derive(Debug, Clone)]
pub(super) struct Physical {
    layout: NodeLayout,
    netns: PathBuf,
    underlay: Ends,
}

impl Physical {
    pub(super) const fn new(layout: NodeLayout, netns: PathBuf, underlay: Ends) -> Self {
        Self { layout, netns, underlay }
    }

    /// Gives it the node's addresses, and `ovs-vswitchd` the routes, as soon as it is there: its local interface goes when
    /// `ovs-vswitchd` ends, with all of that. On a machine the system's network configuration puts it back.
    ///
    /// # Errors
    /// Why not, after a while.
    pub(super) async fn equip(&self) -> Result<(), SwitchError> {
        let begin = tokio::time::Instant::now();
        loop {
            match self.try_to_equip().await {
                Err(error) if begin.elapsed() > patience(PATIENCE) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_to_equip(&self) -> Result<(), SwitchError> {
        let (netns, underlay) = (self.netns.clone(), self.underlay);
        blocking(move || topology::set_addresses(&Netns::open(netns)?, NAME, underlay, true)).await?;
        for (destination, gateway) in routes(underlay) {
            let mut args = vec!["ovs/route/add".to_owned(), destination.to_string(), NAME.to_owned()];
            args.extend(gateway.map(|gateway| gateway.to_string()));
            let args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
            run_tool(&self.layout, "ovs-appctl", &args).await?;
        }
        Ok(())
    }

    /// Does that again whenever `ovs-vswitchd` was started anew.
    pub(super) async fn keep(self, mut states: watch::Receiver<ProgramState>) {
        while states.changed().await.is_ok() {
            let restarted =
                matches!(&*states.borrow_and_update(), ProgramState::Running { restarts: 1.., .. });
            if restarted && let Err(error) = self.equip().await {
                tracing::warn!(%error, "the underlay addresses are not back");
            }
        }
    }
}

/// The underlay's networks, and by the gateway everywhere else.
fn routes(underlay: Ends) -> Vec<(IpNet, Option<IpAddr>)> {
    let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut routes = Vec::new();
    for ((net, all), gateway) in underlay.on_underlay().into_iter().zip(everywhere).zip(plan::GATEWAY.both())
    {
        routes.push((net.trunc(), None));
        routes.extend(IpNet::new(all, 0).map(|all| (all, Some(gateway))));
    }
    routes
}
