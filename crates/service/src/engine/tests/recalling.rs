//! Parts that an earlier engine made.

use std::collections::BTreeMap;

use super::build::*;
use crate::lb::*;

fn web(endpoints: std::ops::Range<u8>) -> crate::spec::Slice {
    slice("web", endpoints.map(|last| on("there", &format!("10.0.9.{last}"))).collect())
}

fn parts(node: &Node) -> BTreeMap<SetId, Parts> {
    let of = |(id, set): (&SetId, &Set)| match &set.backends {
        Backends::Endpoints(parts) => Some((*id, parts.clone())),
        Backends::Refuse | Backends::Drop => None,
    };
    node.tables.sets.iter().filter_map(of).collect()
}

#[test]
fn endpoints_stay_in_the_parts_that_an_earlier_engine_gave_them() {
    let mut node = Node::new();
    node.service("web", &service(&["10.96.0.1"]));
    for endpoints in [1..70, 1..80, 15..80, 15..90] {
        node.slice("web-1", &web(endpoints));
    }
    let recalled = |parts| {
        let mut again = Node::new();
        again.engine.recall(parts);
        again.engine.service(&name("web"), &service(&["10.96.0.1"]));
        again.slice("web-1", &web(15..90));
        again
    };
    let fresh = recalled(BTreeMap::new());
    assert_ne!(parts(&fresh), parts(&node), "or the test would show nothing");
    let again = recalled(parts(&node));
    assert_eq!(parts(&again), parts(&node));
}

#[test]
fn what_is_recalled_has_no_say_in_which_endpoints_there_are() {
    let mut node = Node::new();
    node.service("web", &service(&["10.96.0.1"]));
    node.slice("web-1", &web(1..80));
    let mut again = Node::new();
    again.engine.recall(parts(&node));
    again.engine.service(&name("web"), &service(&["10.96.0.1"]));
    again.slice("web-1", &web(200..203));
    assert_eq!(
        again.inside("10.96.0.1", 80),
        endpoints(&["10.0.9.200:8080", "10.0.9.201:8080", "10.0.9.202:8080"])
    );
}
