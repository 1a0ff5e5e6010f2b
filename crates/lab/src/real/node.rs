//! A node on a machine of its own: its first process, containerd, the kubelet. Its Open vSwitch runs beside, in the same
//! network namespace, and lends it its sockets.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubernetes::Invocation;
use kubernetes::node::{self, CNI_BIN, CNI_CONF, CONTAINERD, CONTAINERD_ROOT, KUBELET_ROOT, Plan};
use kubernetes::pki::Authority;
use kubernetes::programs::Programs;
use machine::Disk;
use tokio::time::Instant;

use super::{RealError, cgroup};
use crate::layout::{Layout, NodeLayout, Place};
use crate::plan;
use crate::program::{Program, ProgramSpec, ProgramState, Site};
use crate::protocol::{Action, ProgramStatus};
use crate::spec::LabSpec;

/// The image of pods' sandboxes.
const SANDBOX_IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.56";

/// Where OVS's sockets are on a machine.
const OVS_RUN: &str = "/run/openvswitch";

/// Plugins that the container runtime itself needs (Debian's package containernetworking-plugins).
const LOOPBACK: &str = "/usr/lib/cni/loopback";

/// How long a machine may take to boot, and containerd to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node's machine.
pub(crate) struct RealNode {
    layout: NodeLayout,
    first: Program,
    first_spec: ProgramSpec,
    disk: Disk,
    group: String,
    containerd: Program,
    containerd_spec: ProgramSpec,
    kubelet: Program,
    kubelet_spec: ProgramSpec,
}

impl RealNode {
    /// Prepares a node; its namespace and folders exist. `api` is the API's URL as nodes see it, and `seen` are folders that it must
    /// see, wherever they are.
    pub(crate) fn prepare(
        spec: &LabSpec,
        layout: &Layout,
        index: u16,
        programs: &Programs,
        authority: &Authority,
        api: &str,
        seen: &[PathBuf],
    ) -> Result<Self, RealError> {
        let name = plan::node_name(index);
        let files = layout.node(&name);
        let keys = files.root().join("kubernetes");
        let disk = disk_of(&name, layout, &files, seen);
        let text = serde_json::to_vec_pretty(&disk).map_err(std::io::Error::from);
        let file = files.root().join("disk.json");
        text.and_then(|text| std::fs::write(&file, text)).map_err(|source| RealError::File {
            action: "write",
            path: file.clone(),
            source,
        })?;
        let group = cgroup::of_node(layout, &name);
        let copied = std::fs::copy(LOOPBACK, files.cni_bin().join("loopback"));
        copied.map_err(|source| RealError::File { action: "copy", path: LOOPBACK.into(), source })?;

        let ends = plan::node(index);
        let plan = Plan {
            folder: keys,
            name: name.clone(),
            addresses: spec.families.iter().map(|family| ends.of(family)).collect(),
            api: api.to_owned(),
            dns: plan::name_server(&spec.families),
            cgroup: group.clone(),
            sandbox_image: SANDBOX_IMAGE.to_owned(),
        };
        let [containerd, kubelet] = node::programs(&plan, programs, authority)?;
        let first = Program::new("machine");
        let machine = Site::Machine(first.watch());
        let within = |invocation: Invocation, site: Site| ProgramSpec {
            name: format!("{name}/{}", invocation.name),
            log: files.log(invocation.name),
            program: invocation.program,
            args: invocation.args,
            envs: invocation.envs,
            site,
        };
        let init = Invocation {
            name: "machine",
            program: spec.bin_dir.join("kvsctl"),
            args: ["lab", "machine"].map(Into::into).into_iter().chain([file.into()]).collect(),
            envs: Vec::new(),
        };
        Ok(Self {
            first_spec: within(init, Site::First(layout.netns(&Place::Node(&name)))),
            first,
            disk,
            group,
            containerd: Program::new("containerd"),
            containerd_spec: within(containerd, machine.clone()),
            kubelet: Program::new("kubelet"),
            kubelet_spec: within(kubelet, machine),
            layout: files,
        })
    }

    /// Boots the machine and starts containerd.
    pub(crate) async fn boot(&self) -> Result<(), RealError> {
        cgroup::renew(&self.group)?;
        let booted = self.disk.booted();
        // Of the boot before.
        let _ = tokio::fs::remove_file(&booted).await;
        self.first.start(self.first_spec.clone()).await?;
        self.wait("the machine did not boot", "machine", || booted.exists()).await?;
        self.containerd.start(self.containerd_spec.clone()).await?;
        let socket = self.seen(Path::new(CONTAINERD));
        let answers = || socket.as_ref().is_some_and(|socket| UnixStream::connect(socket).is_ok());
        self.wait("containerd did not answer", "containerd", answers).await
    }

    /// Imports the archive of an image. It is there at the next boot, too.
    pub(crate) async fn import(&self, archive: &Path) -> Result<(), RealError> {
        self.execute(node::import(archive)).await
    }

    /// Starts the kubelet, which makes the node known to the API.
    pub(crate) async fn start_kubelet(&self) -> Result<(), RealError> {
        Ok(self.kubelet.start(self.kubelet_spec.clone()).await?)
    }

    /// Executes a command on the machine, and waits for its end.
    async fn execute(&self, what: Invocation) -> Result<(), RealError> {
        let said = self.layout.log(what.name);
        let file = |source| RealError::File { action: "write", path: said.clone(), source };
        let first = self.first.state().pid().unwrap_or(0);
        let (program, log) = (what.program.clone(), said.clone());
        let run = move || {
            let log = std::fs::File::create(&log)?;
            let mut command = std::process::Command::new(&program);
            command.args(&what.args).stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
            command.status()
        };
        let done = tokio::task::spawn_blocking(move || machine::inside(first, run)).await;
        let status = match done {
            Ok(Ok(status)) => status.map_err(file)?,
            Ok(Err(error)) => return Err(RealError::Program(error.into())),
            Err(_) => return Ok(()),
        };
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&said).unwrap_or_default().trim().to_owned();
        Err(RealError::Command { command: what.program.display().to_string(), said })
    }

    async fn wait(&self, what: &str, program: &str, done: impl Fn() -> bool) -> Result<(), RealError> {
        let begin = Instant::now();
        while !done() {
            if begin.elapsed() > PATIENCE {
                let log = self.layout.log(program);
                return Err(RealError::Late { what: what.to_owned(), seconds: PATIENCE.as_secs(), log });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A folder or file of the machine as it is seen from outside, while it runs.
    pub(crate) fn seen(&self, path: &Path) -> Option<PathBuf> {
        let first = self.first.state().pid()?;
        Some(
            Path::new("/proc")
                .join(first.to_string())
                .join("root")
                .join(path.strip_prefix("/").unwrap_or(path)),
        )
    }

    /// Starts, stops or restarts one of its programs.
    pub(crate) async fn control(&self, program: &str, action: Action) -> Result<(), RealError> {
        let (program, spec) = match program {
            "containerd" => (&self.containerd, &self.containerd_spec),
            _ => (&self.kubelet, &self.kubelet_spec),
        };
        Ok(program.control(spec, action).await?)
    }

    /// Switches the machine off: everything on it ends at once.
    pub(crate) async fn off(&self) {
        // Nobody shall start anything anew on a machine that goes.
        futures::future::join(self.kubelet.stop(), self.containerd.stop()).await;
        self.first.stop().await;
    }

    /// How its programs are.
    pub(crate) fn statuses(&self) -> Vec<ProgramStatus> {
        let status = |name: &str, state: ProgramState| ProgramStatus {
            program: name.to_owned(),
            state,
            log: self.layout.log(name),
        };
        vec![
            status("machine", self.first.state()),
            status("containerd", self.containerd.state()),
            status("kubelet", self.kubelet.state()),
        ]
    }
}

/// What the machine has: its own disk, the sockets of its switch, and what else of the lab it must see.
fn disk_of(name: &str, layout: &Layout, files: &NodeLayout, seen: &[PathBuf]) -> Disk {
    let mut disk = Disk {
        host_name: name.to_owned(),
        folder: files.root().join("disk"),
        binds: Vec::new(),
        files: vec![
            ("/etc/hostname".into(), format!("{name}\n")),
            ("/etc/hosts".into(), format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n")),
            // Nobody answers there; but a file without servers would make the resolver ask the node itself.
            ("/etc/resolv.conf".into(), format!("nameserver {}\n", plan::OUTSIDE.ipv4)),
        ],
    };
    let plain = |name: &str| disk.plain(name);
    disk.binds = vec![
        (layout.root().to_owned(), layout.root().to_owned()),
        (files.ovs(), OVS_RUN.into()),
        (plain("containerd"), CONTAINERD_ROOT.into()),
        (plain("kubelet"), KUBELET_ROOT.into()),
        (files.cni_bin(), CNI_BIN.into()),
        (files.cni_conf(), CNI_CONF.into()),
    ];
    disk.binds.extend(seen.iter().map(|folder| (folder.clone(), folder.clone())));
    disk
}
