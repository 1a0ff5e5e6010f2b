//! The control plane: one of each program, on one machine.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::pki::{Authority, Endpoint};
use crate::programs::{self, Programs};
use crate::{Error, Invocation};

/// Where the parts of the control plane find each other's data.
const ETCD: &str = "http://127.0.0.1:2379";

/// What the control plane is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Folder for data and keys.
    pub folder: PathBuf,
    /// Addresses of the API, the preferred one first.
    pub addresses: Vec<IpAddr>,
    /// Port of the API.
    pub port: u16,
    /// Networks of pods, the preferred family first.
    pub cluster_cidrs: Vec<IpNet>,
    /// Networks of Services, in the same order.
    pub service_cidrs: Vec<IpNet>,
    /// Prefix lengths of nodes' pod networks, IPv4 and IPv6.
    pub node_prefixes: (u8, u8),
}

impl Plan {
    /// URL of the API inside the cluster.
    #[must_use]
    pub fn url(&self) -> String {
        match self.addresses.first() {
            Some(IpAddr::V6(address)) => format!("https://[{address}]:{}", self.port),
            Some(address) => format!("https://{address}:{}", self.port),
            None => format!("https://localhost:{}", self.port),
        }
    }
}

/// An address of a network of Services, counted from 1 as the API server does: its own is the first, and never that of the network,
/// which is a host's in IPv6.
#[must_use]
pub fn service_address(net: IpNet, number: usize) -> Option<IpAddr> {
    net.hosts().filter(|host| *host != net.network()).nth(number.checked_sub(1)?)
}

/// Etcd and the API, in the order of starting: the API takes its time to answer.
///
/// # Errors
/// When keys cannot be written.
pub fn api(plan: &Plan, programs: &Programs, authority: &Authority) -> Result<[Invocation; 2], Error> {
    let data = plan.folder.join("etcd");
    let etcd = [
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:2380".to_owned(),
        // The cluster's life is short, and disks are shared.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];

    let mut addresses = plan.addresses.clone();
    // The API's own Service has the first address of each network of Services.
    addresses.extend(plan.service_cidrs.iter().filter_map(|net| service_address(*net, 1)));
    addresses.push(IpAddr::from([127, 0, 0, 1]));
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let server = authority.server("apiserver", &[names.as_slice(), &["localhost"]].concat(), &addresses)?;
    let kubelets = authority.client("apiserver-kubelet", "kube-apiserver", Some("system:masters"))?;
    let apiserver = [
        format!("--etcd-servers={ETCD}"),
        format!("--secure-port={}", plan.port),
        format!(
            "--advertise-address={}",
            plan.addresses.first().map(ToString::to_string).unwrap_or_default()
        ),
        format!("--client-ca-file={}", authority.certificate_file().display()),
        format!("--tls-cert-file={}", server.certificate.display()),
        format!("--tls-private-key-file={}", server.key.display()),
        format!("--kubelet-client-certificate={}", kubelets.certificate.display()),
        format!("--kubelet-client-key={}", kubelets.key.display()),
        // Nobody resolves nodes' names.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--service-account-key-file={}", authority.token_public_key().display()),
        format!("--service-account-signing-key-file={}", authority.token_key().display()),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-cluster-ip-range={}", list(&plan.service_cidrs)),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    Ok([
        Invocation::new("etcd", programs::system("etcd"), etcd),
        Invocation::new("kube-apiserver", programs.own("kube-apiserver"), apiserver),
    ])
}

/// Controllers and scheduler.
///
/// # Errors
/// When keys cannot be written.
pub fn controllers(
    plan: &Plan,
    programs: &Programs,
    authority: &Authority,
) -> Result<[Invocation; 2], Error> {
    let url = plan.url();
    let endpoint = Endpoint { server: &url, server_name: None };
    let config = |name: &str| -> Result<PathBuf, Error> {
        let path = plan.folder.join(format!("{name}.conf"));
        authority.kubeconfig(&path, endpoint, &format!("system:{name}"), None)?;
        Ok(path)
    };
    let flag = |path: &Path| format!("--kubeconfig={}", path.display());
    let manager = config("kube-controller-manager")?;
    let mut arguments = vec![
        flag(&manager),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", authority.token_key().display()),
        format!("--root-ca-file={}", authority.certificate_file().display()),
        "--allocate-node-cidrs=true".to_owned(),
        format!("--cluster-cidr={}", list(&plan.cluster_cidrs)),
        format!("--service-cluster-ip-range={}", list(&plan.service_cidrs)),
        "--leader-elect=false".to_owned(),
    ];
    let has = |v4: bool| plan.cluster_cidrs.iter().any(|net| matches!(net, IpNet::V4(_)) == v4);
    if has(true) && has(false) {
        arguments.push(format!("--node-cidr-mask-size-ipv4={}", plan.node_prefixes.0));
        arguments.push(format!("--node-cidr-mask-size-ipv6={}", plan.node_prefixes.1));
    } else {
        let size = if has(true) { plan.node_prefixes.0 } else { plan.node_prefixes.1 };
        arguments.push(format!("--node-cidr-mask-size={size}"));
    }
    let scheduler = config("kube-scheduler")?;
    Ok([
        Invocation::new("kube-controller-manager", programs.own("kube-controller-manager"), arguments),
        Invocation::new(
            "kube-scheduler",
            programs.own("kube-scheduler"),
            [flag(&scheduler), "--leader-elect=false".to_owned()],
        ),
    ])
}

fn list(nets: &[IpNet]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
