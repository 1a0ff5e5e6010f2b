//! `GET /policies`: what isolates the pods of this node, and what became of their packets.
//!
//! ```text
//! HTTP handler --asks--> the daemon's loop     answers with values, and its connection to the switch
//!      |
//!      +-------reads---> the switch            three tables with their counters
//! ```
//!
//! The loop only copies what it knows: it never waits for the switch on behalf of somebody who asks.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use inspection::Inspection;
use ovs::openflow::Session;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

mod counters;

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

/// Asks the daemon's loop. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Inspector {
    requests: mpsc::Sender<oneshot::Sender<Snapshot>>,
}

/// The loop's side.
#[derive(Debug)]
pub struct Requests(mpsc::Receiver<oneshot::Sender<Snapshot>>);

/// Both sides.
#[must_use]
pub fn channel() -> (Inspector, Requests) {
    let (requests, receiver) = mpsc::channel(4);
    (Inspector { requests }, Requests(receiver))
}

impl Requests {
    /// The next one who asks. Waits for ever when nobody can any more.
    pub(crate) async fn next(&mut self) -> oneshot::Sender<Snapshot> {
        match self.0.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Inspector {
    /// The routes of the daemon's HTTP server.
    pub fn routes(self) -> Router {
        Router::new().route("/policies", get(policies)).with_state(self)
    }

    async fn ask(&self) -> Option<Snapshot> {
        let (request, answer) = oneshot::channel();
        self.requests.send(request).await.ok()?;
        answer.await.ok()
    }
}

async fn policies(State(inspector): State<Inspector>) -> Response {
    let Ok(Some(Snapshot { mut inspection, session })) = timeout(LOOP_TIMEOUT, inspector.ask()).await else {
        let why = "the daemon is busy or has not begun: /readyz says what it waits for\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    inspection.counters = match session {
        Some(session) => match timeout(SWITCH_TIMEOUT, counters::fill(&mut inspection, &session)).await {
            Ok(Ok(())) => inspection::Counters::Read,
            Ok(Err(error)) => unavailable(error.to_string()),
            Err(_) => unavailable(format!(
                "the switch has not sent its flows for {} s: is ovs-vswitchd busy?",
                SWITCH_TIMEOUT.as_secs()
            )),
        },
        None => unavailable("not connected to the switch: is ovs-vswitchd running?".to_owned()),
    };
    Json(inspection).into_response()
}

const fn unavailable(why: String) -> inspection::Counters {
    inspection::Counters::Unavailable { why }
}
