//! The keys in `external_ids`. `docs/architecture.md` lists them for people.

/// On the bridge: the node's name.
pub const NODE: &str = "kvs-node";
/// On the bridge: the node's IPv4 pod CIDR.
pub const POD_CIDR_IPV4: &str = "kvs-pod-cidr-ipv4";
/// On the bridge: the node's IPv6 pod CIDR.
pub const POD_CIDR_IPV6: &str = "kvs-pod-cidr-ipv6";
/// On the bridge: the node's own IPv4 address, the pods' gateway.
pub const GATEWAY_IPV4: &str = "kvs-gateway-ipv4";
/// On the bridge: the node's own IPv6 address, the pods' gateway.
pub const GATEWAY_IPV6: &str = "kvs-gateway-ipv6";
/// On the bridge: MTU of pod interfaces, bytes. On an interface: the MTU that the plugin's configuration asks for instead.
pub const MTU: &str = "kvs-mtu";
/// On the bridge: the IPv4 address that was handed out last.
pub const LAST_IPV4: &str = "kvs-ipam-last-ipv4";
/// On the bridge: the IPv6 address that was handed out last.
pub const LAST_IPV6: &str = "kvs-ipam-last-ipv6";

/// On the root, by whoever starts `ovs-vswitchd` with `flow-restore-wait`: the daemon is to end that wait.
pub const FLOW_RESTORE: &str = "kvs-flow-restore";

/// On an interface: the pod's namespace.
pub const POD_NAMESPACE: &str = "kvs-pod-namespace";
/// On an interface: the pod's name.
pub const POD_NAME: &str = "kvs-pod-name";
/// On an interface: the pod's uid.
pub const POD_UID: &str = "kvs-pod-uid";
/// On an interface: the runtime's id of the container. Every port of ours has it, and no other port.
pub const CONTAINER_ID: &str = "kvs-container-id";
/// On an interface: the interface's name inside the pod.
pub const IFNAME: &str = "kvs-ifname";
/// On an interface: path of the pod's network namespace.
pub const NETNS: &str = "kvs-netns";
/// On an interface: MAC of the interface inside the pod.
pub const MAC: &str = "kvs-mac";
/// On an interface: the pod's IPv4 address.
pub const IPV4: &str = "kvs-ipv4";
/// On an interface: the pod's IPv6 address.
pub const IPV6: &str = "kvs-ipv6";
/// On an interface, by the daemon: the `ofport` whose flows are in the switch.
pub const PROGRAMMED: &str = "kvs-programmed";

/// The lock that the daemon holds exactly while it can program flows (RFC 7047 section 4.1.8). A lock's name is an
/// `<id>`, which has no hyphens (section 3.1).
pub const DAEMON_LOCK: &str = "k_vswitchd";

/// The lock that a plugin's STATUS holds while it asks for [`DAEMON_LOCK`], so that two do not take each other for the
/// daemon.
pub const STATUS_LOCK: &str = "k_vswitch_status";
