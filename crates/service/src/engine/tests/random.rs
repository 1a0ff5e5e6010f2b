//! Random histories: what the engine told bit by bit is what it should have told, and what an engine tells that hears of
//! the end only.

use proptest::prelude::*;
use proptest::sample::select;

use super::build::NODE;
use super::oracle::World;
use super::tables::Tables;
use crate::engine::Engine;
use crate::lb::*;
use crate::spec::*;

#[derive(Clone, Debug)]
enum Event {
    Service(Name, Box<Service>),
    ServiceGone(Name),
    Slice(&'static str, &'static str, Slice),
    SliceGone(&'static str, &'static str),
    Zone(Option<String>),
    /// A Service takes a number that stands for an address outside as its node port.
    Steal(Name, Box<Service>),
    Ask,
}

const NAMESPACES: [&str; 2] = ["x", "y"];
const SERVICES: [&str; 3] = ["a", "b", "c"];
const SLICES: [&str; 4] = ["s1", "s2", "s3", "s4"];

fn text(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(str::to_owned)
}

fn maybe(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(text(of))
}

fn list(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Option<Vec<String>>> {
    prop::option::of(prop::collection::vec(text(of), 0..=most))
}

fn name() -> impl Strategy<Value = Name> {
    let parts = (select(&NAMESPACES[..]), select(&SERVICES[..]));
    parts.prop_map(|(namespace, name)| Name { namespace: namespace.into(), name: name.into() })
}

fn cluster_ips() -> impl Strategy<Value = Vec<&'static str>> {
    let one = |of: &'static [&'static str]| select(of).prop_map(|text| vec![text]);
    let ipv4 = ["10.96.0.1", "10.96.0.2", "10.96.0.3"];
    let pair =
        (select(&["10.96.0.1", "10.96.0.2", "10.96.0.3"][..]), select(&["fd00:96::1", "fd00:96::2"][..]));
    prop_oneof![
        6 => select(ipv4.to_vec()).prop_map(|text| vec![text]),
        2 => one(&["fd00:96::1", "fd00:96::2"]),
        6 => pair.prop_map(|(a, b)| vec![a, b]),
        1 => one(&["None", "bogus"]),
        1 => Just(vec![]),
    ]
}

fn ports() -> impl Strategy<Value = Vec<ServicePort>> {
    let node_port = prop::option::weighted(0.6, select(&[0, 30001, 30002, 30003, 70000][..]));
    let name = prop_oneof![4 => maybe(&["http", "dns"]), 1 => Just(Some(String::new()))];
    let protocol = prop_oneof![8 => maybe(&["TCP", "UDP", "UDP"]), 1 => maybe(&["SCTP", "ICMP"])];
    let number = prop_oneof![8 => select(&[80, 53][..]), 1 => Just(0)];
    let port = (name, protocol, number, node_port);
    let port =
        port.prop_map(|(name, protocol, port, node_port)| ServicePort { name, protocol, port, node_port });
    prop::collection::vec(port, 1..=3)
}

fn service() -> impl Strategy<Value = Service> {
    let kind = prop_oneof![
        5 => Just(Some("LoadBalancer".to_owned())),
        4 => maybe(&["NodePort"]),
        1 => maybe(&["ExternalName", "ClusterIP"]),
    ];
    let ingress =
        (maybe(&["192.0.2.1", "192.0.2.2", "2001:db8::1", "bogus"]), maybe(&["VIP", "Proxy", "VIP"]));
    let ingress = ingress.prop_map(|(ip, ip_mode)| LoadBalancerIngress { ip, ip_mode });
    let policies = (maybe(&["Local", "Cluster"]), maybe(&["Local", "Cluster"]), 0..6_i32);
    let affinity = (maybe(&["ClientIP", "None"]), prop::option::of(select(&[5, 600, 0][..])));
    let other = prop::bool::weighted(0.05);
    let head = (kind, cluster_ips(), ports(), policies, affinity, other);
    let external = list(&["192.0.2.1", "192.0.2.3", "2001:db8::2", "127.0.0.1"], 2);
    let ranges = prop::option::weighted(0.3, list(&["10.0.0.0/8", "10.1.2.3/8", "fd00::/8", "x"], 2));
    let tail = (prop::collection::vec(ingress, 0..3), external, ranges);
    (head, tail).prop_map(
        |((kind, ips, ports, policies, affinity, other), (ingress, external_ips, ranges))| {
            let ips: Vec<String> = ips.into_iter().map(str::to_owned).collect();
            let (external, internal, health) = policies;
            let (session_affinity, timeout_seconds) = affinity;
            let client_ip = Some(ClientIpConfig { timeout_seconds });
            let label = ("service.kubernetes.io/service-proxy-name".to_owned(), "other".to_owned());
            let spec = ServiceSpec {
                kind,
                cluster_ip: ips.first().cloned(),
                cluster_ips: (ips.len() != 1).then_some(ips),
                ports: Some(ports),
                external_ips,
                external_traffic_policy: external,
                internal_traffic_policy: internal,
                health_check_node_port: Some(if health > 2 { 0 } else { 31000 + health }),
                session_affinity,
                session_affinity_config: Some(SessionAffinityConfig { client_ip }),
                load_balancer_source_ranges: ranges.flatten(),
                ..ServiceSpec::default()
            };
            let load_balancer = LoadBalancerStatus { ingress: Some(ingress) };
            let labels = other.then_some(label).into_iter().collect();
            Service { labels, spec, status: ServiceStatus { load_balancer } }
        },
    )
}

fn endpoint(addresses: &'static [&'static str]) -> impl Strategy<Value = Endpoint> {
    let flag = || prop::option::of(any::<bool>());
    let hints = |of: &'static [&'static str]| {
        let hint = text(of).prop_map(|name| Hint { name });
        prop::option::weighted(0.8, prop::collection::vec(hint, 0..3))
    };
    let hints = (hints(&["z1", "z2"]), hints(&[NODE, "there"]));
    let hints = hints.prop_map(|(for_zones, for_nodes)| Hints { for_zones, for_nodes });
    let target = text(&["p1", "p2", ""]).prop_map(|name| TargetRef { kind: "Pod".to_owned(), name });
    let conditions = (flag(), flag(), flag());
    let conditions =
        conditions.prop_map(|(ready, serving, terminating)| Conditions { ready, serving, terminating });
    let extra = (prop::option::weighted(0.8, hints), prop::option::of(target));
    let node = maybe(&[NODE, "there", "elsewhere"]);
    (text(addresses), conditions, node, extra).prop_map(
        |(address, conditions, node_name, (hints, target_ref))| Endpoint {
            addresses: vec![address],
            conditions,
            node_name,
            hints,
            target_ref,
        },
    )
}

fn slice() -> impl Strategy<Value = Slice> {
    let name = prop_oneof![4 => maybe(&["http", "dns"]), 1 => Just(Some(String::new()))];
    let number = prop::option::weighted(0.9, select(&[8080, 5353, 0][..]));
    let port = (name, maybe(&["TCP", "UDP", "UDP", "SCTP"]), number);
    let port = port.prop_map(|(name, protocol, port)| EndpointPort { name, protocol, port });
    let ports = prop::collection::vec(port, 0..4);
    let ipv4 = &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "127.0.0.1", "fd00::9"];
    let ipv6 = &["fd00::1", "fd00::2", "fd00::3", "10.0.0.1"];
    let endpoints = prop_oneof![
        5 => prop::collection::vec(endpoint(ipv4), 0..6).prop_map(|all| ("IPv4", all)),
        3 => prop::collection::vec(endpoint(ipv6), 0..6).prop_map(|all| ("IPv6", all)),
        1 => prop::collection::vec(endpoint(ipv4), 0..2).prop_map(|all| ("FQDN", all)),
    ];
    (text(&["a", "b", "c", "a", "b", ""]), endpoints, ports).prop_map(
        |(service, (address_type, endpoints), ports)| Slice {
            service,
            address_type: address_type.to_owned(),
            endpoints,
            ports: Some(ports),
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let slice_name = || (select(&NAMESPACES[..]), select(&SLICES[..]));
    prop_oneof![
        6 => (name(), service()).prop_map(|(name, service)| Event::Service(name, Box::new(service))),
        2 => name().prop_map(Event::ServiceGone),
        8 => (slice_name(), slice()).prop_map(|((namespace, name), slice)| Event::Slice(namespace, name, slice)),
        2 => slice_name().prop_map(|(namespace, name)| Event::SliceGone(namespace, name)),
        1 => maybe(&["z1", "z2", "z3"]).prop_map(Event::Zone),
        1 => (name(), service()).prop_map(|(name, service)| Event::Steal(name, Box::new(service))),
        8 => Just(Event::Ask),
    ]
}

/// An engine, what it told, and what there is.
struct History {
    engine: Engine,
    tables: Tables,
    world: World,
}

impl History {
    fn new() -> Self {
        Self { engine: Engine::new(NODE), tables: Tables::default(), world: World::default() }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Service(name, service) => {
                self.world.service(name, Some(service));
                self.engine.service(name, service);
            }
            Event::ServiceGone(name) => {
                self.world.service(name, None);
                self.engine.service_gone(name);
            }
            Event::Slice(namespace, name, slice) => {
                let key = ((*namespace).to_owned(), (*name).to_owned());
                self.world.slices.insert(key, slice.clone());
                self.engine.slice(namespace, name, slice);
            }
            Event::SliceGone(namespace, name) => {
                self.world.slices.remove(&((*namespace).to_owned(), (*name).to_owned()));
                self.engine.slice_gone(namespace, name);
            }
            Event::Zone(zone) => {
                self.world.zone.clone_from(zone);
                self.engine.set_zone(zone.as_deref());
            }
            Event::Steal(name, service) => {
                let Some((external, number)) = self.tables.externals.first_key_value() else { return };
                let mut service = service.clone();
                service.spec.kind = Some("NodePort".to_owned());
                for port in service.spec.ports.iter_mut().flatten().take(1) {
                    port.protocol = Some(external.protocol.name().to_owned());
                    port.node_port = Some(i32::from(*number));
                }
                self.event(&Event::Service(name.clone(), service));
            }
            Event::Ask => self.ask(),
        }
    }

    /// Everything is as it should be.
    fn ask(&mut self) {
        self.tables.follow(&mut self.engine);
        let expected = self.world.expected();
        let told = |frontend: &Frontend| self.tables.leads(*frontend);
        for (frontend, leads) in &expected.frontends {
            assert_eq!(told(frontend).as_ref(), Some(leads), "{frontend:?}");
        }
        assert!(self.tables.externals.keys().eq(expected.externals.keys()), "{:?}", self.tables.externals);
        let mut stand_ins = std::collections::BTreeMap::new();
        for (external, number) in &self.tables.externals {
            match expected.externals[external] {
                Some(node_port) => assert_eq!(*number, node_port, "{external:?}"),
                None => {
                    let at = At::StandIn { ipv6: external.address.is_ipv6() };
                    let stand_in = Frontend { at, protocol: external.protocol, port: *number };
                    assert!(!expected.node_ports.contains(&(external.protocol, *number)));
                    let other = stand_ins.insert((external.protocol, *number), at);
                    assert!(other.is_none_or(|other| other == at), "of two families");
                    assert!(!expected.frontends.contains_key(&stand_in));
                }
            }
        }
        for frontend in self.tables.frontends.keys() {
            let stands_in = stand_ins.get(&(frontend.protocol, frontend.port)) == Some(&frontend.at);
            assert!(expected.frontends.contains_key(frontend) || stands_in, "{frontend:?} is too much");
        }
        assert_eq!(self.tables.health_checks, expected.health_checks);
        let taken = self.engine.problems().any(|(_, problem)| problem.message.contains("had it first"));
        assert_eq!(taken, self.world.waits());
        assert!(self.engine.services().eq(self.world.services.keys()));
        for name in self.world.services.keys() {
            assert!(self.engine.view(name).is_some());
        }
    }

    fn end(&mut self) {
        for name in self.world.services.clone().keys() {
            self.event(&Event::ServiceGone(name.clone()));
        }
        for (namespace, name) in self.world.slices.keys() {
            self.engine.slice_gone(namespace, name);
        }
        self.tables.follow(&mut self.engine);
        assert_eq!(self.tables, Tables::default());
        assert!(self.engine.is_empty());
    }
}

/// So that no two Services claim the same.
fn alone(name: &Name, mut service: Service) -> Service {
    let number =
        format!("{}{}", name.namespace, name.name).bytes().fold(0, |sum, byte| sum * 4 + i32::from(byte))
            % 199;
    let change = |text: &mut String| {
        *text = text.replace("10.96.0.", &format!("10.96.{number}."));
        *text = text.replace("192.0.2.", &format!("192.0.{number}."));
        *text = text.replace("fd00:96::", &format!("fd00:96:{number}::"));
        *text = text.replace("db8::", &format!("db8:{number}::"));
    };
    let spec = &mut service.spec;
    let texts = spec.cluster_ip.iter_mut().chain(spec.cluster_ips.iter_mut().flatten());
    texts.chain(spec.external_ips.iter_mut().flatten()).for_each(change);
    let ingress = service.status.load_balancer.ingress.iter_mut().flatten();
    ingress.filter_map(|ingress| ingress.ip.as_mut()).for_each(change);
    for port in spec.ports.iter_mut().flatten() {
        port.node_port =
            port.node_port.map(|node_port| if node_port == 0 { 0 } else { node_port + 10 * number });
    }
    spec.health_check_node_port =
        spec.health_check_node_port.map(|port| if port == 0 { 0 } else { port + 10 * number });
    service
}

proptest! {
    #[test]
    fn what_is_told_bit_by_bit_is_what_should_be_told(events in prop::collection::vec(event(), 1..60)) {
        let mut history = History::new();
        events.iter().for_each(|event| history.event(event));
        history.ask();
        history.end();
    }

    #[test]
    fn it_does_not_matter_how_things_came_about(
        events in prop::collection::vec(event(), 1..40),
        slices_first in any::<bool>(),
    ) {
        let mut history = History::new();
        for event in &events {
            match event {
                Event::Service(name, service) => {
                    let service = Box::new(alone(name, *service.clone()));
                    history.event(&Event::Service(name.clone(), service));
                }
                Event::Steal(..) => {}
                other => history.event(other),
            }
        }
        history.ask();
        let world = &history.world;
        prop_assert!(!world.waits());
        let mut engine = Engine::new(NODE);
        let slices = |engine: &mut Engine| {
            for ((namespace, name), slice) in world.slices.iter().rev() {
                engine.slice(namespace, name, slice);
            }
        };
        if slices_first {
            slices(&mut engine);
        }
        world.services.iter().rev().for_each(|(name, service)| engine.service(name, service));
        if !slices_first {
            slices(&mut engine);
        }
        engine.set_zone(world.zone.as_deref());
        let mut tables = Tables::default();
        tables.follow(&mut engine);
        prop_assert_eq!(tables, history.tables.clone());
    }

    #[test]
    fn telling_the_same_again_changes_nothing(events in prop::collection::vec(event(), 1..30)) {
        let mut history = History::new();
        events.iter().for_each(|event| history.event(event));
        history.ask();
        let world = history.world.clone();
        for ((namespace, name), slice) in &world.slices {
            history.engine.slice(namespace, name, slice);
        }
        world.services.iter().for_each(|(name, service)| history.engine.service(name, service));
        history.engine.set_zone(world.zone.as_deref());
        prop_assert_eq!(history.engine.changes(), vec![]);
    }
}
