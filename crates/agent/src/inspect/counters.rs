//! Counters of the switch to what they count.

use std::collections::HashMap;

use datapath::{Cookie, Table};
use inspection::Inspection;
use openflow::{FlowRequest, FlowStats};
use ovs::openflow::{Session, SessionError};
use policy::rules::{Direction, PolicyId};

/// Reads the tables in which policies allow and drop, and writes what they counted into `inspection`: all of it or
/// nothing.
pub(super) async fn fill(inspection: &mut Inspection, session: &Session) -> Result<(), SessionError> {
    let mut flows = Vec::new();
    for table in [Table::Verdict, Table::EgressDrop, Table::IngressDrop] {
        flows.extend(session.flows(FlowRequest { table: table.number(), ..FlowRequest::default() }).await?);
    }
    write(inspection, &flows);
    Ok(())
}

fn write(inspection: &mut Inspection, flows: &[FlowStats]) {
    let mut packets: HashMap<Cookie, u64> = HashMap::new();
    for found in flows {
        let counted = packets.entry(Cookie(found.flow.cookie)).or_default();
        *counted = counted.saturating_add(found.stats.packets.unwrap_or(0));
    }
    let counted = |cookie: Cookie| Some(packets.get(&cookie).copied().unwrap_or(0));
    for policy in &mut inspection.policies {
        for rule in &mut policy.rules {
            rule.packets = counted(Cookie::rule(PolicyId(policy.id), rule.number.saturating_sub(1)));
        }
    }
    for pod in &mut inspection.pods {
        pod.ingress.dropped = counted(Cookie::isolation(&pod.port, Direction::Ingress));
        pod.egress.dropped = counted(Cookie::isolation(&pod.port, Direction::Egress));
    }
}

#[cfg(test)]
mod tests {
    use inspection::{Counters, Isolation, Pod, PodState, Policy, Rule};
    use openflow::{Flow, Match, Stats};

    use super::*;

    fn counted(cookie: Cookie, packets: u64) -> FlowStats {
        let stats = Stats { packets: Some(packets), ..Stats::default() };
        FlowStats { flow: Flow::new(60, 1, Match::new()).cookie(cookie.0), stats }
    }

    #[test]
    fn a_rules_flows_are_summed_and_drops_told_by_direction() {
        let pod = Pod {
            namespace: "a".into(),
            name: "x".into(),
            addresses: Vec::new(),
            port: "kvs1".into(),
            state: PodState::Known,
            ingress: Isolation::default(),
            egress: Isolation::default(),
        };
        let rule = |number| Rule { number, packets: None };
        let mut inspection = Inspection {
            node: "n".into(),
            tracks_sctp: None,
            flows: 0,
            identities: 0,
            services: None,
            counters: Counters::Read,
            pods: vec![pod],
            policies: vec![Policy {
                id: 7,
                namespace: "a".into(),
                name: "p".into(),
                direction: inspection::Direction::Ingress,
                rules: vec![rule(1), rule(2), rule(255)],
            }],
            invalid: Vec::new(),
        };
        let id = PolicyId(7);
        let flows = [
            counted(Cookie::rule(id, 0), 3),
            counted(Cookie::rule(id, 0), 4),
            counted(Cookie::rule(id, 300), 5),
            counted(Cookie::policy(id), 100),
            counted(Cookie::rule(PolicyId(8), 1), 100),
            counted(Cookie::isolation("kvs1", Direction::Egress), 9),
            counted(Cookie::isolation("kvs2", Direction::Ingress), 100),
        ];
        write(&mut inspection, &flows);
        let packets: Vec<_> = inspection.policies[0].rules.iter().map(|rule| rule.packets).collect();
        assert_eq!(packets, [Some(7), Some(0), Some(5)]);
        let pod = &inspection.pods[0];
        assert_eq!((pod.ingress.dropped, pod.egress.dropped), (Some(0), Some(9)));
    }
}
