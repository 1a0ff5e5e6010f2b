//! Health-check node ports: where load balancers ask whether this node has endpoints of a Service whose clients keep their
//! address (`healthCheckNodePort`).
//!
//! What is answered is what kube-proxy answers: 200 with endpoints and 503 without any, the number in the body and in
//! a header.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use service::lb::HealthCheck;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// The header that weighs nodes, as kube-proxy has it.
const WEIGHT: &str = "x-load-balancing-endpoint-weight";

/// Servers, by port. They end when this is dropped.
#[derive(Debug, Default)]
pub struct HealthChecks {
    running: BTreeMap<u16, Server>,
    /// Ports that could not be opened, and why: said once.
    failed: BTreeMap<u16, String>,
}

#[derive(Debug)]
struct Server {
    answer: watch::Sender<HealthCheck>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthChecks {
    /// Serves what is wanted and nothing else. Ports that cannot be opened are tried again with the next call.
    pub async fn serve(&mut self, wanted: &BTreeMap<u16, HealthCheck>) {
        self.running.retain(|port, _| wanted.contains_key(port));
        self.failed.retain(|port, _| wanted.contains_key(port));
        for (port, check) in wanted {
            if let Some(server) = self.running.get(port) {
                server.answer.send_if_modified(|answer| {
                    let changed = answer != check;
                    answer.clone_from(check);
                    changed
                });
                continue;
            }
            match listen(*port).await {
                Ok(listener) => {
                    debug!(port, service = %check.service, "health-check node port opened");
                    self.failed.remove(port);
                    self.running.insert(*port, Server::start(listener, check.clone()));
                }
                Err(error) => {
                    let why = error.to_string();
                    if self.failed.insert(*port, why.clone()).as_ref() != Some(&why) {
                        warn!(
                            port, service = %check.service, error = why,
                            "cannot open a health-check node port: load balancers will not send to this node"
                        );
                    }
                }
            }
        }
    }

    /// Why a port could not be opened.
    #[must_use]
    pub fn failure(&self, port: u16) -> Option<&str> {
        self.failed.get(&port).map(String::as_str)
    }
}

/// For both families, or for IPv4 alone where the kernel has no IPv6.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    match TcpListener::bind(any).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)).await
        }
        result => result,
    }
}

impl Server {
    fn start(listener: TcpListener, check: HealthCheck) -> Self {
        let (answer, reading) = watch::channel(check);
        let router = Router::new().fallback(move || {
            let response = respond(&reading.borrow());
            async { response }
        });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                warn!(%error, "a health-check node port is not served any more");
            }
        });
        Self { answer, task }
    }
}

fn respond(check: &HealthCheck) -> Response {
    let status = if check.local_endpoints > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "service": {"namespace": &*check.service.namespace, "name": &*check.service.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": true,
    });
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json".to_owned()),
        (X_CONTENT_TYPE_OPTIONS.as_str(), "nosniff".to_owned()),
        (WEIGHT, check.local_endpoints.to_string()),
    ];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use service::lb::Name;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(port: u16) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Some(answer)
    }

    fn check(local_endpoints: usize) -> HealthCheck {
        HealthCheck { service: Name { namespace: "shop".into(), name: "web".into() }, local_endpoints }
    }

    /// Serves this at a port that nobody else has; others may take one that was just free.
    async fn served(checks: &mut HealthChecks, check: HealthCheck) -> u16 {
        loop {
            let free = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            checks.serve(&BTreeMap::from([(port, check.clone())])).await;
            if checks.running.contains_key(&port) {
                return port;
            }
        }
    }

    #[tokio::test]
    async fn what_is_wanted_is_served_and_nothing_else() {
        let mut checks = HealthChecks::default();
        let port = served(&mut checks, check(2)).await;
        let answer = ask(port).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"localEndpoints\":2"), "{answer}");
        assert!(answer.contains("x-load-balancing-endpoint-weight: 2"), "{answer}");
        checks.serve(&BTreeMap::from([(port, check(0))])).await;
        let answer = ask(port).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 503") && answer.contains("\"name\":\"web\""), "{answer}");
        checks.serve(&BTreeMap::new()).await;
        tokio::task::yield_now().await;
        assert!(ask(port).await.is_none_or(|answer| !answer.contains("localEndpoints")));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said_and_tried_again() {
        loop {
            let mut checks = HealthChecks::default();
            let taken = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = taken.local_addr().unwrap().port();
            let wanted = BTreeMap::from([(port, check(1))]);
            checks.serve(&wanted).await;
            assert!(checks.running.is_empty());
            assert!(checks.failure(port).is_some_and(|why| why.contains("in use")));
            drop(taken);
            checks.serve(&wanted).await;
            // Where somebody else was faster, with another port.
            if checks.running.contains_key(&port) {
                assert_eq!((checks.failure(port), checks.failed.len()), (None, 0));
                return;
            }
        }
    }
}
