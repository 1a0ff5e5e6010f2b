//! The HTTP server for probes, metrics, and what a program has to tell besides.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

use crate::Health;

/// A bound socket: binding apart from serving lets a taken address stop the program at its start.
#[derive(Debug)]
pub struct Listener(tokio::net::TcpListener);

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = tokio::net::TcpListener::bind(address).await.with_context(|| {
            format!("--health-addr: cannot listen on {address}: is another copy of this program running?")
        })?;
        Ok(Self(socket))
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Serves `/healthz`, `/readyz`, `/metrics` and the program's own `routes` until the program ends.
///
/// # Errors
/// When accepting connections fails for good.
pub async fn serve(
    listener: Listener,
    health: Health,
    metrics: Registry,
    routes: Router,
) -> std::io::Result<()> {
    let metrics = Arc::new(metrics);
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
        .merge(routes);
    axum::serve(listener.0, app).await
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let (ready, text) = health.report();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text)
}

async fn render(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
