//! A lab whose namespaces, pods and policies the oracle knows too.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::rules::Protocol;
use policy::spec::{Labels, Name, NamedPort, Pod};
use policy_oracle::Cluster;
use serde_json::{Value, json};

use crate::{Api, IMAGE, Lab, Port};

/// What every pod of a stage serves.
const SERVED: [(&str, u16); 7] =
    [("TCP", 80), ("TCP", 81), ("TCP", 82), ("UDP", 80), ("UDP", 81), ("SCTP", 80), ("SCTP", 81)];

/// A pod to come.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// `namespace/name`; the name alone is unique too.
    pub name: &'static str,
    /// The number of its node.
    pub node: u16,
    /// Its labels.
    pub labels: &'static [(&'static str, &'static str)],
    /// Names of some of its ports, one list per container.
    pub ports: &'static [&'static [(&'static str, &'static str, u16)]],
    /// Whether it is on its node's network.
    pub on_host: bool,
    /// How many seconds its containers go on when it is told to end. A simulated pod ends at once.
    pub lingers: u8,
}

/// A lab and what the oracle is to know of it.
#[derive(Debug)]
pub struct Stage {
    /// The lab.
    pub lab: Lab,
    /// Its API.
    pub api: Api,
    /// What is in it. Pods on the network of a node are not.
    pub cluster: Cluster,
    /// The pods, those on a node's network included.
    pub(crate) cast: BTreeMap<String, Cast>,
}

/// Labels from pairs.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// `namespace/name`.
#[must_use]
pub fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap();
    Name { namespace: namespace.to_owned(), name: name.to_owned() }
}

fn object(version: &str, kind: &str, name: &str, labels: &Labels) -> Value {
    let mut metadata = json!({"name": name, "labels": labels});
    if let Some((namespace, name)) = name.split_once('/') {
        metadata["name"] = name.into();
        metadata["namespace"] = namespace.into();
    }
    json!({"apiVersion": version, "kind": kind, "metadata": metadata})
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn policy_object(name: &str, spec: &Value) -> Value {
    let mut policy = object("networking.k8s.io/v1", "NetworkPolicy", name, &Labels::new());
    policy["spec"] = spec.clone();
    policy
}

impl Cast {
    fn key(&self) -> Name {
        name(self.name)
    }

    fn manifest(&self, labels: &Labels) -> Value {
        let named = |ports: &[(&str, &str, u16)]| -> Vec<Value> {
            let ports = ports.iter();
            ports.map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "containerPort": port})).collect()
        };
        let mut containers: Vec<Value> =
            self.ports.iter().map(|ports| json!({"image": IMAGE, "ports": named(ports)})).collect();
        let served: Vec<Value> = SERVED
            .iter()
            .map(|(protocol, port)| json!({"protocol": protocol, "containerPort": port}))
            .collect();
        containers.push(json!({"image": IMAGE, "ports": served}));
        for (index, container) in containers.iter_mut().enumerate() {
            container["name"] = format!("c{index}").into();
            if self.lingers > 0 {
                container["lifecycle"] = json!({"preStop": {"sleep": {"seconds": self.lingers}}});
            }
        }
        let mut pod = object("v1", "Pod", self.name, labels);
        pod["spec"] = json!({
            "nodeName": format!("node-{}", self.node), "hostNetwork": self.on_host, "containers": containers,
        });
        pod
    }

    fn pod(&self, labels: Labels, addresses: Vec<IpAddr>) -> Pod {
        let ports = self.ports.iter().flat_map(|ports| ports.iter());
        let protocol = |text: &str| match text {
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let ports = ports.map(|(name, of, port)| NamedPort {
            name: (*name).to_owned(),
            protocol: protocol(of),
            port: *port,
        });
        Pod { namespace: self.key().namespace, labels, ports: ports.collect(), addresses }
    }
}

impl Stage {
    /// Brings up a lab of so many nodes with these namespaces and pods.
    #[must_use]
    pub fn up(nodes: u16, namespaces: &[(&str, &[(&str, &str)])], cast: &[Cast]) -> Self {
        let lab = Lab::up(&["--nodes", &nodes.to_string()]);
        let mut stage = Self { api: Api::new(&lab), lab, cluster: Cluster::default(), cast: BTreeMap::new() };
        for (name, pairs) in namespaces {
            stage.namespace(name, labels(pairs));
        }
        stage.enter(cast);
        stage
    }

    /// A namespace comes or gets other labels. The API adds its name to them.
    pub fn namespace(&mut self, name: &str, mut labels: Labels) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        self.lab.apply(&object("v1", "Namespace", name, &labels));
        // Without one there are no pods.
        if self.lab.is_real() {
            self.lab.until("the namespace to have an account", || self.api.has_account(name));
        }
        self.cluster.namespaces.insert(name.to_owned(), labels);
    }

    /// Pods come, and run when this returns.
    pub fn enter(&mut self, cast: &[Cast]) {
        let manifests: Vec<Value> = cast.iter().map(|pod| pod.manifest(&labels(pod.labels))).collect();
        self.lab.apply(&list(&manifests));
        self.cast.extend(cast.iter().map(|pod| (pod.name.to_owned(), pod.clone())));
        self.lab.wait_for_pods(u64::try_from(self.cast.len()).unwrap());
        for pod in cast.iter().filter(|pod| !pod.on_host) {
            let port = self.port(pod.name);
            self.cluster.pods.insert(pod.key(), pod.pod(labels(pod.labels), port.addresses().to_vec()));
        }
    }

    /// Pods go, and are gone when this returns.
    pub fn leave(&mut self, names: &[&str]) {
        let gone: Vec<Cast> = names.iter().map(|name| self.cast.remove(*name).unwrap()).collect();
        self.lab.delete(&list(&gone.iter().map(|pod| pod.manifest(&labels(pod.labels))).collect::<Vec<_>>()));
        self.lab.wait_for_pods(u64::try_from(self.cast.len()).unwrap());
        for pod in gone {
            let Name { namespace, name } = pod.key();
            self.lab.until("the pod to be gone", || !self.api.has_pod(&namespace, &name));
            self.cluster.pods.remove(&pod.key());
        }
    }

    /// A pod gets other labels.
    pub fn relabel(&mut self, name: &str, labels: &Labels) {
        self.relabel_all([(name, labels.clone())]);
    }

    /// Pods get other labels.
    pub fn relabel_all<'a>(&mut self, pods: impl IntoIterator<Item = (&'a str, Labels)>) {
        let pods: Vec<_> = pods.into_iter().collect();
        self.lab.apply(&list(
            &pods.iter().map(|(pod, labels)| self.cast[*pod].manifest(labels)).collect::<Vec<_>>(),
        ));
        for (pod, labels) in pods {
            self.cluster.pods.get_mut(&name(pod)).unwrap().labels = labels;
        }
    }

    /// A policy comes or changes.
    pub fn policy(&mut self, of: &str, spec: &Value) {
        self.lab.apply(&policy_object(of, spec));
        self.cluster.policies.insert(name(of), serde_json::from_value(spec.clone()).unwrap());
    }

    /// These policies are in force, and no others.
    pub fn policies(&mut self, policies: &[(&str, Value)]) {
        for (name, spec) in policies {
            self.policy(name, spec);
        }
        let stays: Vec<Name> = policies.iter().map(|(new, _)| name(new)).collect();
        self.withdraw_all_but(&stays);
    }

    /// Those of the policies that the API takes are in force, and no others. Returns how many it refused.
    pub fn policies_as_far_as_possible(&mut self, policies: &[(&str, Value)]) -> usize {
        let mut taken = Vec::new();
        for (of, spec) in policies {
            if self.lab.try_apply(&policy_object(of, spec)) {
                self.cluster.policies.insert(name(of), serde_json::from_value(spec.clone()).unwrap());
                taken.push(name(of));
            }
        }
        self.withdraw_all_but(&taken);
        policies.len() - taken.len()
    }

    fn withdraw_all_but(&mut self, stays: &[Name]) {
        let gone: Vec<Name> =
            self.cluster.policies.keys().filter(|old| !stays.contains(old)).cloned().collect();
        let manifests: Vec<Value> = gone
            .iter()
            .map(|name| policy_object(&format!("{}/{}", name.namespace, name.name), &json!({})))
            .collect();
        if !manifests.is_empty() {
            self.lab.delete(&list(&manifests));
        }
        for name in gone {
            self.cluster.policies.remove(&name);
        }
    }

    /// The port of a pod.
    #[must_use]
    pub fn port(&self, pod: &str) -> Port {
        self.lab.node(self.cast[pod].node).port(&name(pod).name)
    }

    /// An address of a pod.
    #[must_use]
    pub fn address(&self, pod: &str, ipv4: bool) -> IpAddr {
        let addresses = &self.cluster.pods[&name(pod)].addresses;
        *addresses.iter().find(|address| address.is_ipv4() == ipv4).unwrap()
    }

    /// A block of addresses around a pod's, as a policy writes it. IPv4 lengths; for IPv6 96 is added.
    #[must_use]
    pub fn block(&self, pod: &str, ipv4: bool, length: u8) -> String {
        let length = if ipv4 { length } else { length + 96 };
        ipnet::IpNet::new(self.address(pod, ipv4), length).unwrap().trunc().to_string()
    }
}
