//! The daemon's loop: events in, then whatever follows from them, in one place and one order.
//!
//! One task owns all state. It takes in every event that is ready, and then settles: bridge rows, host side, flows,
//! stamps, each only if what comes before it is done. What arrives meanwhile waits in channels and is taken in as a
//! batch: a hundred pods that come at once cost a few bundles, not a hundred.

mod ailments;
mod answers;
mod connections;
mod forget;
mod options;
mod pod_mtus;
mod program;
mod publish;
mod restore;
mod settle;
mod table;
mod tasks;
mod tell;
mod warmth;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use openflow::FlowKey;
use ops::{Check, Health};
use ovs::Address;
use ovs::openflow::{Connected, Session, keep_up};
use ovs::ovsdb::{Client as Ovsdb, Lock, Monitor};
use ovsdb::{Switch, Uuid};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tracing::{error, info};

pub use self::options::{DaemonError, Options};
use crate::bridge::{BridgePlan, Datapath};
use crate::health_checks::HealthChecks;
use crate::host_setup::HostPlan;
use crate::inspect::Requests;
use crate::install;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::state::State;
use crate::status::{self, Report};
use crate::sweep::Sweeper;
use crate::uplink::Uplink;
use crate::view;

/// Time between looks at the uplink, abandoned ports, and whatever could not be done before.
const TICK: Duration = Duration::from_secs(5);
/// Time after which something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Events taken in before settling.
const BATCH: usize = 4096;

struct Checks {
    kubernetes: Check,
    ovsdb: Check,
    switch: Check,
    node: Check,
}

struct Daemon {
    options: Options,
    /// Whether the kernel has a datapath that may be used.
    module: bool,
    /// The datapath in use, once the database has been read.
    datapath: Option<Datapath>,
    state: State,
    /// Questions to the cluster view.
    ask: mpsc::UnboundedSender<view::Question>,
    metrics: Metrics,
    checks: Checks,
    ovsdb: Ovsdb,
    monitor: Monitor<Switch>,
    members: Members,
    database_synced: bool,
    session: Option<Session>,
    connect: watch::Sender<bool>,
    /// Held exactly while flows can be programmed.
    lock: Option<Lock>,
    uplink: Option<Uplink>,
    /// The plan whose operations were sent last; they are sent again only after news from the database, or a tick.
    bridge_sent: Option<BridgePlan>,
    host_done: Option<HostPlan>,
    /// The host's side is to be stated anew even if the plan is the same.
    host_due: bool,
    /// The switch's flows have not been read since it was connected to.
    unread: bool,
    /// The switch may wait for its flows, since it was connected to.
    awaited: bool,
    /// Flows that the switch refused, and what it said of the last one.
    refused: Vec<FlowKey>,
    refusal: Option<String>,
    uplink_trouble: Option<String>,
    /// kube-proxy works by IPVS here.
    ipvs: bool,
    /// Stamps that were sent and have not come back yet.
    stamping: HashMap<Uuid, u32>,
    sweeper: Sweeper,
    conflist_done: bool,
    mtu_done: Option<u16>,
    /// Ports are to be looked at for their MTU: those that came since, and those that could not be set.
    mtu_due: bool,
    pod_mtus: pod_mtus::PodMtus,
    /// Ends of tunnels whose MAC the host is made to look for.
    warmth: warmth::Warmth,
    /// What the host sends to the bridge for Services.
    publisher: publish::Publisher,
    health_checks: HealthChecks,
    /// Connections that the switch is told again to forget.
    forgetting: forget::Forgetting,
    /// Nothing is tried again before this.
    hold_until: Option<Instant>,
    trouble: Option<(&'static str, String)>,
    reports: watch::Sender<Option<Report>>,
}

/// Runs the daemon until something fails for good. It never removes anything on its way out: the datapath goes on.
///
/// # Errors
/// When the plugin cannot be installed, or the kernel cannot be asked what it has.
pub async fn run(
    client: Client,
    options: Options,
    health: &Health,
    metrics: Metrics,
    requests: Requests,
) -> Result<(), DaemonError> {
    let module = tasks::has_module(options.datapath).await?;
    if options.datapath == Some(Datapath::System) && !module {
        return Err(DaemonError::NoModule);
    }
    info!(node = options.node, bridge = options.bridge, "starting");
    let plugin = options.install.clone();
    tokio::task::spawn_blocking(move || install::plugin(&plugin)).await??;

    let checks = Checks {
        kubernetes: health.check("kubernetes", "waiting for VSwitchConfigs from the API"),
        ovsdb: health.check("ovsdb", "not connected yet"),
        switch: health.check("switch", "not connected yet"),
        node: health.check("node", "not set up yet"),
    };
    let ovsdb = Ovsdb::new(options.ovsdb.clone());
    let monitor = ovsdb.monitor::<Switch>();
    let (connect, connecting) = watch::channel(false);
    let (reports, reported) = watch::channel(None);
    let (view_in, view_events) = mpsc::channel(BATCH);
    let (ask, questions) = mpsc::unbounded_channel();
    let (switch_in, switch_events) = mpsc::channel(4);
    let management = Address::Unix(options.ovs_rundir.join(format!("{}.mgmt", options.bridge)));
    let background = [
        tokio::spawn(keep_up(management, connecting, switch_in)),
        tokio::spawn(status::publish(client.clone(), options.node.clone(), reported)),
        tokio::spawn(view::kubernetes::watch(
            client,
            view_in,
            questions,
            options.proxy.as_ref().map(|_| options.node.clone()),
        )),
    ];
    let state = match &options.proxy {
        Some(proxy) => State::new(&options.node).with_proxy(&proxy.node_port_addresses),
        None => State::new(&options.node),
    };
    let daemon = Daemon {
        state,
        ask,
        members: Members::new(&options.bridge),
        options,
        module,
        datapath: None,
        metrics,
        checks,
        ovsdb,
        monitor,
        database_synced: false,
        session: None,
        connect,
        lock: None,
        uplink: None,
        bridge_sent: None,
        host_done: None,
        host_due: true,
        unread: true,
        awaited: true,
        refused: Vec::new(),
        refusal: None,
        uplink_trouble: None,
        ipvs: false,
        stamping: HashMap::new(),
        sweeper: Sweeper::default(),
        conflist_done: false,
        mtu_done: None,
        mtu_due: true,
        pod_mtus: pod_mtus::PodMtus::default(),
        warmth: warmth::Warmth::default(),
        publisher: publish::Publisher::default(),
        health_checks: HealthChecks::default(),
        forgetting: forget::Forgetting::default(),
        hold_until: None,
        trouble: None,
        reports,
    };
    let result = daemon.serve(view_events, switch_events, table::watch(), requests).await;
    for task in background {
        task.abort();
    }
    result
}

impl Daemon {
    async fn serve(
        mut self,
        mut view: mpsc::Receiver<view::ViewEvent>,
        mut switch: mpsc::Receiver<Connected>,
        mut table: mpsc::Receiver<()>,
        mut requests: Requests,
    ) -> Result<(), DaemonError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut audit = interval_at(Instant::now() + self.options.audit, self.options.audit);
        audit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut server = self.ovsdb.state();
        loop {
            let held = at(self.hold_until);
            let forget_again = at(self.forgetting.next());
            tokio::select! {
                event = view.recv() => {
                    self.state.view(event.ok_or(DaemonError::Ended("the cluster view"))?);
                    for _ in 0..BATCH {
                        let Ok(event) = view.try_recv() else { break };
                        self.state.view(event);
                    }
                }
                update = self.monitor.next() => match update {
                    Ok(update) => self.database(update),
                    Err(error) => {
                        self.checks.ovsdb.unmet(error.to_string());
                        error!(%error, "the database cannot be read");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                event = switch.recv() => {
                    self.connected(event.ok_or(DaemonError::Ended("the connection to the switch"))?).await;
                }
                changed = server.changed() => {
                    changed.map_err(|_| DaemonError::Ended("the OVSDB client"))?;
                    let state = server.borrow_and_update().clone();
                    self.server(&state);
                }
                Some(()) = table.recv() => self.table_deleted(),
                _ = tick.tick() => self.tick().await?,
                _ = audit.tick() => self.audit().await?,
                () = held => self.hold_until = None,
                () = forget_again => {
                    self.forget_again().await;
                    continue;
                }
                request = requests.next() => {
                    self.answer(request);
                    continue;
                }
            }
            for question in self.state.take_questions() {
                self.ask.send(question).map_err(|_| DaemonError::Ended("the cluster view"))?;
            }
            if self.hold_until.is_none() {
                self.settle().await?;
            }
            self.tell();
        }
    }

    fn own(&self) -> Option<Arc<api::NodeConfig>> {
        self.state.own().cloned()
    }
}

/// Ends at that time, and never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
