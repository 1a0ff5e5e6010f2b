//! The task that keeps a connection up, and what it asks for again on each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ovsdb::{MonitorRequests, Uuid};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::client::{Command, Settings, State};
use super::monitor::Raw;
use super::wire::{End, Wire};
use crate::Address;
use crate::address::Stream;
use crate::backoff::Backoff;

/// A number that no other monitor or lock of this process has.
pub(super) fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// What outlives connections, and its end.
#[derive(Debug)]
pub(super) enum Control {
    Monitor { id: u64, requests: MonitorRequests, events: mpsc::UnboundedSender<Raw> },
    Unmonitor { id: u64 },
    Resync { id: u64 },
    Lock { id: u64, name: String, held: watch::Sender<bool> },
    Unlock { id: u64 },
}

/// A monitor that somebody follows.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) requests: MonitorRequests,
    pub(super) events: mpsc::UnboundedSender<Raw>,
    /// The last transaction whose changes were passed on.
    pub(super) last_transaction: Uuid,
    /// Whether anything was passed on: only then can updates continue from it.
    pub(super) started: bool,
}

/// A lock that somebody wants.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) held: watch::Sender<bool>,
}

/// What is asked for on every connection.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    pub(super) monitors: BTreeMap<u64, Subscription>,
    pub(super) locks: BTreeMap<u64, Wanted>,
}

impl Lasting {
    /// Notes what is wanted from now on. Returns false for a lock that is already asked for.
    pub(super) fn note(&mut self, control: Control) -> bool {
        match control {
            Control::Monitor { id, requests, events } => {
                let last_transaction = Uuid::ZERO;
                self.monitors.insert(id, Subscription { requests, events, last_transaction, started: false });
            }
            Control::Unmonitor { id } => {
                self.monitors.remove(&id);
            }
            Control::Resync { id } => {
                if let Some(subscription) = self.monitors.get_mut(&id) {
                    subscription.last_transaction = Uuid::ZERO;
                    subscription.started = false;
                }
            }
            Control::Lock { id, name, held } => {
                if self.locks.values().any(|wanted| wanted.name == name) {
                    tracing::warn!(lock = name, "this client asks for the lock already");
                    return false;
                }
                self.locks.insert(id, Wanted { name, held });
            }
            Control::Unlock { id } => {
                self.locks.remove(&id);
            }
        }
        true
    }

    fn disconnected(&mut self) {
        for wanted in self.locks.values() {
            wanted.held.send_replace(false);
        }
    }
}

/// The task.
#[derive(Debug)]
pub(super) struct Driver {
    address: Address,
    settings: Settings,
    commands: mpsc::Receiver<Command>,
    control: mpsc::UnboundedReceiver<Control>,
    state: watch::Sender<State>,
    lasting: Lasting,
    backoff: Backoff,
}

impl Driver {
    pub(super) fn new(
        address: Address,
        settings: Settings,
        commands: mpsc::Receiver<Command>,
        control: mpsc::UnboundedReceiver<Control>,
        state: watch::Sender<State>,
    ) -> Self {
        let (lasting, backoff) = (Lasting::default(), Backoff::default());
        Self { address, settings, commands, control, state, lasting, backoff }
    }

    /// Runs until the last handle is gone.
    pub(super) async fn run(mut self) {
        loop {
            let why: Arc<str> = match timeout(self.settings.connect, self.address.connect()).await {
                Ok(Ok(stream)) => match self.serve(stream).await {
                    End::Unused => return,
                    End::Broken(why) => why.into(),
                },
                Ok(Err(error)) => error.to_string().into(),
                Err(_) => {
                    format!("cannot connect to {}: it does not accept connections", self.address).into()
                }
            };
            self.lasting.disconnected();
            let news = self.state.send_replace(State::Disconnected(why.clone()));
            // One line for each outage, not for each try.
            match news {
                State::Connected => tracing::warn!(address = %self.address, %why, "lost the OVSDB server"),
                State::Disconnected(_) => tracing::debug!(address = %self.address, %why, "no OVSDB server"),
            }
            if !self.pause().await {
                return;
            }
        }
    }

    async fn serve(&mut self, stream: Stream) -> End {
        let mut wire = Wire::new(&mut self.lasting, self.settings.probe);
        if let Err(end) = wire.start() {
            return end;
        }
        tracing::info!(address = %self.address, "connected to the OVSDB server");
        self.state.send_replace(State::Connected);
        let (end, heard) = wire.run(stream, &mut self.commands, &mut self.control).await;
        if heard {
            self.backoff.reset();
        }
        end
    }

    /// Waits before the next try, and notes meanwhile what is wanted. False when the last handle is gone.
    async fn pause(&mut self) -> bool {
        let wait = sleep(self.backoff.wait());
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return true,
                control = self.control.recv() => match control {
                    Some(control) => _ = self.lasting.note(control),
                    None => return false,
                },
            }
        }
    }
}
