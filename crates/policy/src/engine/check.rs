//! What is wrong with a policy, for those who enforce nothing.

use super::compile::{CidrSets, Compiler, Problem};
use super::selectors::Selectors;
use super::strings::Strings;
use crate::spec::NetworkPolicySpec;

/// What is wrong with a specification: what [`Engine::policy`](super::Engine::policy) says of it, without an engine.
#[must_use]
pub fn problems(spec: &NetworkPolicySpec) -> Vec<Problem> {
    let (mut strings, mut selectors, mut cidrs) =
        (Strings::default(), Selectors::default(), CidrSets::default());
    Compiler::new(&mut strings, &mut selectors, &mut cidrs).compile(spec).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::spec::{IngressRule, IntOrString, Name, PolicyPort};

    #[test]
    fn a_check_says_what_an_engine_says() {
        let port = PolicyPort {
            port: Some(IntOrString::Int(80)),
            end_port: Some(70),
            protocol: Some("ICMP".to_owned()),
        };
        let wrong = NetworkPolicySpec {
            policy_types: Some(vec!["Sideways".to_owned()]),
            ingress: Some(vec![IngressRule { ports: Some(vec![port]), ..IngressRule::default() }]),
            ..NetworkPolicySpec::default()
        };
        let name = Name { namespace: "a".into(), name: "b".into() };
        let said = problems(&wrong);
        assert!(said.len() >= 2, "{said:?}");
        assert_eq!(said, Engine::new().policy(&name, &wrong));
        assert_eq!(problems(&NetworkPolicySpec::default()), []);
    }
}
