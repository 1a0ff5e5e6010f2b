//! A pod's status as a kubelet writes it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// Its sandbox is being made; the message says what went wrong last, if anything did.
    Creating(Option<String>),
    /// It runs at these addresses, since its sandbox of this id was made.
    Running { addresses: Vec<IpAddr>, sandbox: String },
    /// Its sandbox is there, and some of its servers are not.
    Broken { addresses: Vec<IpAddr>, sandbox: String, reason: String },
}

/// The status subresource for a pod on a node with these addresses.
pub(super) fn of(pod: &Pod, host: &[IpAddr], health: &Health, started: Timestamp) -> Value {
    let (phase, addresses, ready, message) = match health {
        Health::Creating(message) => ("Pending", &[][..], false, message.as_deref()),
        Health::Running { addresses, .. } => ("Running", &addresses[..], true, None),
        Health::Broken { addresses, reason, .. } => ("Running", &addresses[..], false, Some(reason.as_str())),
    };
    let ips = |list: &[IpAddr]| list.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>();
    let sandboxed = !matches!(health, Health::Creating(_));
    let condition = |kind: &str, holds: bool| {
        let mut condition = json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": Timestamp::now().to_string(),
        });
        if !holds && let (Some(message), Some(fields)) = (message, condition.as_object_mut()) {
            fields.insert("message".to_owned(), message.into());
        }
        condition
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    json!({"status": {
        "phase": phase,
        "hostIP": host.first(),
        "hostIPs": ips(host),
        "podIP": addresses.first(),
        "podIPs": ips(addresses),
        "startTime": started.to_string(),
        "conditions": [
            condition("PodReadyToStartContainers", sandboxed),
            condition("Initialized", true),
            condition("Ready", ready),
            condition("ContainersReady", ready),
            condition("PodScheduled", true),
        ],
        "containerStatuses": containers.map(|c| container(c, health, started)).collect::<Vec<_>>(),
    }})
}

fn container(container: &Container, health: &Health, started: Timestamp) -> Value {
    let image = container.image.as_deref().unwrap_or_default();
    let running = |sandbox: &str, ready: bool| {
        json!({
            "name": container.name, "image": image, "imageID": image, "restartCount": 0,
            "containerID": format!("kvs-lab://{sandbox}"), "ready": ready, "started": true,
            "state": {"running": {"startedAt": started.to_string()}},
        })
    };
    match health {
        Health::Creating(message) => json!({
            "name": container.name, "image": image, "imageID": "", "restartCount": 0,
            "ready": false, "started": false,
            "state": {"waiting": {"reason": "ContainerCreating", "message": message}},
        }),
        Health::Running { sandbox, .. } => running(sandbox, true),
        Health::Broken { sandbox, .. } => running(sandbox, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }))
        .unwrap()
    }

    fn ready(status: &Value) -> (&str, &str, bool) {
        let conditions = status["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        (
            status["status"]["phase"].as_str().unwrap(),
            ready["status"].as_str().unwrap(),
            status["status"]["containerStatuses"][0]["ready"].as_bool().unwrap(),
        )
    }

    #[test]
    fn a_pod_is_ready_when_it_runs_and_serves() {
        let host = ["172.30.0.11".parse().unwrap()];
        let addresses = vec!["10.244.1.2".parse().unwrap(), "fd00:10:244:1::2".parse().unwrap()];
        let sandbox = "abc".to_owned();
        let running = Health::Running { addresses: addresses.clone(), sandbox: sandbox.clone() };
        let status = of(&pod(), &host, &running, Timestamp::now());
        assert_eq!(ready(&status), ("Running", "True", true));
        assert_eq!(status["status"]["podIP"], "10.244.1.2");
        assert_eq!(status["status"]["podIPs"][1]["ip"], "fd00:10:244:1::2");
        assert_eq!(status["status"]["hostIP"], "172.30.0.11");

        let broken = Health::Broken { addresses, sandbox, reason: "port 80 is taken".into() };
        assert_eq!(ready(&of(&pod(), &host, &broken, Timestamp::now())), ("Running", "False", false));

        let creating = Health::Creating(Some("no".into()));
        let status = of(&pod(), &host, &creating, Timestamp::now());
        assert_eq!(ready(&status), ("Pending", "False", false));
        assert_eq!(status["status"]["containerStatuses"][0]["state"]["waiting"]["message"], "no");
        assert_eq!(status["status"]["podIP"], Value::Null);
    }
}
