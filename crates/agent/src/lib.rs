//! What the node daemon does: the cluster view, the switch, the host.
