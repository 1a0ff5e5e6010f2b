//! Leases on a real `ovsdb-server`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../../ovsdb/tests/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use ipam::lease::{pick_addresses, release};
use ipam::{Exhausted, Lease, LeaseError, NodeFacts, PodPort, Snapshot, names};
use ovsdb::tables::{Bridge, Interface, Port};
use ovsdb::{OpResult, Operation, vswitch};
use ovsdb_blocking::{Client, Error};
use support::Server;

const BRIDGE: &str = "k-vswitch0";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A server whose bridge describes a node.
fn node(ipv4: (&str, &str), ipv6: (&str, &str)) -> Option<Server> {
    let server = Server::start()?;
    let facts = NodeFacts {
        node: "n1".into(),
        ipv4: Some((ipv4.0.parse().unwrap(), ipv4.1.parse().unwrap())),
        ipv6: Some((ipv6.0.parse().unwrap(), ipv6.1.parse().unwrap())),
        mtu: 1450,
    };
    let bridge = Bridge { name: BRIDGE.into(), external_ids: facts.write(), ..Default::default() };
    let mut client = connect(&server.socket());
    client.transact(vswitch::add_bridge(&bridge, &Interface::default(), "b"), soon()).unwrap();
    Some(server)
}

fn connect(socket: &Path) -> Client {
    Client::connect(socket, soon()).unwrap()
}

fn snapshot(client: &mut Client) -> Snapshot {
    let results = client.transact(Snapshot::operations(BRIDGE), soon()).unwrap();
    Snapshot::read(BRIDGE, &results).unwrap()
}

fn port(container: &str, addresses: &[IpAddr]) -> PodPort {
    let ipv4 = addresses.iter().find_map(|a| if let IpAddr::V4(a) = a { Some(*a) } else { None });
    let ipv6 = addresses.iter().find_map(|a| if let IpAddr::V6(a) = a { Some(*a) } else { None });
    PodPort {
        namespace: "default".into(),
        name: container.into(),
        uid: None,
        container_id: container.into(),
        ifname: "eth0".into(),
        netns: "/proc/1/ns/net".into(),
        mac: names::mac(ipv4, ipv6).unwrap(),
        ipv4,
        ipv6,
        mtu: None,
    }
}

/// What a plugin does, as often as it takes. Returns the addresses and how often it lost a race.
fn add(client: &mut Client, container: &str) -> Result<(Vec<IpAddr>, u32), Exhausted> {
    for attempt in 0.. {
        let snapshot = snapshot(client);
        let addresses = pick_addresses(&snapshot, attempt)?;
        let port = port(container, &addresses);
        let lease = Lease::new(&snapshot, &port, true);
        let results = match client.transact(lease.operations().to_vec(), soon()) {
            Ok(results) => Ok(results),
            Err(error) => Err(error.transaction().unwrap_or_else(|| panic!("{error}")).clone()),
        };
        match lease.read(results) {
            Ok(_) => return Ok((addresses, attempt)),
            Err(LeaseError::AddressTaken(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("attempts do not end")
}

/// The addresses that the database says are taken.
fn taken(client: &mut Client) -> Vec<IpAddr> {
    let rows = client.select::<Interface>([], soon()).unwrap();
    rows.iter().flat_map(|(_, row)| PodPort::taken(&row.external_ids).collect::<Vec<_>>()).collect()
}

#[test]
fn a_hundred_plugins_at_once_get_a_hundred_addresses_of_each_family() {
    let Some(server) = node(("10.0.1.0/24", "10.0.1.1"), ("fd00:1::/64", "fd00:1::1")) else { return };
    let (start, socket) = (Barrier::new(100), server.socket());
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|n| {
                let (start, socket) = (&start, &socket);
                scope.spawn(move || {
                    start.wait();
                    add(&mut connect(socket), &format!("container-{n}")).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let handed: Vec<IpAddr> = results.iter().flat_map(|(addresses, _)| addresses.clone()).collect();
    let distinct: HashSet<IpAddr> = handed.iter().copied().collect();
    assert_eq!((handed.len(), distinct.len()), (200, 200));
    let mut client = connect(&server.socket());
    assert_eq!(taken(&mut client).into_iter().collect::<HashSet<_>>(), distinct);
    let worst = results.iter().map(|(_, lost)| *lost).max().unwrap();
    let total: u32 = results.iter().map(|(_, lost)| *lost).sum();
    println!("races lost: {total} by all, {worst} by the worst");
    assert!(worst <= 20, "{worst} attempts for one address");

    let ports = client.select::<Port>([], soon()).unwrap();
    let pods = ports.into_iter().filter(|(_, port)| port.name != BRIDGE).map(|(uuid, _)| uuid);
    let bridge = snapshot(&mut client).bridge_uuid;
    client.transact(release(bridge, pods), soon()).unwrap();
    assert_eq!(taken(&mut client), Vec::<IpAddr>::new(), "one step frees all");
    assert_eq!(client.select::<Interface>([], soon()).unwrap().len(), 1);
}

#[test]
fn a_full_pool_refuses_and_a_freed_address_is_found() {
    let Some(server) = node(("10.0.1.0/29", "10.0.1.1"), ("fd00:1::/64", "fd00:1::1")) else { return };
    let mut client = connect(&server.socket());
    let mut handed = HashSet::new();
    for n in 0..5 {
        handed.extend(add(&mut client, &format!("container-{n}")).unwrap().0);
    }
    let expected = (2..=6).map(|last| IpAddr::from([10, 0, 1, last]));
    assert_eq!(handed.iter().copied().filter(IpAddr::is_ipv4).collect::<HashSet<_>>(), expected.collect());
    let error = add(&mut client, "one-too-many").unwrap_err();
    assert_eq!((error.ipv6, error.size), (false, 5));

    let name = names::port("container-3", "eth0");
    let condition = ovsdb::Condition::equals("name", name);
    let port = client.select::<Port>([condition], soon()).unwrap()[0].0;
    let bridge = snapshot(&mut client).bridge_uuid;
    client.transact(release(bridge, [port]), soon()).unwrap();
    let (again, _) = add(&mut client, "late").unwrap();
    assert_eq!(again[0], IpAddr::from([10, 0, 1, 5]));
    assert!(!handed.contains(&again[1]), "round-robin does not use an address again soon");
}

#[test]
fn a_node_that_is_given_another_cidr_meanwhile_refuses() {
    let Some(server) = node(("10.0.1.0/24", "10.0.1.1"), ("fd00:1::/64", "fd00:1::1")) else { return };
    let mut client = connect(&server.socket());
    let snapshot = snapshot(&mut client);
    server.vsctl(&["set", "Bridge", BRIDGE, "external_ids:kvs-pod-cidr-ipv4=10.0.2.0/24"]);
    let addresses = pick_addresses(&snapshot, 0).unwrap();
    let port = port("c", &addresses);
    let lease = Lease::new(&snapshot, &port, true);
    let error = client.transact(lease.operations().to_vec(), soon()).unwrap_err();
    let failed: Result<Vec<OpResult>, _> = Err(error.transaction().unwrap().clone());
    assert_eq!(lease.read(failed), Err(LeaseError::NodeChanged(BRIDGE.into())));
    assert!(matches!(error, Error::Reply(_)));
    client.transact([Operation::comment("the connection goes on")], soon()).unwrap();
}
