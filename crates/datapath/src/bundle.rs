//! The order of changes within a bundle.

use openflow::{Flow, Message};

use crate::store::{Change, PackedGroup};

/// One step of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A flow's change.
    Flow(Change<Flow>),
    /// A group's change.
    Group(Change<PackedGroup>),
}

impl Step {
    /// What is sent to the switch for it.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Flow(change) => change.message(),
            Self::Group(change) => change.message(),
        }
    }
}

/// All changes in an order that the switch takes: a flow can only name a group that is there, and a group that goes takes
/// the flows along that name it.
#[must_use]
pub fn steps(flows: Vec<Change<Flow>>, groups: Vec<Change<PackedGroup>>) -> Vec<Step> {
    let (put_flows, delete_flows): (Vec<_>, Vec<_>) =
        flows.into_iter().partition(|change| matches!(change, Change::Put(_)));
    let (put_groups, delete_groups): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|change| matches!(change, Change::Put(_)));
    let steps = delete_flows.into_iter().map(Step::Flow).chain(put_groups.into_iter().map(Step::Group));
    let steps = steps.chain(put_flows.into_iter().map(Step::Flow));
    steps.chain(delete_groups.into_iter().map(Step::Group)).collect()
}
