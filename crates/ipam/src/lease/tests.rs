use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ovsdb::{Datum as _, ErrorKind, OpError, OpResult, Row, Until};
use proptest::prelude::*;

use super::*;
use crate::{NodeFacts, names};

const BRIDGE: &str = "k-vswitch0";

/// As much of ovsdb-server as the transactions need: guards, inserts, and the mutations of the bridge.
struct Server {
    bridge: BTreeMap<String, String>,
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl Server {
    fn new(cidr: &str, gateway: &str) -> Self {
        let facts = NodeFacts {
            node: "node-1".into(),
            ipv4: Some((cidr.parse().unwrap(), gateway.parse().unwrap())),
            ipv6: Some(("fd00::/120".parse().unwrap(), "fd00::1".parse().unwrap())),
            mtu: 1450,
        };
        Self { bridge: facts.write(), interfaces: BTreeMap::new() }
    }

    fn snapshot(&self) -> Snapshot {
        let bridge = Row::new()
            .with("_uuid", uuid())
            .with("name", BRIDGE)
            .with("datapath_type", "netdev")
            .with("external_ids", self.bridge.to_value());
        let interfaces = self
            .interfaces
            .iter()
            .map(|(name, ids)| Row::new().with("name", name.as_str()).with("external_ids", ids.to_value()));
        let results = [OpResult::Rows(vec![bridge]), OpResult::Rows(interfaces.collect())];
        Snapshot::read(BRIDGE, &results).unwrap()
    }

    fn transact(&mut self, operations: &[Operation]) -> Result<Vec<OpResult>, TransactError> {
        let (mut bridge, mut interfaces) = (self.bridge.clone(), self.interfaces.clone());
        let mut results = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            results.push(match operation {
                Operation::Wait {
                    table, conditions, rows, until: Until::Equal, timeout: Some(0), ..
                } => {
                    let found: Vec<&str> = match table.as_str() {
                        "Interface" => interfaces
                            .iter()
                            .filter(|(name, ids)| conditions.iter().all(|c| holds(c, name, ids)))
                            .map(|(name, _)| name.as_str())
                            .collect(),
                        _ if conditions.iter().all(|c| holds(c, BRIDGE, &bridge)) => vec![BRIDGE],
                        _ => vec![],
                    };
                    let wanted: Vec<&str> = rows
                        .iter()
                        .map(|row| row.get("name").unwrap().elements().unwrap()[0].as_str().unwrap())
                        .collect();
                    if found != wanted {
                        let error = OpError { kind: ErrorKind::TimedOut, details: String::new() };
                        return Err(TransactError { index: Some(index), error });
                    }
                    OpResult::Done
                }
                Operation::Insert { table, row, .. } => {
                    if table == "Interface" {
                        let row: Interface = row.to().unwrap();
                        assert!(interfaces.insert(row.name, row.external_ids).is_none());
                    }
                    OpResult::Inserted(uuid())
                }
                Operation::Mutate { mutations, .. } => {
                    for Mutation(column, mutator, value) in mutations {
                        if column == "external_ids" {
                            match mutator {
                                ovsdb::Mutator::Delete => {
                                    for key in value.elements().unwrap() {
                                        bridge.remove(key.as_str().unwrap());
                                    }
                                }
                                _ => bridge.extend(BTreeMap::<String, String>::from_value(value).unwrap()),
                            }
                        }
                    }
                    OpResult::Count(1)
                }
                other => panic!("not expected: {other:?}"),
            });
        }
        (self.bridge, self.interfaces) = (bridge, interfaces);
        Ok(results)
    }
}

fn holds(condition: &Condition, name: &str, ids: &BTreeMap<String, String>) -> bool {
    match condition {
        Condition::Clause(column, _, value) if column == "name" => {
            value.elements().unwrap()[0].as_str() == Some(name)
        }
        Condition::Clause(column, _, _) if column == "_uuid" => true,
        Condition::Clause(_, _, value) => {
            let pairs = BTreeMap::<String, String>::from_value(value).unwrap();
            pairs.iter().all(|(key, value)| ids.get(key) == Some(value))
        }
        Condition::Constant(constant) => *constant,
    }
}

fn uuid() -> Uuid {
    "550e8400-e29b-41d4-a716-446655440000".parse().unwrap()
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
        netns: format!("/run/netns/{container}"),
        mac: names::mac(ipv4, ipv6).unwrap(),
        ipv4,
        ipv6,
        mtu: None,
    }
}

fn attempt(
    server: &mut Server,
    snapshot: &Snapshot,
    container: &str,
    conflicts: u32,
) -> Result<Granted, LeaseError> {
    let addresses = pick_addresses(snapshot, conflicts).unwrap();
    let lease = Lease::new(snapshot, &port(container, &addresses), true);
    let results = server.transact(lease.operations());
    lease.read(results)
}

#[test]
fn a_lease_is_a_port_and_moves_the_start_of_the_next() {
    let mut server = Server::new("10.0.1.0/24", "10.0.1.1");
    for (container, address) in [("a", "10.0.1.2"), ("b", "10.0.1.3")] {
        let snapshot = server.snapshot();
        attempt(&mut server, &snapshot, container, 0).unwrap();
        assert_eq!(server.interfaces[&names::port(container, "eth0")][keys::IPV4], address);
    }
    server.interfaces.remove(&names::port("a", "eth0"));
    let snapshot = server.snapshot();
    attempt(&mut server, &snapshot, "c", 0).unwrap();
    // Not 10.0.1.2, which was given up last.
    assert_eq!(server.interfaces[&names::port("c", "eth0")][keys::IPV4], "10.0.1.4");
    assert_eq!(server.bridge[keys::LAST_IPV6], "fd00::4");
}

#[test]
fn each_guard_has_its_meaning() {
    let mut server = Server::new("10.0.1.0/24", "10.0.1.1");
    let stale = server.snapshot();
    attempt(&mut server, &stale, "a", 0).unwrap();
    assert_eq!(
        attempt(&mut server, &stale, "b", 0),
        Err(LeaseError::AddressTaken("10.0.1.2".parse().unwrap()))
    );
    let snapshot = server.snapshot();
    let again = attempt(&mut server, &snapshot, "a", 0);
    assert_eq!(again, Err(LeaseError::PortExists(names::port("a", "eth0"))));
    server.bridge.insert(keys::POD_CIDR_IPV4.into(), "10.0.7.0/24".into());
    assert_eq!(attempt(&mut server, &snapshot, "c", 0), Err(LeaseError::NodeChanged(BRIDGE.into())));
    let error = OpError { kind: ErrorKind::ConstraintViolation, details: "x".into() };
    let refused = Lease::new(&snapshot, &port("d", &["10.0.1.9".parse().unwrap()]), true)
        .read(Err(TransactError { index: None, error: error.clone() }));
    assert_eq!(refused, Err(LeaseError::Refused(error)));
}

proptest! {
    /// Plugins read, and later write what they decided then, in any order, with releases in between: no address is
    /// ever carried twice, and whoever keeps trying gets one while there are any.
    #[test]
    fn no_interleaving_gives_one_address_to_two(
        steps in prop::collection::vec((0..12usize, 0..4u8), 1..200)
    ) {
        let mut server = Server::new("10.0.1.0/28", "10.0.1.1");
        let mut reads: HashMap<usize, (Snapshot, u32)> = HashMap::new();
        let mut done: BTreeSet<usize> = BTreeSet::new();
        for (who, what) in steps {
            let name = format!("c{who}");
            match (what, reads.remove(&who)) {
                (0, _) => {
                    server.interfaces.remove(&names::port(&name, "eth0"));
                    done.remove(&who);
                }
                (_, None) if !done.contains(&who) => {
                    reads.insert(who, (server.snapshot(), 0));
                }
                (_, Some((snapshot, conflicts))) if !done.contains(&who) => {
                    match attempt(&mut server, &snapshot, &name, conflicts) {
                        Ok(_) => { done.insert(who); }
                        Err(LeaseError::AddressTaken(_)) => {
                            reads.insert(who, (server.snapshot(), conflicts + 1));
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
                _ => {}
            }
            let carried: Vec<IpAddr> = server.interfaces.values().flat_map(PodPort::taken).collect();
            let distinct: HashSet<_> = carried.iter().collect();
            prop_assert_eq!(carried.len(), distinct.len());
            prop_assert_eq!(carried.len(), 2 * done.len());
        }
    }
}
