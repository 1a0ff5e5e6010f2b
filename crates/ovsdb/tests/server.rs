//! The codec against a real `ovsdb-server` and its own tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ovsdb::tables::{Bridge, Interface, OpenVSwitch, Port, StringMap};
use ovsdb::{
    Condition, Datum, ErrorKind, Event, MonitorRequest, MonitorRequests, Mutation, Mutator, Notification,
    OpResult, Operation, Replica, Reply, ReplyError, Request, Row, Session, Switch, Table, TableRow,
    TransactError, Uuid, Value, vswitch,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::Server;

/// The smallest driver of a session.
struct Driver {
    stream: UnixStream,
    session: Session,
    notifications: Vec<Notification>,
}

impl Driver {
    fn new(server: &Server) -> Self {
        let stream = UnixStream::connect(server.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, session: Session::default(), notifications: Vec::new() }
    }

    fn call(&mut self, request: &Request) -> Reply {
        let id = self.session.send(request).unwrap();
        self.stream.write_all(&self.session.take_output()).unwrap();
        loop {
            while let Some(event) = self.session.poll().unwrap() {
                match event {
                    Event::Reply(of, reply) if of == id => return reply,
                    Event::Reply(..) => panic!("an answer to another request"),
                    Event::Notification(notification) => self.notifications.push(notification),
                }
            }
            // Small reads, so that messages arrive in pieces.
            let mut buffer = [0; 97];
            let count = self.stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the server hung up");
            self.session.receive(&buffer[..count]);
        }
    }

    fn transact(
        &mut self,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Vec<OpResult>, TransactError> {
        match self.call(&Request::transact(operations)).transact() {
            Ok(results) => Ok(results),
            Err(ReplyError::Transact(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    fn fail(&mut self, operations: impl IntoIterator<Item = Operation>) -> (Option<usize>, ErrorKind) {
        let error = self.transact(operations).unwrap_err();
        (error.index, error.error.kind)
    }

    fn rows<R: TableRow>(&mut self) -> Vec<(Uuid, R)> {
        let results = self.transact([Operation::select_rows::<R>([])]).unwrap();
        let mut rows: Vec<_> =
            results[0].rows().iter().map(|row| (row.uuid().unwrap(), row.to::<R>().unwrap())).collect();
        rows.sort_by_key(|(uuid, _)| *uuid);
        rows
    }

    fn monitor(&mut self, id: u64, requests: MonitorRequests) -> ovsdb::MonitorReply {
        let database = "Open_vSwitch".to_owned();
        let last_transaction = Uuid::ZERO;
        let request = Request::MonitorCondSince { database, monitor: id, requests, last_transaction };
        self.call(&request).monitor().unwrap()
    }

    /// Applies what has arrived so far to a replica.
    fn follow<R: Replica>(&mut self, replica: &mut R) -> Vec<R::Change> {
        let mut changes = Vec::new();
        for notification in self.notifications.drain(..) {
            let Notification::Update { updates, .. } = notification else { panic!("{notification:?}") };
            replica.apply(&updates, &mut changes).unwrap();
        }
        changes
    }
}

fn root(mutations: impl IntoIterator<Item = Mutation>) -> Operation {
    Operation::mutate("Open_vSwitch", [], mutations)
}

#[test]
fn the_server_understands_every_operation() {
    let Some(server) = Server::start() else { return };
    let mut driver = Driver::new(&server);
    let bridge = Bridge { name: "br0".into(), ..Default::default() };
    driver.transact(vswitch::add_bridge(&bridge, &Interface::default(), "b")).unwrap();
    let interface = Interface {
        name: "vx0".into(),
        kind: "vxlan".into(),
        options: map([("key", "flow")]),
        ..Default::default()
    };
    let port = Port { name: "vx0".into(), ..Default::default() };
    let operations: Vec<_> =
        vswitch::add_port("br0", &port, &interface, "p").into_iter().chain(vswitch::announce()).collect();
    let results = driver.transact(operations).unwrap();
    assert_eq!(vswitch::announced(&results), Some(1));
    assert_eq!(server.vsctl(&["list-ports", "br0"]), "vx0");
    assert_eq!(server.vsctl(&["get", "Interface", "vx0", "options"]), "{key=flow}");

    let named = || [Condition::equals("name", "vx0")];
    let results = driver
        .transact([
            Operation::update(
                "Interface",
                named(),
                Row::new().with("ofport_request", 7).with("mtu_request", 1400),
            ),
            Operation::mutate("Interface", named(), [Mutation::new("mtu_request", Mutator::Subtract, 50)]),
            Operation::select_rows::<Interface>(named()),
            Operation::Commit { durable: true },
            Operation::comment("every operation"),
            Operation::guard_one("Interface", named(), "mtu_request", 1350),
        ])
        .unwrap();
    assert_eq!((results[0].count(), results[1].count()), (1, 1));
    let read: Interface = results[2].rows()[0].to().unwrap();
    assert_eq!(read, Interface { ofport_request: Some(7), mtu_request: Some(1350), ..interface });

    let port = Operation::select_columns("Port", named(), ["_uuid"]);
    let port = driver.transact([port]).unwrap()[0].rows()[0].uuid().unwrap();
    assert_eq!(driver.transact([vswitch::remove_port(port)]).unwrap()[0].count(), 1);
    assert_eq!(server.vsctl(&["list-ports", "br0"]), "");
    let (bridge, _) = driver.rows::<Bridge>()[0];
    driver.transact([vswitch::remove_bridge(bridge)]).unwrap();
    assert!(driver.rows::<Interface>().is_empty(), "what nothing refers to is collected");
    let none = Operation::delete("Open_vSwitch", [Condition::equals("next_cfg", 99)]);
    assert_eq!(driver.transact([none]).unwrap()[0].count(), 0);
}

#[test]
fn errors_name_the_operation_and_the_kind() {
    let Some(server) = Server::start() else { return };
    server.vsctl(&["add-br", "br0"]);
    let mut driver = Driver::new(&server);
    let named = || [Condition::equals("name", "br0")];
    assert_eq!(driver.fail([Operation::comment("x"), Operation::Abort]), (Some(1), ErrorKind::Aborted));
    assert_eq!(driver.fail([Operation::assert("l")]), (Some(0), ErrorKind::NotOwner));
    assert_eq!(
        driver.fail([Operation::guard_none("Bridge", named(), "name")]),
        (Some(0), ErrorKind::TimedOut)
    );
    assert_eq!(
        driver.fail([Operation::guard_one("Bridge", named(), "name", "x")]),
        (Some(0), ErrorKind::TimedOut)
    );
    assert_eq!(
        driver.fail([root([Mutation::new("next_cfg", Mutator::Divide, 0)])]),
        (Some(0), ErrorKind::DomainError)
    );
    assert_eq!(driver.fail([Operation::select("Nonsense", [])]), (Some(0), ErrorKind::SyntaxError));
    let dangling = root([Mutation::insert("bridges", Uuid::from_bytes([7; 16]))]);
    assert_eq!(driver.fail([dangling]), (None, ErrorKind::ReferentialIntegrityViolation));
    let again = Bridge { name: "br0".into(), ..Default::default() };
    let again = vswitch::add_bridge(&again, &Interface::default(), "b");
    assert_eq!(driver.fail(again), (None, ErrorKind::ConstraintViolation));
    let twice = || Operation::insert_named(&Bridge { name: "x".into(), ..Default::default() }, "b");
    assert_eq!(driver.fail([twice(), twice()]), (Some(1), ErrorKind::DuplicateUuidName));

    let request = Request::Transact { database: "Nonsense".into(), operations: vec![] };
    let Err(ReplyError::Refused(error)) = driver.call(&request).transact() else { panic!() };
    assert_eq!(error.0.kind, ErrorKind::UnknownDatabase);
}

#[test]
fn a_pair_of_a_map_is_put_whether_or_not_its_key_is_there() {
    let Some(server) = Server::start() else { return };
    let mut driver = Driver::new(&server);
    for value in ["one", "two", "two", ""] {
        driver.transact([root(Mutation::put("external_ids", "k", value))]).unwrap();
        assert_eq!(driver.rows::<OpenVSwitch>()[0].1.external_ids, map([("k", value)]));
    }
    driver.transact([root([Mutation::delete("external_ids", "k")])]).unwrap();
    assert_eq!(driver.rows::<OpenVSwitch>()[0].1.external_ids, map([]));
}

#[test]
fn locks_pass_from_hand_to_hand() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut other) = (Driver::new(&server), Driver::new(&server));
    assert!(one.call(&Request::Lock("l".into())).locked().unwrap());
    assert!(!other.call(&Request::Lock("l".into())).locked().unwrap());
    one.transact([Operation::assert("l")]).unwrap();
    one.call(&Request::Unlock("l".into())).done().unwrap();
    other.call(&Request::Echo).done().unwrap();
    assert_eq!(std::mem::take(&mut other.notifications), [Notification::Locked("l".into())]);
    assert!(one.call(&Request::Steal("l".into())).locked().unwrap());
    other.call(&Request::Echo).done().unwrap();
    assert_eq!(other.notifications, [Notification::Stolen("l".into())]);
    let Err(ReplyError::Refused(error)) = one.call(&Request::Lock("l".into())).locked() else { panic!() };
    assert_eq!(error.0.kind, ErrorKind::SyntaxError);
}

#[test]
fn the_schema_of_the_server_is_that_of_the_file() {
    let Some(server) = Server::start() else { return };
    let mut driver = Driver::new(&server);
    let databases = driver.call(&Request::ListDbs).databases().unwrap();
    assert_eq!(databases, ["Open_vSwitch", "_Server"]);
    let schema = driver.call(&Request::GetSchema { database: "Open_vSwitch".into() }).schema().unwrap();
    assert!(schema.tables["Open_vSwitch"].is_root && !schema.tables["Interface"].is_root);
    assert!(schema.tables["Interface"].columns["link_state"].ephemeral);
    assert!(schema.tables["Bridge"].columns["ports"].kind.is_composite());
}

#[test]
fn a_changed_condition_brings_and_takes_rows() {
    let Some(server) = Server::start() else { return };
    server.vsctl(&["add-br", "br0", "--", "add-port", "br0", "p0", "--", "add-port", "br0", "p1"]);
    let mut driver = Driver::new(&server);
    let only = |name: &str| MonitorRequests::new().rows::<Interface>([Condition::equals("name", name)]);
    let reply = driver.monitor(1, only("p0"));
    let mut table = Table::<Interface>::default();
    table.apply(&reply.updates, &mut Vec::new()).unwrap();
    assert_eq!(table.rows().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["p0"]);

    let conditions = MonitorRequest::default().matching([Condition::equals("name", "p1")]);
    let requests = MonitorRequests::new().with("Interface", conditions);
    driver.call(&Request::MonitorCondChange { monitor: 1, requests }).done().unwrap();
    assert_eq!(driver.follow(&mut table).len(), 2);
    assert_eq!(table.rows().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["p1"]);

    driver.call(&Request::MonitorCancel { monitor: 1 }).done().unwrap();
    server.vsctl(&["set", "Interface", "p1", "external_ids:a=b"]);
    driver.call(&Request::Echo).done().unwrap();
    assert_eq!(driver.follow(&mut table), []);
}

#[test]
fn a_cluster_tells_what_has_changed_since() {
    let Some(server) = Server::start_clustered() else { return };
    let mut driver = Driver::new(&server);
    // The server keeps no more history than it has contents, so it needs some.
    let other_config = (0..500).map(|n| (n.to_string(), "x".to_owned())).collect();
    let bridge = Bridge { name: "br0".into(), other_config, ..Default::default() };
    driver.transact(vswitch::add_bridge(&bridge, &Interface::default(), "b")).unwrap();
    let reply = driver.monitor(1, Table::<OpenVSwitch>::requests());
    assert!(!reply.found);
    let mut table = Table::<OpenVSwitch>::default();
    table.apply(&reply.updates, &mut Vec::new()).unwrap();
    driver.transact([root(Mutation::put("external_ids", "a", "b"))]).unwrap();
    let Some(Notification::Update { last_transaction, .. }) = driver.notifications.last().cloned() else {
        panic!()
    };
    driver.follow(&mut table);
    driver.transact([root(Mutation::put("external_ids", "c", "d"))]).unwrap();

    let mut again = Driver::new(&server);
    let request = Request::MonitorCondSince {
        database: "Open_vSwitch".into(),
        monitor: 1,
        requests: Table::<OpenVSwitch>::requests(),
        last_transaction,
    };
    let since = again.call(&request).monitor().unwrap();
    assert!(since.found);
    table.apply(&since.updates, &mut Vec::new()).unwrap();
    assert_eq!(table.rows().next().unwrap().external_ids, map([("a", "b"), ("c", "d")]));
}

#[test]
fn the_tools_of_ovs_read_what_we_write() {
    let Some(server) = Server::start() else { return };
    let operations = [
        root(Mutation::put("external_ids", "quote\"d", "tab\tnew\nline \u{e9}\u{1f600}\\")),
        Operation::select_columns("Open_vSwitch", [], ["external_ids", "datapath_types"]),
    ];
    let mut params = vec![serde_json::json!("Open_vSwitch")];
    params.extend(operations.iter().map(|operation| serde_json::to_value(operation).unwrap()));
    let text = server.client(&["transact", &serde_json::to_string(&params).unwrap()]);
    let results: Vec<OpResult> = serde_json::from_str(&text).unwrap();
    let results = ovsdb::check_results(2, results).unwrap();
    let expected = map([("quote\"d", "tab\tnew\nline \u{e9}\u{1f600}\\")]);
    assert_eq!(results[1].rows()[0].to::<OpenVSwitch>().unwrap().external_ids, expected);
    assert_eq!(results[1].rows()[0].get("datapath_types"), Some(&Value::EMPTY));
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> StringMap {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What happens in one transaction of the test below.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, String, String),
    Remove(usize, String),
    Replace(usize, StringMap),
    Ofport(usize, Option<i64>),
    Add(usize),
    Delete(usize),
    Types(Vec<String>),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || "[a-c]";
    // NUL is the one character that OVSDB's strings cannot hold.
    let text = || "[^\0]{0,4}";
    prop_oneof![
        (0..3_usize, key(), text()).prop_map(|(p, k, v)| Step::Put(p, k, v)),
        (0..3_usize, key()).prop_map(|(p, k)| Step::Remove(p, k)),
        (0..3_usize, proptest::collection::btree_map(key(), text(), 0..4))
            .prop_map(|(p, m)| Step::Replace(p, m)),
        (0..3_usize, proptest::option::of(any::<i64>())).prop_map(|(p, o)| Step::Ofport(p, o)),
        (0..3_usize).prop_map(Step::Add),
        (0..3_usize).prop_map(Step::Delete),
        proptest::collection::vec("[a-c]", 0..3).prop_map(Step::Types),
    ]
}

fn operations(step: Step, ports: &[(Uuid, Port)]) -> Vec<Operation> {
    let name = |index: usize| format!("p{index}");
    let interface = |index: usize| [Condition::equals("name", name(index))];
    match step {
        Step::Put(p, k, v) => {
            vec![Operation::mutate("Interface", interface(p), Mutation::put("external_ids", &k, &v))]
        }
        Step::Remove(p, k) => {
            vec![Operation::mutate("Interface", interface(p), [Mutation::delete("external_ids", k.as_str())])]
        }
        Step::Replace(p, map) => {
            vec![Operation::update(
                "Interface",
                interface(p),
                Row::new().with("external_ids", map.to_value()),
            )]
        }
        Step::Ofport(p, ofport) => {
            vec![Operation::update("Interface", interface(p), Row::new().with("ofport", ofport.to_value()))]
        }
        Step::Add(p) if ports.iter().any(|(_, port)| port.name == name(p)) => Vec::new(),
        Step::Add(p) => {
            let port = Port { name: name(p), external_ids: map([("k", "v")]), ..Default::default() };
            let interface = Interface { name: name(p), ofport_request: Some(9), ..Default::default() };
            vswitch::add_port("br0", &port, &interface, "p").into()
        }
        Step::Delete(p) => {
            let port = ports.iter().filter(|(_, port)| port.name == name(p));
            port.map(|(uuid, _)| vswitch::remove_port(*uuid)).collect()
        }
        Step::Types(types) => {
            vec![Operation::update("Open_vSwitch", [], Row::new().with("iface_types", Value::set(types)))]
        }
    }
}

/// The whole chain: values there and back, and differences applied just as the server meant them.
#[test]
fn a_replica_that_follows_updates_equals_what_the_server_shows() {
    let Some(server) = Server::start() else { return };
    server.vsctl(&["add-br", "br0"]);
    let mut runner = TestRunner::new(Config { cases: 30, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec(proptest::collection::vec(step(), 1..4), 1..20);
    let result = runner.run(&steps, |transactions| {
        let (mut follower, mut writer) = (Driver::new(&server), Driver::new(&server));
        let mut switch = Switch::default();
        let reply = follower.monitor(1, Switch::requests());
        switch.apply(&reply.updates, &mut Vec::new()).unwrap();
        for steps in transactions {
            let ports = writer.rows::<Port>();
            let done = steps.into_iter().flat_map(|step| operations(step, &ports));
            // Two steps may both add the same port: then the transaction fails and changes nothing.
            let _ = writer.call(&Request::transact(done)).transact();
        }
        follower.call(&Request::Echo).done().unwrap();
        follower.follow(&mut switch);
        prop_assert!(writer.rows::<Interface>().into_iter().eq(switch.interfaces.iter().map(own)));
        prop_assert!(writer.rows::<Port>().into_iter().eq(switch.ports.iter().map(own)));
        prop_assert!(writer.rows::<Bridge>().into_iter().eq(switch.bridges.iter().map(own)));
        prop_assert!(writer.rows::<OpenVSwitch>().into_iter().eq(switch.root.iter().map(own)));
        Ok(())
    });
    result.unwrap();
}

fn own<R: Clone>((uuid, row): (Uuid, &R)) -> (Uuid, R) {
    (uuid, row.clone())
}
