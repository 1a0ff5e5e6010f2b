//! One connection.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use ovsdb::{Event, Notification, Reply, Request, RequestId, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::client::{Command, RequestError};
use super::driver::{Control, Lasting, Subscription};
use super::monitor::Raw;
use crate::address::Stream;

/// Requests under way before callers have to wait.
const IN_FLIGHT: usize = 256;
/// How much is read at once, bytes.
const READ: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// It broke, or the server speaks nonsense.
    Broken(String),
    /// Nobody needs it any more.
    Unused,
}

/// Who waits for an answer.
enum Waiting {
    Caller(oneshot::Sender<Result<Reply, RequestError>>),
    Monitor { wire_id: u64 },
    Lock { id: u64 },
    Nobody,
}

/// One connection's state.
pub(super) struct Wire<'a> {
    session: Session,
    lasting: &'a mut Lasting,
    waiting: BTreeMap<RequestId, Waiting>,
    /// Which subscription a monitor on this connection serves. One that is started anew gets a new number, so that
    /// updates still under way for the old one are told apart.
    monitors: BTreeMap<u64, u64>,
    last_monitor: u64,
    probe: Duration,
    /// When the server was last heard of.
    heard: Instant,
    probing: bool,
}

impl<'a> Wire<'a> {
    pub(super) fn new(lasting: &'a mut Lasting, probe: Duration) -> Self {
        Self {
            session: Session::default(),
            lasting,
            waiting: BTreeMap::new(),
            monitors: BTreeMap::new(),
            last_monitor: 0,
            probe,
            heard: Instant::now(),
            probing: false,
        }
    }

    /// Asks for what is wanted on every connection. Locks come first, since others wait for them.
    pub(super) fn start(&mut self) -> Result<(), End> {
        for id in self.lasting.locks.keys().copied().collect::<Vec<_>>() {
            self.lock(id)?;
        }
        for id in self.lasting.monitors.keys().copied().collect::<Vec<_>>() {
            self.monitor(id)?;
        }
        Ok(())
    }

    /// Serves the connection to its end. Also says whether the server was ever heard of.
    ///
    /// Reading and writing wait side by side, so a server that reads only after we have read cannot block us.
    pub(super) async fn run(
        mut self,
        mut stream: Stream,
        commands: &mut mpsc::Receiver<Command>,
        control: &mut mpsc::UnboundedReceiver<Control>,
    ) -> (End, bool) {
        let started = self.heard;
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let mut output = BytesMut::new();
        let mut input = BytesMut::with_capacity(READ);
        let end = loop {
            output.extend_from_slice(&self.session.take_output());
            let free = self.session.pending() < IN_FLIGHT;
            let step = tokio::select! {
                read = reader.read_buf(&mut input) => match read {
                    Ok(0) => Err(End::Broken("the server closed the connection".to_owned())),
                    Ok(_) => self.received(&mut input),
                    Err(error) => Err(End::Broken(error.to_string())),
                },
                written = writer.write_buf(&mut output), if output.has_remaining() => match written {
                    Ok(_) => Ok(()),
                    Err(error) => Err(End::Broken(error.to_string())),
                },
                Some(command) = commands.recv(), if free => self.command(command),
                control = control.recv() => match control {
                    Some(control) => self.control(control),
                    None => Err(End::Unused),
                },
                () = sleep_until(self.heard + self.probe * if self.probing { 2 } else { 1 }) => self.silent(),
            };
            if let Err(end) = step {
                break end;
            }
        };
        (end, self.heard > started)
    }

    fn send(&mut self, request: &Request, waiting: Waiting) -> Result<(), End> {
        let id = self.session.send(request).map_err(|error| End::Broken(error.to_string()))?;
        self.waiting.insert(id, waiting);
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<(), End> {
        let Command { request, done } = command;
        // A caller that has gone away meanwhile no longer wants it.
        if done.is_closed() {
            return Ok(());
        }
        match self.session.send(&request) {
            Ok(id) => _ = self.waiting.insert(id, Waiting::Caller(done)),
            Err(error) => _ = done.send(Err(error.into())),
        }
        Ok(())
    }

    fn control(&mut self, control: Control) -> Result<(), End> {
        match control {
            Control::Monitor { id, .. } => {
                self.lasting.note(control);
                self.monitor(id)
            }
            Control::Resync { id } => {
                self.lasting.note(control);
                self.cancel(id)?;
                self.monitor(id)
            }
            Control::Unmonitor { id } => {
                self.lasting.note(control);
                self.cancel(id)
            }
            Control::Lock { id, .. } => {
                if self.lasting.note(control) {
                    self.lock(id)
                } else {
                    Ok(())
                }
            }
            Control::Unlock { id } => match self.lasting.locks.remove(&id) {
                Some(wanted) => self.send(&Request::Unlock(wanted.name), Waiting::Nobody),
                None => Ok(()),
            },
        }
    }

    fn lock(&mut self, id: u64) -> Result<(), End> {
        match self.lasting.locks.get(&id) {
            Some(wanted) => self.send(&Request::Lock(wanted.name.clone()), Waiting::Lock { id }),
            None => Ok(()),
        }
    }

    fn monitor(&mut self, id: u64) -> Result<(), End> {
        let Some(subscription) = self.lasting.monitors.get(&id) else { return Ok(()) };
        self.last_monitor += 1;
        let wire_id = self.last_monitor;
        let request = Request::MonitorCondSince {
            database: ovsdb::tables::DATABASE.to_owned(),
            monitor: wire_id,
            requests: subscription.requests.clone(),
            last_transaction: subscription.last_transaction,
        };
        self.monitors.insert(wire_id, id);
        self.send(&request, Waiting::Monitor { wire_id })
    }

    /// Ends a subscription's monitor on this connection.
    fn cancel(&mut self, id: u64) -> Result<(), End> {
        let Some(wire_id) = self.monitors.iter().find_map(|(wire, of)| (*of == id).then_some(*wire)) else {
            return Ok(());
        };
        self.monitors.remove(&wire_id);
        self.send(&Request::MonitorCancel { monitor: wire_id }, Waiting::Nobody)
    }

    fn received(&mut self, input: &mut BytesMut) -> Result<(), End> {
        self.heard = Instant::now();
        self.probing = false;
        self.session.receive(input);
        input.clear();
        while let Some(event) = self.session.poll().map_err(|error| End::Broken(error.to_string()))? {
            match event {
                Event::Reply(id, reply) => self.reply(id, reply)?,
                Event::Notification(notification) => self.notified(notification)?,
            }
        }
        Ok(())
    }

    fn reply(&mut self, id: RequestId, reply: Reply) -> Result<(), End> {
        match self.waiting.remove(&id) {
            Some(Waiting::Caller(done)) => _ = done.send(Ok(reply)),
            Some(Waiting::Monitor { wire_id }) => self.monitor_reply(wire_id, reply),
            Some(Waiting::Lock { id }) => {
                if let Some(wanted) = self.lasting.locks.get(&id) {
                    let held = reply.locked().map_err(|error| End::Broken(error.to_string()))?;
                    // "locked" may have come first, when the lock was asked for and freed at the same time.
                    wanted.held.send_if_modified(|was| held && !std::mem::replace(was, true));
                }
            }
            Some(Waiting::Nobody) | None => {}
        }
        Ok(())
    }

    fn monitor_reply(&mut self, wire_id: u64, reply: Reply) {
        let Some(subscription) = subscription(&self.monitors, self.lasting, wire_id) else { return };
        let event = match reply.monitor() {
            Ok(reply) => {
                subscription.last_transaction = reply.last_transaction;
                let continues = reply.found && std::mem::replace(&mut subscription.started, true);
                subscription.started = true;
                if continues { Raw::Update(reply.updates) } else { Raw::Reset(reply.updates) }
            }
            Err(error) => Raw::Refused(error),
        };
        // Who no longer listens has said so, or is about to.
        let _ = subscription.events.send(event);
    }

    fn notified(&mut self, notification: Notification) -> Result<(), End> {
        match notification {
            Notification::Update { monitor, last_transaction, updates } => {
                if let Some(subscription) = subscription(&self.monitors, self.lasting, monitor) {
                    subscription.last_transaction = last_transaction;
                    let _ = subscription.events.send(Raw::Update(updates));
                }
                Ok(())
            }
            Notification::MonitorCanceled { monitor } => match self.monitors.remove(&monitor) {
                // The database was converted or replaced: what was known of it is void.
                Some(id) => {
                    self.lasting.note(Control::Resync { id });
                    self.monitor(id)
                }
                None => Ok(()),
            },
            Notification::Locked(name) => {
                self.lock_state(&name, true);
                Ok(())
            }
            Notification::Stolen(name) => {
                tracing::warn!(lock = name, "another OVSDB client has stolen the lock");
                self.lock_state(&name, false);
                Ok(())
            }
            Notification::Unknown(method) => {
                tracing::debug!(method, "unknown notification of the OVSDB server");
                Ok(())
            }
        }
    }

    fn lock_state(&self, name: &str, held: bool) {
        for wanted in self.lasting.locks.values().filter(|wanted| wanted.name == name) {
            wanted.held.send_replace(held);
        }
    }

    /// The server was silent for the time of a probe.
    fn silent(&mut self) -> Result<(), End> {
        if self.probing {
            let seconds = (self.probe * 2).as_secs_f32();
            return Err(End::Broken(format!("the server was silent for {seconds} s")));
        }
        self.probing = true;
        self.send(&Request::Echo, Waiting::Nobody)
    }
}

fn subscription<'l>(
    monitors: &BTreeMap<u64, u64>,
    lasting: &'l mut Lasting,
    wire_id: u64,
) -> Option<&'l mut Subscription> {
    lasting.monitors.get_mut(monitors.get(&wire_id)?)
}
