//! Who wants flows and groups.

use std::net::IpAddr;

use ipnet::IpNet;
use ovsdb::Uuid;
use policy::rules::{Direction, LabelsId, NamespaceId, PolicyId};
use service::lb::{Frontend, SetId};

/// Who wants a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// This node.
    Node,
    /// The pod behind this interface.
    Port(Uuid),
    /// Another node.
    Remote(String),
    /// The pods' way to this node's own addresses.
    OwnNode,
    /// The policies of the pod behind this interface.
    Chain(Uuid, Direction),
    /// A pod's address, anywhere in the cluster.
    Address(IpAddr),
    /// The class of a namespace.
    Namespace(NamespaceId),
    /// The class of a set of labels.
    Labels(LabelsId),
    /// The class of a CIDR.
    Cidr(Direction, IpNet),
    /// What a policy allows.
    Policy(PolicyId),
    /// The pods' way to node ports at this node's addresses.
    NodePorts,
    /// The groups that hash.
    Hashes,
    /// Where a Service is.
    Frontend(Frontend),
    /// Endpoints of a Service.
    Set(SetId),
}
