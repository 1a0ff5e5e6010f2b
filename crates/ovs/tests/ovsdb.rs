//! The OVSDB client against a real `ovsdb-server`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../../ovsdb/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use ovs::Address;
use ovs::ovsdb::{Client, MonitorError, MonitorUpdate, RequestError, Settings};
use ovsdb::tables::{Bridge, Interface, OpenVSwitch};
use ovsdb::{
    Condition, ErrorKind, MonitorRequest, MonitorRequests, Mutation, Operation, Request, Switch,
    SwitchChange, Table, vswitch,
};
use support::Server;

fn client(server: &Server) -> Client {
    Client::new(Address::Unix(server.socket()))
}

/// Everything here takes milliseconds; what takes longer hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

fn put(key: &str, value: &str) -> Operation {
    Operation::mutate("Open_vSwitch", [], Mutation::put("external_ids", key, value))
}

fn value(root: &Table<OpenVSwitch>, key: &str) -> Option<String> {
    root.rows().next()?.external_ids.get(key).cloned()
}

#[tokio::test]
async fn many_transactions_are_under_way_at_once() {
    let Some(server) = Server::start() else { return };
    let client = client(&server);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let client = client.clone();
        tasks.spawn(async move { client.transact(vswitch::announce()).await.unwrap() });
    }
    let mut numbers: Vec<_> =
        soon(tasks.join_all()).await.iter().map(|results| vswitch::announced(results).unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=500));

    let error = soon(client.transact([put("a", "b"), Operation::Abort])).await.unwrap_err();
    let failed = error.transaction().unwrap();
    assert_eq!((failed.index, &failed.error.kind), (Some(1), &ErrorKind::Aborted));
    assert_eq!(soon(client.select::<OpenVSwitch>([])).await.unwrap()[0].1.next_cfg, 500);
}

#[tokio::test]
async fn a_monitor_gives_the_rows_and_then_every_change_in_order() {
    let Some(server) = Server::start() else { return };
    let client = client(&server);
    let mut monitor = client.monitor::<Switch>();
    let MonitorUpdate::Reset(initial) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert!(matches!(&initial[..], [SwitchChange::Root(_)]), "{initial:?}");

    let bridge = Bridge { name: "br0".into(), ..Default::default() };
    soon(client.transact(vswitch::add_bridge(&bridge, &Interface::default(), "b"))).await.unwrap();
    let MonitorUpdate::Changes(changes) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert_eq!(changes.len(), 4, "one update for one transaction: {changes:?}");
    let (_, bridge) = monitor.replica().bridge("br0").unwrap();
    assert_eq!(monitor.replica().interfaces_of(bridge).next().unwrap().1.kind, "internal");

    for n in 0..100 {
        client.transact([put("n", &n.to_string())]).await.unwrap();
    }
    for n in 0..100 {
        let MonitorUpdate::Changes(changes) = soon(monitor.next()).await.unwrap() else { panic!() };
        let [SwitchChange::Root(change)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(change.after().unwrap().external_ids["n"], n.to_string());
    }
    server.vsctl(&["del-br", "br0"]);
    soon(monitor.wait_until(|switch| switch.interfaces.is_empty().then_some(()))).await.unwrap();
    assert_eq!(monitor.replica().bridge("br0"), None);
}

#[tokio::test]
async fn a_monitor_with_conditions_sees_only_their_rows() {
    let Some(server) = Server::start() else { return };
    server.vsctl(&["add-br", "br0", "--", "add-port", "br0", "p0", "--", "add-port", "br0", "p1"]);
    let requests = MonitorRequests::new().rows::<Interface>([Condition::equals("name", "p1")]);
    let mut monitor = client(&server).monitor_some::<Table<Interface>>(requests);
    let MonitorUpdate::Reset(initial) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert_eq!(initial.len(), 1);
    server.vsctl(&[
        "set",
        "Interface",
        "p0",
        "external_ids:a=b",
        "--",
        "set",
        "Interface",
        "p1",
        "external_ids:a=c",
    ]);
    let MonitorUpdate::Changes(changes) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].after().unwrap().external_ids["a"], "c");
}

#[tokio::test]
async fn after_a_restart_of_the_server_the_contents_come_anew() {
    let Some(mut server) = Server::start() else { return };
    let client = client(&server);
    let mut monitor = client.monitor::<Table<OpenVSwitch>>();
    soon(monitor.next()).await.unwrap();
    server.kill();
    soon(client.state().wait_for(|state| !state.is_connected())).await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.transact([put("meanwhile", "yes")]).await }
    });
    server.restart();
    soon(waiting).await.unwrap().unwrap();
    let MonitorUpdate::Reset(rows) = soon(monitor.next()).await.unwrap() else { panic!() };
    assert_eq!(rows.len(), 1);
    soon(monitor.wait_until(|root| value(root, "meanwhile"))).await.unwrap();
}

#[tokio::test]
async fn where_the_server_keeps_a_history_a_reconnect_is_not_noticed() {
    let Some(server) = Server::start_clustered() else { return };
    let client = client(&server);
    let mut monitor = client.monitor::<Table<OpenVSwitch>>();
    let MonitorUpdate::Reset(_) = soon(monitor.next()).await.unwrap() else { panic!() };
    for round in 0..3 {
        let key = format!("round-{round}");
        client.transact([put(&key, "before")]).await.unwrap();
        let before = soon(monitor.next()).await.unwrap();
        assert!(matches!(&before, MonitorUpdate::Changes(c) if c.len() == 1), "{before:?}");

        let mut state = client.state();
        state.mark_unchanged();
        server.appctl(&["ovsdb-server/reconnect"]);
        soon(state.changed()).await.unwrap();
        soon(client.connected()).await;
        client.transact([put(&key, "after")]).await.unwrap();
        let after = soon(monitor.next()).await.unwrap();
        let MonitorUpdate::Changes(changes) = after else { panic!("{after:?}") };
        assert_eq!(changes[0].before().unwrap().external_ids[&key], "before");
        assert_eq!(changes[0].after().unwrap().external_ids[&key], "after");
    }
}

#[tokio::test]
async fn a_lock_passes_on_when_its_holder_goes_and_is_asked_for_again_after_a_restart() {
    let Some(mut server) = Server::start() else { return };
    let (one, other) = (client(&server), client(&server));
    let first = one.lock("k");
    soon(first.held()).await;
    let second = other.lock("k");
    soon(other.transact([])).await.unwrap();
    assert!(!second.is_held());
    let guarded = || [Operation::assert("k"), Operation::comment("mine")];
    soon(one.transact(guarded())).await.unwrap();
    let error = soon(other.transact(guarded())).await.unwrap_err();
    assert_eq!(error.transaction().unwrap().error.kind, ErrorKind::NotOwner);

    drop(first);
    soon(second.held()).await;
    server.kill();
    soon(second.lost()).await;
    server.restart();
    soon(second.held()).await;

    soon(one.request(Request::Steal("k".into()))).await.unwrap().locked().unwrap();
    soon(second.lost()).await;
    soon(one.request(Request::Unlock("k".into()))).await.unwrap().done().unwrap();
    soon(second.held()).await;
}

#[tokio::test]
async fn a_lock_asked_for_twice_is_held_once() {
    let Some(server) = Server::start() else { return };
    let client = client(&server);
    let (first, second) = (client.lock("k"), client.lock("k"));
    soon(first.held()).await;
    drop(second);
    soon(client.transact([Operation::assert("k")])).await.unwrap();
    assert!(first.is_held());
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_and_what_was_under_way_fails() {
    let Some(server) = Server::start() else { return };
    let settings = Settings { probe: Duration::from_millis(200), ..Settings::default() };
    let client = Client::with_settings(Address::Unix(server.socket()), settings);
    soon(client.transact([])).await.unwrap();
    // Silence alone is no reason: the probe is answered.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(client.state().borrow().is_connected());

    server.signal("-STOP");
    let error = soon(client.transact([put("a", "b")])).await.unwrap_err();
    assert!(matches!(error, RequestError::Disconnected), "{error}");
    server.signal("-CONT");
    soon(client.transact([put("a", "c")])).await.unwrap();
}

#[tokio::test]
async fn tcp_works_as_well() {
    let Some(server) = Server::start() else { return };
    let port = server.listen_tcp();
    let client = Client::new(format!("tcp:127.0.0.1:{port}").parse().unwrap());
    soon(client.transact([put("a", "b")])).await.unwrap();
}

#[tokio::test]
async fn a_monitor_of_what_is_not_in_the_schema_is_refused() {
    let Some(server) = Server::start() else { return };
    let requests = MonitorRequests::new().with("Nonsense", MonitorRequest::default());
    let mut monitor = client(&server).monitor_some::<Table<Bridge>>(requests);
    let error = soon(monitor.next()).await.unwrap_err();
    assert!(matches!(error, MonitorError::Refused(_)), "{error}");
}

#[tokio::test]
async fn without_a_server_the_state_says_what_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(Address::Unix(folder.path().join("db.sock")));
    let mut state = client.state();
    let state = soon(state.wait_for(|s| format!("{s:?}").contains("No such file"))).await.unwrap();
    assert!(format!("{state:?}").contains("db.sock"), "{state:?}");
}
