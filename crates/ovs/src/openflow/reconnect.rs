//! A session that comes back.

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::connection::Asynchronous;
use super::session::Session;
use crate::{Address, backoff::Backoff};

/// What happened to the connection.
#[derive(Debug)]
pub enum Connected {
    /// A new session is up. The switch may be another one than before: read back what it has.
    Up(Session, Asynchronous),
    /// The session is over.
    Down(String),
}

/// Keeps a session to `address` up, and sends what happens to `events` until the receiver is dropped. `wanted` says
/// whether there is anything to connect to: while it is false, nothing is tried.
pub async fn keep_up(address: Address, mut wanted: watch::Receiver<bool>, events: mpsc::Sender<Connected>) {
    let mut backoff = Backoff::default();
    let mut last_error = String::new();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        match Session::connect(&address).await {
            Ok((session, asynchronous)) => {
                info!(%address, "connected to the switch");
                backoff.reset();
                last_error.clear();
                if events.send(Connected::Up(session.clone(), asynchronous)).await.is_err() {
                    return;
                }
                let why = session.closed().await.to_string();
                warn!(%address, why, "lost the switch: its datapath goes on with what it has");
                if events.send(Connected::Down(why)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let error = error.to_string();
                if error == last_error {
                    debug!(%error, "will try again");
                } else {
                    warn!(%error, "will try again; is ovs-vswitchd running?");
                    last_error = error;
                }
            }
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = events.closed() => return,
        }
    }
}
