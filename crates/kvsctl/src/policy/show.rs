//! `kvsctl policy show`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use inspection::{Counters, Direction, Inspection, PodState};
use policy::spec::Name;

use super::objects::{self, Specs};
use super::view::{PodView, PolicyView, RuleView, Side};
use crate::agents::Ask;
use crate::output::{self, line};
use crate::style::{bold, dim, green, red, yellow};

/// A pod.
#[derive(Args)]
pub(super) struct Which {
    /// The pod's namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Kubeconfig to read policies with; with --lab it is the lab's, in a pod the service account. Without any, rules
    /// are shown by their numbers
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// The pod
    pod: String,
}

/// Shows the pod, once for each port that it has.
pub(super) fn run(ask: &Ask, which: &Which, inspections: &[Inspection]) -> anyhow::Result<()> {
    let all =
        inspections.iter().flat_map(|inspection| inspection.pods.iter().map(move |pod| (inspection, pod)));
    let pods: Vec<_> =
        all.filter(|(_, pod)| pod.namespace == which.namespace && pod.name == which.pod).collect();
    ensure!(
        !pods.is_empty(),
        "no port of pod {}/{} on {}: is it on another node, on its host's network, or does its plugin wait?",
        which.namespace,
        which.pod,
        inspections.iter().map(|inspection| inspection.node.as_str()).collect::<Vec<_>>().join(", ")
    );
    let both = pods.iter().flat_map(|(_, pod)| Direction::ALL.map(|direction| pod.isolation(direction)));
    let names: BTreeSet<Name> = both
        .flat_map(|side| &side.policies)
        .map(|policy| Name { namespace: policy.namespace.clone(), name: policy.name.clone() })
        .collect();
    let specs = specs(ask, which, names);
    let views: Vec<PodView> =
        pods.iter().map(|(inspection, pod)| PodView::new(inspection, pod, &specs)).collect();
    if ask.json() {
        return output::json(&views);
    }
    views.iter().try_for_each(show)
}

/// What the API says of policies; that it says nothing is no reason to show nothing.
fn specs(ask: &Ask, which: &Which, names: BTreeSet<Name>) -> Specs {
    if names.is_empty() {
        return Specs::new();
    }
    let kubeconfig = ask.kubeconfig().or_else(|| which.kubeconfig.clone());
    objects::read(kubeconfig.as_deref(), names).unwrap_or_else(|error| {
        let note = yellow("note:");
        eprintln!("{note} rules are shown by their numbers alone: {}", crate::describe(&error));
        Specs::new()
    })
}

fn show(pod: &PodView) -> anyhow::Result<()> {
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    let name = bold(&format!("{}/{}", pod.namespace, pod.name));
    line(&format!("pod {name} on {}, port {}: {}", pod.node, pod.port, addresses.join(", ")))?;
    match pod.state {
        PodState::Known => {}
        PodState::Unknown => line(&yellow("the API has not told enough of this pod yet: it has no network"))?,
        PodState::Orphan => line(&yellow("the API has no such pod any more: it reaches its own node alone"))?,
    }
    if let Counters::Unavailable { why } = &pod.counters {
        line(&yellow(&format!("no counters: {why}")))?;
    }
    for direction in Direction::ALL {
        show_side(direction, pod.side(direction))?;
    }
    let counted = "Rules count packets of all pods of the node that the policy selects; neither replies are counted, nor what \
                   a pod and its own node exchange.";
    Ok(line(&dim(counted))?)
}

fn show_side(direction: Direction, side: &Side) -> anyhow::Result<()> {
    let title = bold(direction.as_str());
    if !side.isolated {
        return Ok(line(&format!("{title}: {}", green("not isolated")))?);
    }
    let dropped = match side.dropped {
        Some(0) => "no packet dropped".to_owned(),
        Some(1) => red("1 packet dropped"),
        Some(dropped) => red(&format!("{dropped} packets dropped")),
        None => dim("drops not known"),
    };
    let only = if side.policies.is_empty() { "nothing is allowed" } else { "only what these policies allow" };
    line(&format!("{title}: {}; {dropped}", yellow(only)))?;
    side.policies.iter().try_for_each(show_policy)
}

fn show_policy(policy: &PolicyView) -> anyhow::Result<()> {
    let name = bold(&format!("{}/{}", policy.namespace, policy.name));
    let nothing = if policy.rules.is_empty() { ": allows nothing" } else { "" };
    line(&format!("  {name}{nothing} {}", dim(&format!("(id {:#x})", policy.id))))?;
    output::table(&policy.rules.iter().map(row).collect::<Vec<_>>())?;
    for problem in &policy.problems {
        line(&yellow(&format!("    wrong: {}: {}", problem.path, problem.message)))?;
    }
    Ok(())
}

fn row(rule: &RuleView) -> Vec<String> {
    let packets = match (rule.in_force, rule.packets) {
        (false, _) => dim("allows nothing"),
        (true, Some(packets)) => format!("{packets} allowed"),
        (true, None) => "-".to_owned(),
    };
    vec![format!("    rule {}", rule.number), packets, rule.text.clone().unwrap_or_default()]
}
