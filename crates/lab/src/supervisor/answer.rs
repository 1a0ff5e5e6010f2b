//! Answering clients.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

use super::cluster::Cluster;
use super::{Shared, probing};
use crate::protocol::{LabStatus, ProgramName, Reply, Request, Source, Stage};
use crate::switch::ovs_environment;

/// Answers one client's request.
pub(super) async fn converse(shared: Arc<Shared>, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    match BufReader::new(read).read_line(&mut line).await {
        // Somebody who only looked whether we are there.
        Ok(0) | Err(_) => return,
        Ok(_) => {}
    }
    let reply = match serde_json::from_str(&line) {
        Ok(Request::Follow) => match follow(&shared, &mut write).await {
            Some(reply) => reply,
            None => return,
        },
        Ok(Request::Down) => {
            shared.stop.send_replace(true);
            // The connection is kept until the end, which is what the client waits for.
            let _ = say(&mut write, &Reply::Done).await;
            std::future::pending().await
        }
        Ok(request) => match answer(&shared, request).await {
            Ok(reply) => reply,
            Err(message) => Reply::Error { message },
        },
        Err(error) => Reply::Error { message: format!("not a request: {error}") },
    };
    // A client that has gone away needs no answer.
    let _ = say(&mut write, &reply).await;
}

async fn say(write: &mut OwnedWriteHalf, reply: &Reply) -> std::io::Result<()> {
    let line = serde_json::to_string(reply).map_err(std::io::Error::from)? + "\n";
    write.write_all(line.as_bytes()).await
}

/// Tells each step once, and returns the last word: `None` when the client has gone away.
async fn follow(shared: &Arc<Shared>, write: &mut OwnedWriteHalf) -> Option<Reply> {
    let mut progress = shared.progress.subscribe();
    let mut told = 0;
    loop {
        let now = progress.borrow_and_update().clone();
        for text in now.steps.iter().skip(told).cloned() {
            say(write, &Reply::Step { text }).await.ok()?;
            told += 1;
        }
        match now.stage {
            Stage::Starting => {}
            Stage::Ready => return Some(Reply::Status(Box::new(status(shared).await))),
            Stage::Failed | Stage::Stopping | Stage::Dead => {
                let message = now.failure.unwrap_or_else(|| "the lab is going down".to_owned());
                return Some(Reply::Error { message });
            }
        }
        progress.changed().await.ok()?;
    }
}

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<Reply, String> {
    if let Request::Status = request {
        return Ok(Reply::Status(Box::new(status(shared).await)));
    }
    let cluster = shared.cluster.read().await.clone();
    let cluster = cluster.ok_or_else(|| {
        let stage = shared.progress.borrow().stage;
        format!(
            "the lab is {stage}: wait for `kvsctl lab up`, or see {}",
            shared.layout.log("supervisor").display()
        )
    })?;
    match request {
        Request::Probe { from, to, ask } => {
            let results = probing::probe(&cluster, &from, &to, &ask).await?;
            Ok(Reply::Results { results })
        }
        Request::Matrix { from_nodes, to, namespace, ask } => {
            let results = probing::matrix(&cluster, from_nodes, to, namespace.as_deref(), &ask).await?;
            Ok(Reply::Results { results })
        }
        Request::Control { action, program } => {
            match program {
                ProgramName::Agent { node } => cluster.node(&node)?.control_agent(action).await,
                ProgramName::Ovs { node } => cluster.node(&node)?.control_switch(action).await,
                ProgramName::Kubelet { node } => {
                    cluster.node(&node)?.control_machine("kubelet", action).await
                }
                ProgramName::Containerd { node } => {
                    cluster.node(&node)?.control_machine("containerd", action).await
                }
                ProgramName::Machine { node } => {
                    cluster.node(&node)?.control_machine("machine", action).await
                }
                ProgramName::Controller => cluster.control_controller(action).await,
            }?;
            Ok(Reply::Done)
        }
        Request::Find { place } => find(shared, &cluster, &place),
        Request::Follow | Request::Down | Request::Status => Ok(Reply::Done),
    }
}

fn find(shared: &Shared, cluster: &Cluster, place: &Source) -> Result<Reply, String> {
    let environment = match place {
        Source::Node(name) => ovs_environment(&shared.layout.node(name))
            .into_iter()
            .map(|(key, value)| (key, value.to_string_lossy().into_owned()))
            .collect(),
        Source::Pod { .. } | Source::Outside => Vec::new(),
    };
    Ok(Reply::Place { netns: cluster.netns_of(place)?, environment })
}

async fn status(shared: &Shared) -> LabStatus {
    let progress = shared.progress.borrow().clone();
    let cluster = shared.cluster.read().await.clone();
    LabStatus {
        name: shared.spec.name.to_string(),
        stage: progress.stage,
        overlay: shared.spec.overlay.to_string(),
        families: shared.spec.families.iter().collect(),
        datapath: cluster.as_ref().map(|cluster| cluster.datapath().to_owned()),
        kubeconfig: shared.layout.kubeconfig(),
        ready_after_ms: progress.ready_after_ms,
        supervisor: std::process::id(),
        nodes: cluster.as_ref().map(|cluster| cluster.node_statuses()).unwrap_or_default(),
        controller: cluster.as_ref().and_then(|cluster| cluster.controller_status()),
        control_plane: cluster.as_ref().map(|cluster| cluster.control_plane()).unwrap_or_default(),
        pods: cluster.as_ref().map_or(0, |cluster| cluster.registry.all().len()),
    }
}
