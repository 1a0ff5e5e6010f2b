//! The example in `docs/policy.md` is what the programs make of it. `UPDATE_DOCS=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::PathBuf;

use agent::state::State;
use agent::view::{ClusterPod, Part, PodRef, ViewEvent};
use datapath::{Change, Table};
use ipam::PodPort;
use ovsdb::tables::Interface;
use ovsdb::{RowChange, Uuid};
use serde_json::Value;

/// Tables that policies have flows in.
const TABLES: [Table; 10] = [
    Table::Egress,
    Table::Identity,
    Table::NamespaceClass,
    Table::LabelsClass,
    Table::EgressCidr,
    Table::IngressCidr,
    Table::Verdict,
    Table::EgressEnd,
    Table::Ingress,
    Table::IngressEnd,
];

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md")
}

/// What stands between a fence of this kind and its end.
fn block<'a>(text: &'a str, kind: &str) -> &'a str {
    let (_, after) = text.split_once(&format!("```{kind}\n")).unwrap();
    after.split_once("```\n").unwrap().0
}

fn state() -> State {
    let mut state = State::new("node-1");
    let config = api::NodeConfig {
        name: "node-1".into(),
        cluster_cidr: "10.244.0.0/16".parse().unwrap(),
        pod_cidr: "10.244.1.0/24".parse().unwrap(),
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        overlay_type: api::OverlayType::Vxlan,
        overlay_ip: "192.0.2.1".parse().unwrap(),
        mtu: None,
        generation: None,
    };
    state.view(ViewEvent::Node(Box::new(config)));
    Part::ALL.into_iter().for_each(|part| state.view(ViewEvent::Synced(part)));
    state
}

fn view(state: &mut State, object: &Value) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let labels = serde_json::from_value(object["metadata"]["labels"].clone()).unwrap_or_default();
    let name = PodRef { namespace: text("/metadata/namespace"), name: text("/metadata/name") };
    state.view(match text("/kind").as_str() {
        "Namespace" => ViewEvent::Namespace(name.name, labels),
        "NetworkPolicy" => {
            ViewEvent::Policy(name, Box::new(serde_json::from_value(object["spec"].clone()).unwrap()))
        }
        "Pod" => ViewEvent::Pod(Box::new(ClusterPod {
            node: text("/spec/nodeName"),
            facts: policy::spec::Pod {
                namespace: name.namespace.clone(),
                labels,
                ports: Vec::new(),
                addresses: vec![text("/status/podIP").parse().unwrap()],
            },
            pod: name,
            ..ClusterPod::default()
        })),
        kind => panic!("the example has a {kind}"),
    });
}

fn db_port() -> RowChange<Interface> {
    let facts = PodPort {
        namespace: "shop".into(),
        name: "db-0".into(),
        uid: None,
        container_id: "c".into(),
        ifname: "eth0".into(),
        netns: String::new(),
        mac: [0x0a, 0x58, 10, 244, 1, 2],
        ipv4: Some([10, 244, 1, 2].into()),
        ipv6: None,
        mtu: None,
    };
    let row = Interface {
        name: facts.port_name(),
        ofport: Some(5),
        external_ids: facts.write(),
        ..Interface::default()
    };
    RowChange::Inserted { uuid: Uuid::from_bytes([1; 16]), row: row.into() }
}

fn flows(state: &mut State) -> Vec<(u8, String)> {
    state.compile();
    let changes = state.store().changes();
    let shown = changes.iter().filter_map(|change| match change {
        Change::Put(flow) => Some((flow.table, flow.to_string())),
        Change::Delete(_) => None,
    });
    let mut flows: Vec<_> = shown.filter(|(table, _)| TABLES.iter().any(|t| t.number() == *table)).collect();
    flows.sort();
    flows
}

#[test]
fn the_example_in_the_documents_is_what_the_programs_make_of_it() {
    let text = std::fs::read_to_string(document()).unwrap();
    let mut state = state();
    let without = flows(&mut state);
    let objects: Vec<Value> =
        block(&text, "yaml").split("---\n").map(|one| serde_saphyr::from_str(one).unwrap()).collect();
    objects.iter().for_each(|object| view(&mut state, object));
    state.interface(&db_port());
    for question in state.take_questions() {
        state.view(ViewEvent::UpToDate(question));
    }
    let with = flows(&mut state);
    let lines = with.iter().filter(|flow| !without.contains(flow)).map(|(_, flow)| format!("{flow}\n"));
    let lines: String = lines.collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let old = format!("```flows\n{}```\n", block(&text, "flows"));
        std::fs::write(document(), text.replace(&old, &format!("```flows\n{lines}```\n"))).unwrap();
    } else {
        assert_eq!(block(&text, "flows"), lines, "run it with UPDATE_DOCS=1, and read what stands around it");
    }
}
