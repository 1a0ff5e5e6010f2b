//! What a node's daemon says of its policies, as values: `k-vswitchd` answers `GET /policies` with an [`Inspection`] as
//! JSON, and `kvsctl` reads it. What it says of Services is in [`services`].
//!
//! Counters are `None` where the switch could not be asked; [`Inspection::counters`] then says why. They count packets
//! that policies were asked about: not replies, and not what passes unasked (docs/pipeline.md, table egress). A counter
//! begins anew when its flow is changed.

pub mod services;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Its name.
    pub node: String,
    /// Whether the datapath tells SCTP associations apart by their ports; `None` before the switch has been asked.
    pub tracks_sctp: Option<bool>,
    /// Flows that the switch should have.
    pub flows: usize,
    /// Addresses of pods, of the whole cluster.
    pub identities: usize,
    /// Services that the node's bridge is the proxy of; `None`: of none, that is somebody else's work.
    #[serde(default)]
    pub services: Option<usize>,
    /// Where the counters are from.
    pub counters: Counters,
    /// A pod for each port.
    pub pods: Vec<Pod>,
    /// The policies that select any of these pods. One may be there several times in a direction: once for each way in
    /// which the pods resolve the ports that it names.
    pub policies: Vec<Policy>,
    /// Policies of the whole cluster in which something is wrong.
    pub invalid: Vec<Invalid>,
}

/// Where counters are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Counters {
    /// From the switch.
    Read,
    /// There are none.
    Unavailable {
        /// Why, and what to look at.
        why: String,
    },
}

/// A pod with a port on the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Name of its port.
    pub port: String,
    /// Whether the daemon knows what isolates it.
    pub state: PodState,
    /// What comes to it.
    pub ingress: Isolation,
    /// What it sends.
    pub egress: Isolation,
}

/// What a daemon knows of the pod behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodState {
    /// What the API says; where its object is gone since, what it last said.
    Known,
    /// Not enough yet: it has no network until the API has told of it and of the policies there are.
    Unknown,
    /// Nothing any more: an earlier daemon knew it, and the API does not. It reaches its own node alone.
    Orphan,
}

/// One direction of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Whether only what policies allow passes.
    pub isolated: bool,
    /// Those policies.
    pub policies: Vec<Reference>,
    /// Packets dropped because none of them allowed them.
    pub dropped: Option<u64>,
}

/// A policy that selects a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its id in the switch: the value of the register `policy`, and part of its flows' cookies.
    pub id: u32,
}

/// Which way packets go, seen from the pod that is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To it.
    Ingress,
    /// From it.
    Egress,
}

/// One direction of a policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its id in the switch.
    pub id: u32,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The direction.
    pub direction: Direction,
    /// Those of its rules that allow something at present, and those that have.
    pub rules: Vec<Rule>,
}

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its number within the policy's direction, from 1. 255 stands for all from the 255th on.
    pub number: u16,
    /// Packets that it allowed, of all pods of the node that the policy selects. Those that several rules allow, one of
    /// them counts.
    pub packets: Option<u64>,
}

/// A policy in which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is wrong. It allows nothing; the policy isolates all the same.
    pub problems: Vec<Problem>,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where, as in `spec.ingress[0].ports[1].endPort`.
    pub path: String,
    /// What, and what to do.
    pub message: String,
}

impl Pod {
    /// One direction.
    #[must_use]
    pub const fn isolation(&self, direction: Direction) -> &Isolation {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `ingress` or `egress`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let unavailable = Counters::Unavailable { why: "no switch".to_owned() };
        for counters in [Counters::Read, unavailable] {
            let text = serde_json::to_string(&counters).unwrap();
            assert_eq!(serde_json::from_str::<Counters>(&text).unwrap(), counters);
        }
        let rule = Rule { number: 1, packets: None };
        assert_eq!(serde_json::to_string(&rule).unwrap(), r#"{"number":1,"packets":null}"#);
        assert_eq!(serde_json::to_string(&PodState::Orphan).unwrap(), r#""orphan""#);
    }
}
