//! The ports that a pod declares.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::probe::{Probe, Protocol};

/// Protocol and port of every port that these containers of a pod declare, each once: two containers that declare one
/// port would fight for it in a real pod; a lab's server is there for both.
#[must_use]
pub fn declared_ports(pod: &Pod, of: impl Fn(&Container) -> bool) -> Vec<Probe> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).filter(|container| of(container));
    let declared = containers.flat_map(|container| container.ports.iter().flatten());
    let ports = declared.filter_map(|port| {
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(_) => return None,
        };
        Some(Probe { protocol, port: u16::try_from(port.container_port).ok()? })
    });
    ports.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a container does nothing: whether its image is called `pause`, wherever it is from and whatever its version.
#[must_use]
pub fn is_idle(container: &Container) -> bool {
    let image = container.image.as_deref().unwrap_or_default();
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split(':').next() == Some("pause")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_containers_that_are_meant_each_once() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [
            {"name": "a", "image": "registry.k8s.io/pause:3.10.1", "ports": [
                {"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]},
            {"name": "b", "image": "localhost:5000/pause@sha256:0", "ports": [
                {"containerPort": 80, "protocol": "TCP"}, {"containerPort": 9, "protocol": "SCTP"}]},
            {"name": "c", "image": "pause/server:1", "ports": [{"containerPort": 81}]},
        ]}}))
        .unwrap();
        let ports = |of: fn(&Container) -> bool| {
            declared_ports(&pod, of).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(ports(is_idle), ["TCP/80", "UDP/53", "SCTP/9"]);
        assert_eq!(ports(|_| true), ["TCP/80", "TCP/81", "UDP/53", "SCTP/9"]);
    }
}
