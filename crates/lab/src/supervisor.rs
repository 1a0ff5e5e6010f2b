//! The process behind a lab: it holds everything that lives.
//!
//! - [`serve`] listens on the lab's socket and answers clients ([`answer`]).
//! - [`up`] brings the lab up, step by step.
//! - [`cluster::Cluster`] is a lab that is up: nodes, programs, API.
//!
//! It keeps no state that matters beyond its life: a lab whose supervisor died is swept ([`crate::sweep`]) and made anew.

mod answer;
mod cluster;
mod node;
mod outside;
mod probing;
mod up;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

use crate::layout::Layout;
use crate::protocol::Stage;
use crate::spec::LabSpec;
use crate::sweep::{self, SweepError};
use cluster::Cluster;
pub(crate) use node::RealNodes;

/// Why a supervisor does not run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another one holds the lab.
    #[error("lab {0} has a supervisor already")]
    Held(String),
    /// The lab's traces could not be handled.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The lab's file could not be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// What all connections share.
struct Shared {
    layout: Layout,
    spec: LabSpec,
    begin: Instant,
    progress: watch::Sender<Progress>,
    /// Set to true to take the lab down.
    stop: watch::Sender<bool>,
    /// The cluster, as far as it is up.
    cluster: RwLock<Option<Arc<Cluster>>>,
}

/// How far the lab is.
#[derive(Debug, Clone)]
struct Progress {
    stage: Stage,
    steps: Vec<String>,
    /// Why it failed.
    failure: Option<String>,
    ready_after_ms: Option<u64>,
}

impl Shared {
    fn step(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!("{text}");
        self.progress.send_modify(|progress| progress.steps.push(text));
    }

    fn enter(&self, stage: Stage) {
        self.progress.send_modify(|progress| progress.stage = stage);
    }
}

/// Runs the lab whose folder has a `spec.json`, until it is told to take it down by a client or by SIGTERM.
///
/// # Errors
/// [`SupervisorError`] when there is nothing to run. A lab that fails to come up is no error here: clients are told.
pub async fn run(layout: Layout) -> Result<(), SupervisorError> {
    let Some(_lock) = sweep::become_supervisor(&layout)? else {
        return Err(SupervisorError::Held(layout.name().to_string()));
    };
    let file = |path: PathBuf| move |source: io::Error| SupervisorError::File { path, source };
    let text = tokio::fs::read(layout.spec()).await.map_err(file(layout.spec()))?;
    let spec: LabSpec =
        serde_json::from_slice(&text).map_err(io::Error::from).map_err(file(layout.spec()))?;
    let listener = UnixListener::bind(layout.socket()).map_err(file(layout.socket()))?;
    let mut terminated = signal(SignalKind::terminate()).map_err(file(layout.root().to_owned()))?;
    let starting =
        Progress { stage: Stage::Starting, steps: Vec::new(), failure: None, ready_after_ms: None };
    let shared = Arc::new(Shared {
        layout: layout.clone(),
        spec,
        begin: Instant::now(),
        progress: watch::Sender::new(starting),
        stop: watch::Sender::new(false),
        cluster: RwLock::new(None),
    });

    let mut tasks = JoinSet::new();
    tasks.spawn(up::bring_up(Arc::clone(&shared)));
    let mut clients = JoinSet::new();
    let mut stopped = shared.stop.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(answer::converse(Arc::clone(&shared), stream));
                }
                Err(error) => tracing::warn!(%error, "a client was not accepted"),
            },
            _ = clients.join_next(), if !clients.is_empty() => {}
            _ = terminated.recv() => break,
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }

    shared.enter(Stage::Stopping);
    tracing::info!("going down");
    // What watches and repairs ends before what it would repair.
    tasks.shutdown().await;
    let cluster = shared.cluster.write().await.take();
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    let swept = tokio::task::spawn_blocking(move || sweep::remove_all(&layout)).await;
    match swept {
        Ok(Ok(swept)) => tracing::info!(?swept, "everything is removed"),
        Ok(Err(error)) => tracing::error!(%error, "something is left"),
        Err(error) => tracing::error!(%error, "something is left"),
    }
    // Clients that wait for the end see their connections close only now.
    clients.shutdown().await;
    Ok(())
}
