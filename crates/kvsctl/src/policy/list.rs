//! `kvsctl policy list`.

use std::collections::{BTreeMap, BTreeSet};

use inspection::{Counters, Direction, Inspection, Problem};
use serde::Serialize;

use crate::agents::Ask;
use crate::output;
use crate::style::{bold, red, yellow};

/// A policy on all nodes that were asked.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Row {
    namespace: String,
    name: String,
    directions: BTreeSet<Direction>,
    /// Pods that it selects.
    pods: usize,
    /// `None`: a switch could not be asked.
    packets: Option<u64>,
    problems: Vec<Problem>,
}

/// Shows the policies.
pub(super) fn run(ask: &Ask, inspections: &[Inspection]) -> anyhow::Result<()> {
    let rows = rows(inspections);
    if ask.json() {
        return output::json(&rows);
    }
    let header = ["NAMESPACE", "NAME", "DIRECTIONS", "PODS", "PACKETS ALLOWED", "PROBLEMS"];
    let mut table = vec![header.map(bold).to_vec()];
    for row in &rows {
        let directions: Vec<&str> = row.directions.iter().map(|direction| direction.as_str()).collect();
        table.push(vec![
            row.namespace.clone(),
            row.name.clone(),
            if directions.is_empty() { "-".to_owned() } else { directions.join(",") },
            row.pods.to_string(),
            row.packets.map_or_else(|| "-".to_owned(), |packets| packets.to_string()),
            if row.problems.is_empty() { String::new() } else { red(&row.problems.len().to_string()) },
        ]);
    }
    output::table(&table)?;
    for row in &rows {
        for problem in &row.problems {
            let text = format!("{}/{}: {}: {}", row.namespace, row.name, problem.path, problem.message);
            output::line(&yellow(&text))?;
        }
    }
    for inspection in inspections {
        if let Counters::Unavailable { why } = &inspection.counters {
            output::line(&yellow(&format!("{}: no counters: {why}", inspection.node)))?;
        }
    }
    Ok(())
}

fn rows(inspections: &[Inspection]) -> Vec<Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut row = |namespace: &str, name: &str, change: &mut dyn FnMut(&mut Row)| {
        let key = (namespace.to_owned(), name.to_owned());
        change(rows.entry(key).or_insert_with(|| Row {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            packets: Some(0),
            ..Row::default()
        }));
    };
    for inspection in inspections {
        for policy in &inspection.policies {
            let counted = inspection.counters == Counters::Read;
            let packets: u64 = policy.rules.iter().filter_map(|rule| rule.packets).sum();
            row(&policy.namespace, &policy.name, &mut |row| {
                row.directions.insert(policy.direction);
                row.packets = row.packets.filter(|_| counted).map(|sum| sum.saturating_add(packets));
            });
        }
        for pod in &inspection.pods {
            let both = Direction::ALL.iter().flat_map(|direction| &pod.isolation(*direction).policies);
            let selecting: BTreeSet<(&str, &str)> =
                both.map(|policy| (policy.namespace.as_str(), policy.name.as_str())).collect();
            for (namespace, name) in selecting {
                row(namespace, name, &mut |row| row.pods += 1);
            }
        }
        // Every node knows of all.
        for invalid in &inspection.invalid {
            row(&invalid.namespace, &invalid.name, &mut |row| row.problems.clone_from(&invalid.problems));
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, packets: Option<u64>) -> Inspection {
        let reference = json!({"namespace": "a", "name": "p", "id": 1});
        let side = json!({"isolated": true, "policies": [reference], "dropped": null});
        let counters = match packets {
            Some(_) => json!({"state": "read"}),
            None => json!({"state": "unavailable", "why": "no switch"}),
        };
        let policy = |id: u32, direction: &str| {
            json!({"id": id, "namespace": "a", "name": "p", "direction": direction,
                "rules": [{"number": 1, "packets": packets}]})
        };
        let inspection = json!({
            "node": name, "tracks_sctp": true, "flows": 1, "identities": 1, "counters": counters,
            "pods": [{"namespace": "a", "name": "x", "addresses": ["10.0.0.1"], "port": "kvs1", "state": "known",
                "ingress": side, "egress": side}],
            "policies": [policy(1, "ingress"), policy(2, "egress")],
            "invalid": [{"namespace": "b", "name": "odd", "problems": [{"path": "spec", "message": "odd"}]}],
        });
        serde_json::from_value(inspection).unwrap()
    }

    #[test]
    fn pods_and_packets_of_all_nodes_are_summed_and_problems_are_not() {
        let rows = rows(&[node("1", Some(3)), node("2", Some(4))]);
        let [policy, invalid] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((policy.name.as_str(), policy.pods, policy.packets), ("p", 2, Some(14)));
        assert_eq!(policy.directions.len(), 2);
        assert_eq!((invalid.name.as_str(), invalid.pods, invalid.problems.len()), ("odd", 0, 1));
    }

    #[test]
    fn a_sum_without_one_nodes_counters_is_none() {
        assert_eq!(rows(&[node("1", Some(3)), node("2", None)])[0].packets, None);
    }
}
