//! The client against a real `ovsdb-server`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../../ovsdb/tests/support/mod.rs"]
mod support;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use ovsdb::tables::{Bridge, Interface, Port};
use ovsdb::{Condition, ErrorKind, MonitorRequests, Mutation, Operation, Row, Table, vswitch};
use ovsdb_blocking::{Client, Error, Step};
use support::Server;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn connect(server: &Server) -> Client {
    Client::connect(&server.socket(), soon()).unwrap()
}

#[test]
fn rows_are_written_read_and_guarded() {
    let Some(server) = Server::start() else { return };
    let mut client = connect(&server);
    let bridge = Bridge { name: "br0".into(), fail_mode: Some("secure".into()), ..Default::default() };
    let results = client.transact(vswitch::add_bridge(&bridge, &Interface::default(), "b"), soon()).unwrap();
    assert_eq!(results.len(), 4);
    let found = client.select::<Bridge>([Condition::equals("name", "br0")], soon()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.fail_mode.as_deref(), Some("secure"));

    let guard = Operation::guard_none("Bridge", [Condition::equals("name", "br0")], "name");
    let error = client.transact([Operation::comment("x"), guard], soon()).unwrap_err();
    let failed = error.transaction().unwrap();
    assert_eq!((failed.index, &failed.error.kind), (Some(1), &ErrorKind::TimedOut));
    assert_eq!(error.refusal().unwrap().kind, ErrorKind::TimedOut);
}

#[test]
fn a_write_and_its_monitor_go_out_together_and_the_stamp_is_seen() {
    let Some(server) = Server::start() else { return };
    server.vsctl(&["add-br", "br0"]);
    let mut client = connect(&server);
    let interface = Interface { name: "p0".into(), ..Default::default() };
    let port = Port { name: "p0".into(), ..Default::default() };
    let write =
        client.send(&ovsdb::Request::transact(vswitch::add_port("br0", &port, &interface, "p"))).unwrap();
    let requests = MonitorRequests::new().rows::<Interface>([Condition::equals("name", "p0")]);
    let mut monitor = client.monitor::<Table<Interface>>(requests).unwrap();
    client.reply(write, soon()).unwrap().transact().unwrap();

    let stamped =
        |table: &Table<Interface>| table.rows().find_map(|row| row.external_ids.get("stamp").cloned());
    let error =
        client.wait_until(&mut monitor, Instant::now() + Duration::from_millis(50), stamped).unwrap_err();
    assert!(matches!(error, Error::Timeout(Step::Watching)), "{error}");
    assert_eq!(monitor.replica().len(), 1);

    let socket = server.socket();
    let daemon = std::thread::spawn(move || {
        let mut client = Client::connect(&socket, soon()).unwrap();
        let other = Operation::mutate(
            "Interface",
            [Condition::equals("name", "br0")],
            Mutation::put("external_ids", "stamp", "0"),
        );
        let ours = Operation::mutate(
            "Interface",
            [Condition::equals("name", "p0")],
            Mutation::put("external_ids", "stamp", "7"),
        );
        client.transact([other], soon()).unwrap();
        client.transact([ours], soon()).unwrap();
    });
    assert_eq!(client.wait_until(&mut monitor, soon(), stamped).unwrap(), "7");
    daemon.join().unwrap();
}

#[test]
fn a_lock_is_granted_to_one_and_freed_with_its_connection() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut other) = (connect(&server), connect(&server));
    assert!(one.try_lock("k", soon()).unwrap());
    assert!(!other.try_lock("k", soon()).unwrap());
    assert!(!other.try_lock("k", soon()).unwrap(), "the first request was withdrawn");
    one.unlock("k", soon()).unwrap();
    assert!(other.try_lock("k", soon()).unwrap());
    drop(other);
    let deadline = soon();
    while !one.try_lock("k", soon()).unwrap() {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_lock_is_waited_for_until_its_holder_goes() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut other) = (connect(&server), connect(&server));
    one.lock("k", soon()).unwrap();
    let error = other.lock("k", Instant::now() + Duration::from_millis(50)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let mut third = connect(&server);
    drop(other);
    let waiting = std::thread::spawn(move || third.lock("k", soon()).map(|()| third));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    drop(one);
    waiting.join().unwrap().unwrap().unlock("k", soon()).unwrap();
}

#[test]
fn a_missing_server_is_named_with_its_socket() {
    let error = Client::connect(Path::new("/nonexistent/db.sock"), soon()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/db.sock") && error.contains("is Open vSwitch running"), "{error}");
    let long = format!("/{}", "x".repeat(200));
    assert!(matches!(Client::connect(Path::new(&long), soon()).unwrap_err(), Error::Connect { .. }));
}

#[test]
fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let mut client = Client::connect(&path, start + Duration::from_millis(100)).unwrap();
    let error = client.transact([], start + Duration::from_millis(100)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // Nobody accepts: connections queue up until there is no room for more.
    let mut queued = Vec::new();
    let refused = loop {
        match Client::connect(&path, Instant::now() + Duration::from_millis(100)) {
            Ok(client) => queued.push(client),
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("does not accept connections"), "{refused}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_server_that_goes_away_is_noticed() {
    let Some(mut server) = Server::start() else { return };
    let mut client = connect(&server);
    client.transact([], soon()).unwrap();
    server.kill();
    let error = client.transact([Operation::update("Bridge", [], Row::new())], soon()).unwrap_err();
    assert!(matches!(error, Error::Closed(_)), "{error}");
}

#[test]
fn a_large_answer_arrives_whole() {
    let Some(server) = Server::start() else { return };
    let mut client = connect(&server);
    let value = "x".repeat(1 << 20);
    let operations = Mutation::put("external_ids", "large", &value);
    client.transact([Operation::mutate("Open_vSwitch", [], operations)], soon()).unwrap();
    let rows = client.select::<ovsdb::tables::OpenVSwitch>([], soon()).unwrap();
    assert_eq!(rows[0].1.external_ids["large"], value);
}
