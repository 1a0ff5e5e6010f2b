use inspection::{Direction, PodState, Reference};
use policy::spec::{IngressRule, NetworkPolicySpec};

use super::super::tests::{deny_all, inserted, pod, pod_row, policy, ready, settle};
use crate::view::ViewEvent;

fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(|one| format!("{}/{}", one.namespace, one.name)).collect()
}

#[test]
fn a_pod_is_shown_with_the_policies_that_select_it_in_each_direction() {
    let mut state = ready();
    let allow = NetworkPolicySpec {
        ingress: Some(vec![IngressRule::default(), IngressRule::default()]),
        ..NetworkPolicySpec::default()
    };
    state.view(ViewEvent::Policy(policy("deny"), deny_all("Ingress")));
    state.view(ViewEvent::Policy(policy("allow"), Box::new(allow)));
    state.interface(&inserted(5, pod_row(5, Some(5), None)));
    settle(&mut state);
    let inspection = state.inspection();
    let pod = &inspection.pods[0];
    assert_eq!((pod.name.as_str(), pod.state), ("pod-5", PodState::Known));
    assert_eq!(names(&pod.ingress.policies), ["default/allow", "default/deny"]);
    assert!(pod.ingress.isolated && !pod.egress.isolated && pod.egress.policies.is_empty());
    let rules = |name: &str| -> Vec<u16> {
        let found = inspection.policies.iter().find(|policy| policy.name == name).unwrap();
        assert_eq!(found.direction, Direction::Ingress);
        assert!(pod.ingress.policies.iter().any(|reference| reference.id == found.id));
        found.rules.iter().map(|rule| rule.number).collect()
    };
    assert_eq!((rules("allow"), rules("deny")), (vec![1, 2], vec![]));
    assert_eq!((state.policies(), state.identities()), (2, 1));
    state.view(ViewEvent::PolicyGone(policy("allow")));
    state.view(ViewEvent::PodGone(super::super::tests::pod(6).pod));
    settle(&mut state);
    assert_eq!((state.policies(), state.identities()), (1, 1));
}

#[test]
fn ports_whose_pods_are_not_known_are_told_apart() {
    let mut state = ready();
    state.interface(&inserted(8, pod_row(8, Some(8), None)));
    state.interface(&inserted(9, pod_row(9, Some(9), Some(9))));
    settle(&mut state);
    let states: Vec<_> = state.inspection().pods.iter().map(|pod| (pod.state, pod.egress.isolated)).collect();
    assert_eq!(states, [(PodState::Unknown, true), (PodState::Orphan, true)]);
    state.view(ViewEvent::Pod(Box::new(pod(8))));
    settle(&mut state);
    assert_eq!(state.inspection().pods[0].state, PodState::Known);
}

#[test]
fn an_invalid_policy_is_shown_with_what_is_wrong_whether_or_not_it_selects_a_pod() {
    let mut state = ready();
    state.view(ViewEvent::Policy(policy("odd"), deny_all("Sideways")));
    settle(&mut state);
    let inspection = state.inspection();
    assert_eq!(inspection.policies, []);
    assert_eq!(inspection.invalid[0].name, "odd");
    assert_eq!(inspection.invalid[0].problems[0].path, "spec.policyTypes[0]");
    assert_eq!(state.policy_problems(), 1);
}
