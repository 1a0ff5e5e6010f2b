//! The OVSDB client against a server that follows a script: what a real one hardly ever does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use ovs::Address;
use ovs::ovsdb::{Client, MonitorUpdate};
use ovsdb::tables::Interface;
use ovsdb::{Framer, Table};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const ONE: &str = "00000000-0000-0000-0000-000000000001";
const TWO: &str = "00000000-0000-0000-0000-000000000002";
const ZERO: &str = "00000000-0000-0000-0000-000000000000";

/// The server's end of one connection.
struct Peer {
    stream: UnixStream,
    framer: Framer,
}

impl Peer {
    async fn accept(listener: &UnixListener) -> Self {
        Self { stream: soon(listener.accept()).await.unwrap().0, framer: Framer::default() }
    }

    /// The next request.
    async fn request(&mut self, method: &str) -> Value {
        loop {
            if let Some(message) = self.framer.next_message().unwrap() {
                let message: Value = serde_json::from_slice(message).unwrap();
                assert_eq!(message["method"], method, "{message}");
                return message;
            }
            let mut buffer = [0; 4096];
            let count = soon(self.stream.read(&mut buffer)).await.unwrap();
            assert_ne!(count, 0, "the client hung up");
            self.framer.push(&buffer[..count]);
        }
    }

    async fn send(&mut self, message: Value) {
        self.stream.write_all(message.to_string().as_bytes()).await.unwrap();
    }

    /// Answers a request to monitor, and returns the monitor's identifier and the transaction it asks to go on from.
    async fn monitor(&mut self, found: bool, last: &str, rows: Value) -> (Value, Value) {
        let request = self.request("monitor_cond_since").await;
        let result = json!([found, last, {"Interface": rows}]);
        self.send(json!({"id": request["id"], "result": result, "error": null})).await;
        (request["params"][1].clone(), request["params"][3].clone())
    }

    async fn update(&mut self, monitor: &Value, last: &str, rows: Value) {
        let params = json!([monitor, last, {"Interface": rows}]);
        self.send(json!({"id": null, "method": "update3", "params": params})).await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

fn server() -> (tempfile::TempDir, UnixListener, Client) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (folder, listener, Client::new(Address::Unix(path)))
}

fn names(table: &Table<Interface>) -> Vec<&str> {
    table.rows().map(|row| row.name.as_str()).collect()
}

#[tokio::test]
async fn a_monitor_goes_on_from_the_last_transaction_it_has_seen() {
    let (_folder, listener, client) = server();
    let mut monitor = client.monitor::<Table<Interface>>();
    let mut peer = Peer::accept(&listener).await;
    let (id, since) = peer.monitor(false, ONE, json!({ONE: {"initial": {"name": "a"}}})).await;
    assert_eq!(since, ZERO);
    assert!(matches!(soon(monitor.next()).await.unwrap(), MonitorUpdate::Reset(_)));
    peer.update(&id, TWO, json!({ONE: {"modify": {"ofport": 4}}})).await;
    assert!(matches!(soon(monitor.next()).await.unwrap(), MonitorUpdate::Changes(_)));

    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    let (_, since) = peer.monitor(true, TWO, json!({TWO: {"insert": {"name": "b"}}})).await;
    assert_eq!(since, TWO);
    let MonitorUpdate::Changes(changes) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert_eq!(changes.len(), 1);
    assert_eq!(names(monitor.replica()), ["a", "b"]);
}

#[tokio::test]
async fn updates_that_do_not_fit_make_it_ask_anew() {
    let (_folder, listener, client) = server();
    let mut monitor = client.monitor::<Table<Interface>>();
    let mut peer = Peer::accept(&listener).await;
    let (old, _) = peer.monitor(false, ONE, json!({ONE: {"initial": {"name": "a"}}})).await;
    soon(monitor.next()).await.unwrap();
    peer.update(&old, TWO, json!({TWO: {"modify": {"ofport": 4}}})).await;

    let script = async {
        peer.request("monitor_cancel").await;
        let (new, since) = peer.monitor(false, TWO, json!({TWO: {"initial": {"name": "b"}}})).await;
        assert_eq!(since, ZERO);
        assert_ne!(new, old);
        // One that was under way for the old monitor must not be taken for one of the new.
        peer.update(&old, TWO, json!({ONE: {"insert": {"name": "c"}}})).await;
        peer.update(&new, TWO, json!({ONE: {"insert": {"name": "d"}}})).await;
    };
    let (update, ()) = soon(async { tokio::join!(monitor.next(), script) }).await;
    assert!(matches!(update.unwrap(), MonitorUpdate::Reset(_)));
    assert_eq!(names(monitor.replica()), ["b"]);
    soon(monitor.next()).await.unwrap();
    assert_eq!(names(monitor.replica()), ["d", "b"]);
}

#[tokio::test]
async fn a_canceled_monitor_is_asked_for_from_the_start() {
    let (_folder, listener, client) = server();
    let mut monitor = client.monitor::<Table<Interface>>();
    let mut peer = Peer::accept(&listener).await;
    let (id, _) = peer.monitor(false, ONE, json!({ONE: {"initial": {"name": "a"}}})).await;
    soon(monitor.next()).await.unwrap();
    peer.send(json!({"id": null, "method": "monitor_canceled", "params": [id]})).await;
    let (_, since) = peer.monitor(false, TWO, json!({TWO: {"initial": {"name": "b"}}})).await;
    assert_eq!(since, ZERO);
    assert!(matches!(soon(monitor.next()).await.unwrap(), MonitorUpdate::Reset(_)));
    assert_eq!(names(monitor.replica()), ["b"]);
}

#[tokio::test]
async fn a_monitor_that_is_dropped_is_canceled() {
    let (_folder, listener, client) = server();
    let monitor = client.monitor::<Table<Interface>>();
    let mut peer = Peer::accept(&listener).await;
    let (id, _) = peer.monitor(false, ONE, json!({})).await;
    drop(monitor);
    assert_eq!(peer.request("monitor_cancel").await["params"], json!([id]));
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_the_next_one_serves() {
    let (_folder, listener, client) = server();
    let asking = tokio::spawn(async move { client.transact([]).await });
    let mut peer = Peer::accept(&listener).await;
    peer.request("transact").await;
    peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
    let error = soon(asking).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("may have happened or not"), "{error}");
    // No handle is left, so nobody comes back.
    assert!(tokio::time::timeout(Duration::from_millis(200), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_server_that_does_not_read_does_not_keep_us_from_reading() {
    let (_folder, listener, client) = server();
    let mut monitor = client.monitor::<Table<Interface>>();
    let mut peer = Peer::accept(&listener).await;
    let (id, _) = peer.monitor(false, ONE, json!({})).await;
    soon(monitor.next()).await.unwrap();
    // More than the socket's buffers hold.
    let comment = "x".repeat(1 << 22);
    let writing = tokio::spawn({
        let client = client.clone();
        async move { client.transact([ovsdb::Operation::comment(comment)]).await.map(|_| ()) }
    });
    for n in 0..10 {
        peer.update(&id, ONE, json!({ONE: {"insert": {"name": format!("p{n}")}}})).await;
        soon(monitor.next()).await.unwrap();
    }
    assert!(!writing.is_finished());
    let request = peer.request("transact").await;
    peer.send(json!({"id": request["id"], "result": [{}], "error": null})).await;
    soon(writing).await.unwrap().unwrap();
}
