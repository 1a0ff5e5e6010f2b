//! A node: containerd and the kubelet, under the paths that Kubernetes expects of a machine.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::pki::{Authority, Endpoint};
use crate::programs::{self, Programs};
use crate::{Error, Invocation, write, write_json};

/// Folder that containerd mounts overlays below: it must not be on one itself.
pub const CONTAINERD_ROOT: &str = "/var/lib/containerd";
/// The kubelet's folder, which pods' volumes are below.
pub const KUBELET_ROOT: &str = "/var/lib/kubelet";
/// Where network plugins are.
pub const CNI_BIN: &str = "/opt/cni/bin";
/// Where their configurations are.
pub const CNI_CONF: &str = "/etc/cni/net.d";
/// Containerd's socket.
pub const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// What a node is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Folder for its keys and configurations, as it sees it.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// Its addresses, the preferred one first.
    pub addresses: Vec<IpAddr>,
    /// URL of the API.
    pub api: String,
    /// Address of the cluster's name server.
    pub dns: Option<IpAddr>,
    /// Its control group, from the root of the hierarchy.
    pub cgroup: String,
    /// The image of sandboxes, which is there already.
    pub sandbox_image: String,
}

/// Containerd and the kubelet, in the order of starting.
///
/// # Errors
/// When keys or configurations cannot be written.
pub fn programs(plan: &Plan, programs: &Programs, authority: &Authority) -> Result<[Invocation; 2], Error> {
    Ok([containerd(plan)?, kubelet(plan, programs, authority)?])
}

/// The command that imports an image's archive. It runs on the node, when containerd answers.
#[must_use]
pub fn import(archive: &Path) -> Invocation {
    let words = ["--address", CONTAINERD, "--namespace", "k8s.io", "images", "import"];
    let args = words.map(str::to_owned).into_iter();
    Invocation::new("ctr", programs::system("ctr"), args.chain([archive.display().to_string()]))
}

fn containerd(plan: &Plan) -> Result<Invocation, Error> {
    let path = plan.folder.join("containerd.toml");
    let config = format!(
        r#"version = 2
root = "{CONTAINERD_ROOT}"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  # A machine in a container may not lower its processes' scores.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_BIN}"
    conf_dir = "{CNI_CONF}"
"#,
        image = plan.sandbox_image
    );
    write(&path, config)?;
    let config = ["--config".to_owned(), path.display().to_string()];
    Ok(Invocation::new("containerd", programs::system("containerd"), config))
}

fn kubelet(plan: &Plan, programs: &Programs, authority: &Authority) -> Result<Invocation, Error> {
    let server = authority.server(&format!("kubelet-{}", plan.name), &[&plan.name], &plan.addresses)?;
    let kubeconfig = plan.folder.join("kubelet.conf");
    let endpoint = Endpoint { server: &plan.api, server_name: None };
    let user = format!("system:node:{}", plan.name);
    authority.kubeconfig(&kubeconfig, endpoint, &user, Some("system:nodes"))?;
    let path = plan.folder.join("kubelet.yaml");
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority.certificate_file()},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": server.certificate,
        "tlsPrivateKeyFile": server.key,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "clusterDomain": "cluster.local",
        "clusterDNS": plan.dns.iter().collect::<Vec<_>>(),
        "resolvConf": "/etc/resolv.conf",
        // Control groups as the machine at hand has them, below one of the node's own.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": plan.cgroup,
        "failCgroupV1": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "oomScoreAdj": 0,
        // The host's packet filter is the network plugin's and nobody else's.
        "makeIPTablesUtilChains": false,
        // The disk is everybody's: its being full is not this node's doing.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "serializeImagePulls": true,
    });
    write_json(&path, &config)?;
    let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
    let arguments = [
        format!("--config={}", path.display()),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--root-dir={KUBELET_ROOT}"),
        format!("--hostname-override={}", plan.name),
        format!("--node-ip={}", addresses.join(",")),
    ];
    Ok(Invocation::new("kubelet", programs.own("kubelet"), arguments))
}
