//! `GET /policies`: what isolates the pods of this node, and what became of their packets. `GET /services`, and below it
//! each Service: where its connections go.
//!
//! ```text
//! HTTP handler --asks--> the daemon's loop     answers with values, and its connection to the switch
//!      |
//!      +-------reads---> the switch            flows and groups with their counters
//! ```
//!
//! The loop only copies what it knows, and little at a time: it never waits for the switch on behalf of somebody who
//! asks.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use inspection::services::{Line, Problem};
use inspection::{Counters, Inspection};
use ovs::openflow::{Session, SessionError};
use service::lb::Name;
use service::view;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

mod counters;
mod services;

/// Time for the daemon's loop to answer: longer than it may wait for a database that does not.
const LOOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the switch to send its flows.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);

/// What the loop answers.
#[derive(Debug)]
pub struct Snapshot {
    /// What it knows, without counters.
    pub inspection: Inspection,
    /// Its connection to the switch, if there is one.
    pub session: Option<Session>,
}

/// What the loop answers of all Services.
#[derive(Debug)]
pub struct ServicesSnapshot {
    /// This node.
    pub node: String,
    /// The Services; `None`: the node is not their proxy.
    pub names: Option<Vec<Name>>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    /// Whether the datapath tells SCTP associations apart, if that is known.
    pub tracks_sctp: Option<bool>,
}

/// What the loop answers of one Service.
#[derive(Debug)]
pub struct ServiceSnapshot {
    /// This node.
    pub node: String,
    /// Whether it is the proxy of Services.
    pub proxy: bool,
    /// What became of the Service, if there is one.
    pub view: Option<view::Service>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Why nobody answers at its health-check node port.
    pub check_failure: Option<String>,
    /// Whether the datapath can translate SCTP.
    pub sctp: bool,
    /// The loop's connection to the switch, if there is one.
    pub session: Option<Session>,
}

/// A question to the loop, with where the answer goes.
#[derive(Debug)]
pub(crate) enum Request {
    /// What isolates the pods of the node.
    Policies(oneshot::Sender<Snapshot>),
    /// Which Services there are.
    Services(oneshot::Sender<ServicesSnapshot>),
    /// A line for each of these Services that is still there.
    Lines(Vec<Name>, oneshot::Sender<Vec<Line>>),
    /// All about one.
    Service(Name, oneshot::Sender<ServiceSnapshot>),
}

/// Asks the daemon's loop. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Inspector {
    requests: mpsc::Sender<Request>,
}

/// The loop's side.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<Request>);

/// Both sides.
#[must_use]
pub fn channel() -> (Inspector, Requests) {
    let (requests, receiver) = mpsc::channel(4);
    (Inspector { requests }, Requests(receiver))
}

impl Requests {
    /// The next one who asks. Waits for ever when nobody can any more.
    pub(crate) async fn next(&mut self) -> Request {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Inspector {
    /// The routes of the daemon's HTTP server.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/policies", get(policies))
            .route("/services", get(services::all))
            .route("/services/{namespace}/{name}", get(services::one))
            .with_state(self)
    }

    /// What the loop answers, or else a response that says why it does not.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Response> {
        let (to, answer) = oneshot::channel();
        let asking = async {
            self.requests.send(question(to)).await.ok()?;
            answer.await.ok()
        };
        timeout(LOOP_TIMEOUT, asking).await.ok().flatten().ok_or_else(|| {
            let why = "the daemon is busy or has not begun: /readyz says what it waits for\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        })
    }
}

async fn policies(State(inspector): State<Inspector>) -> Response {
    let Snapshot { mut inspection, session } = match inspector.ask(Request::Policies).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    let filled = read(session, async |session| counters::fill(&mut inspection, &session).await).await;
    inspection.counters = filled.map_or_else(|why| Counters::Unavailable { why }, |()| Counters::Read);
    Json(inspection).into_response()
}

/// What is read from the switch, or why it cannot be.
async fn read<T>(
    session: Option<Session>,
    reading: impl AsyncFnOnce(Session) -> Result<T, SessionError>,
) -> Result<T, String> {
    let session = session.ok_or("not connected to the switch: is ovs-vswitchd running?")?;
    match timeout(SWITCH_TIMEOUT, reading(session)).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the switch has not sent its flows for {} s: is ovs-vswitchd busy?",
            SWITCH_TIMEOUT.as_secs()
        )),
    }
}
