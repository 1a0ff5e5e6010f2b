//! What there is to show of a pod: the daemon's numbers and the API's words.

use std::net::IpAddr;

use inspection::{Counters, Direction, Inspection, Pod, PodState, Problem, Reference};
use policy::spec::{Name, NetworkPolicySpec};
use serde::Serialize;

use super::objects::Specs;
use super::text;

/// The number that stands for all further rules too.
const LAST_RULE: u16 = 255;

/// A pod with a port.
#[derive(Debug, Serialize)]
pub(super) struct PodView {
    pub(super) node: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) port: String,
    pub(super) state: PodState,
    pub(super) counters: Counters,
    pub(super) ingress: Side,
    pub(super) egress: Side,
}

/// One direction.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    pub(super) isolated: bool,
    pub(super) dropped: Option<u64>,
    pub(super) policies: Vec<PolicyView>,
}

/// A policy that selects the pod.
#[derive(Debug, Serialize)]
pub(super) struct PolicyView {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) rules: Vec<RuleView>,
    pub(super) problems: Vec<Problem>,
}

/// A rule of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct RuleView {
    pub(super) number: u16,
    /// Whether it allows anything at present: it may match nobody, or be wrong.
    pub(super) in_force: bool,
    pub(super) packets: Option<u64>,
    /// What it says; `None`: the API was not asked.
    pub(super) text: Option<String>,
}

impl PodView {
    pub(super) fn new(inspection: &Inspection, pod: &Pod, specs: &Specs) -> Self {
        let side = |direction| {
            let isolation = pod.isolation(direction);
            let policies = isolation.policies.iter();
            let policies = policies.map(|policy| PolicyView::new(inspection, policy, direction, specs));
            Side { isolated: isolation.isolated, dropped: isolation.dropped, policies: policies.collect() }
        };
        Self {
            node: inspection.node.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            addresses: pod.addresses.clone(),
            port: pod.port.clone(),
            state: pod.state,
            counters: inspection.counters.clone(),
            ingress: side(Direction::Ingress),
            egress: side(Direction::Egress),
        }
    }

    pub(super) const fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl PolicyView {
    fn new(inspection: &Inspection, policy: &Reference, direction: Direction, specs: &Specs) -> Self {
        let Reference { namespace, name, id } = policy.clone();
        let in_force = inspection.policies.iter().find(|one| one.id == id);
        let in_force = in_force.map(|one| one.rules.as_slice()).unwrap_or_default();
        let spec = specs.get(&Name { namespace: namespace.clone(), name: name.clone() });
        let rules = match spec {
            None => in_force
                .iter()
                .map(|rule| RuleView {
                    number: rule.number,
                    in_force: true,
                    packets: rule.packets,
                    text: None,
                })
                .collect(),
            Some(spec) => texts(spec, direction)
                .into_iter()
                .zip(1..)
                .map(|(text, number)| {
                    let rule = in_force.iter().find(|rule| rule.number == number.min(LAST_RULE));
                    RuleView {
                        number,
                        in_force: rule.is_some(),
                        // One counter is that of many.
                        packets: rule.and_then(|rule| rule.packets).filter(|_| number <= LAST_RULE),
                        text: Some(text),
                    }
                })
                .collect(),
        };
        let other = match direction {
            Direction::Ingress => "spec.egress",
            Direction::Egress => "spec.ingress",
        };
        let invalid = inspection.invalid.iter();
        let problems = invalid
            .filter(|invalid| invalid.namespace == namespace && invalid.name == name)
            .flat_map(|invalid| invalid.problems.iter().filter(|one| !one.path.starts_with(other)).cloned())
            .collect();
        Self { namespace, name, id, rules, problems }
    }
}

fn texts(spec: &NetworkPolicySpec, direction: Direction) -> Vec<String> {
    match direction {
        Direction::Ingress => spec.ingress.iter().flatten().map(text::ingress).collect(),
        Direction::Egress => spec.egress.iter().flatten().map(text::egress).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inspection() -> Inspection {
        let side = |policies| json!({"isolated": true, "policies": policies, "dropped": 5});
        serde_json::from_value(json!({
            "node": "node-1", "tracks_sctp": false, "flows": 1, "identities": 1, "counters": {"state": "read"},
            "pods": [{"namespace": "a", "name": "x", "addresses": ["10.0.0.1"], "port": "kvs1", "state": "known",
                "ingress": side(json!([{"namespace": "a", "name": "p", "id": 7}])), "egress": side(json!([]))}],
            "policies": [{"id": 7, "namespace": "a", "name": "p", "direction": "ingress",
                "rules": [{"number": 1, "packets": 3}, {"number": 3, "packets": 4}]}],
            "invalid": [{"namespace": "a", "name": "p", "problems": [
                {"path": "spec.ingress[1].ports[0]", "message": "odd"}, {"path": "spec.egress[0]", "message": "odd"}]}],
        }))
        .unwrap()
    }

    #[test]
    fn rules_of_the_api_are_joined_with_counters_of_the_switch_by_their_numbers() {
        let inspection = inspection();
        let spec = json!({"ingress": [{}, {"ports": [{"port": 0}]}, {"ports": [{"port": 80}]}]});
        let name = Name { namespace: "a".into(), name: "p".into() };
        let specs = Specs::from([(name, serde_json::from_value(spec).unwrap())]);
        let view = PodView::new(&inspection, &inspection.pods[0], &specs);
        let policy = &view.ingress.policies[0];
        let rules: Vec<_> =
            policy.rules.iter().map(|rule| (rule.number, rule.in_force, rule.packets)).collect();
        assert_eq!(rules, [(1, true, Some(3)), (2, false, None), (3, true, Some(4))]);
        assert_eq!(policy.rules[2].text.as_deref(), Some("from anybody on TCP/80"));
        assert_eq!(policy.problems.len(), 1, "what is wrong with egress rules is no matter of ingress");
        assert_eq!(view.ingress.dropped, Some(5));
    }

    #[test]
    fn without_the_api_rules_have_numbers() {
        let inspection = inspection();
        let view = PodView::new(&inspection, &inspection.pods[0], &Specs::new());
        let rules = &view.ingress.policies[0].rules;
        assert_eq!(rules.iter().map(|rule| rule.number).collect::<Vec<_>>(), [1, 3]);
        assert!(rules.iter().all(|rule| rule.text.is_none() && rule.in_force));
    }
}
