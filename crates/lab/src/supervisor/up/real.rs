//! Bringing up a lab with a real Kubernetes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubernetes::pki::Authority;
use kubernetes::programs::Programs;
use tokio::task::JoinSet;

use super::{UpError, switches, wait_until_ready};
use crate::cluster::Mirrors;
use crate::kubelet::Registry;
use crate::layout::Place;
use crate::plan;
use crate::real::control_plane::{self, ControlPlane};
use crate::real::node::RealNode;
use crate::real::{RealError, install, pods, routes};
use crate::supervisor::cluster::{Cluster, Controller};
use crate::supervisor::node::NodePrograms;
use crate::supervisor::{Shared, outside};

/// Folder of k-vswitch's images, from that of the programs, and the archive that must be there: `scripts/image` makes it.
const IMAGES: &str = "../image";
const IMAGE: &str = "k-vswitch.tar";

/// From the network namespaces on.
pub(super) async fn up(shared: &Arc<Shared>, netdev: bool) -> Result<(), UpError> {
    let (spec, layout) = (&shared.spec, &shared.layout);
    let programs = Programs::find().map_err(RealError::from)?;
    let images = images(&spec.bin_dir, &programs)?;
    let keys = layout.root().join("pki");
    let authority = Authority::create(&keys).map_err(RealError::from)?;
    let plan = control_plane::plan_of(spec, layout);

    let outside = outside::serve(layout).await?;
    let mut nodes = switches(shared, netdev).await?;
    let mut seen: Vec<PathBuf> = images.iter().filter_map(|image| Some(image.parent()?.to_owned())).collect();
    seen.push(programs.folder().to_owned());
    seen.sort();
    seen.dedup();
    let machines = (1..=spec.nodes)
        .map(|index| RealNode::prepare(spec, layout, index, &programs, &authority, &plan.url(), &seen))
        .collect::<Result<Vec<_>, _>>()?;
    let control_plane = ControlPlane::start(spec, layout, &programs, &authority);
    let booted = futures::future::try_join_all(machines.iter().map(|machine| prepare(machine, &images)));
    let ((control_plane, api), _) = futures::future::try_join(control_plane, booted).await?;
    shared.step(format!("Kubernetes API at {}, and containerd on every node", api.url));

    control_plane::register_nodes(&api.client, spec).await?;
    let mut named = BTreeMap::new();
    for (index, machine) in (1..).zip(machines) {
        machine.start_kubelet().await?;
        let name = plan::node_name(index);
        if let Some(node) = nodes.remove(&name) {
            named.insert(name, node.on(machine, api.client.clone()));
        }
    }
    install::apply(&api.client, spec, &plan.url(), netdev).await?;
    shared.step("kubelets, and k-vswitch by its manifest");

    let mut tasks = JoinSet::new();
    let mirrors = Mirrors::start(&api.client, &mut tasks);
    let control_plane_netns = layout.netns(&Place::ControlPlane);
    tasks.spawn(routes::follow(control_plane_netns, spec.nodes, mirrors.nodes.clone()));
    let registry = Registry::default();
    let facts = |(name, node): (&String, &NodePrograms)| Some((name.clone(), node.real()?));
    let facts: BTreeMap<_, _> = named.iter().filter_map(facts).collect();
    tasks.spawn(pods::follow(Arc::new(facts), mirrors.pods.clone(), registry.clone()));
    let cluster = Arc::new(Cluster {
        layout: layout.clone(),
        spec: spec.clone(),
        client: api.client.clone(),
        nodes: named,
        registry,
        objects: mirrors.nodes.clone(),
        netdev,
        controller: Controller::Pods(control_plane),
        _outside: outside,
        tasks: tokio::sync::Mutex::new(tasks),
        _api: api,
    });
    *shared.cluster.write().await = Some(Arc::clone(&cluster));
    wait_until_ready(shared, &cluster, &mirrors).await
}

async fn prepare(machine: &RealNode, images: &[PathBuf]) -> Result<(), RealError> {
    machine.boot().await?;
    for image in images {
        machine.import(image).await?;
    }
    Ok(())
}

/// Archives of the images that the cluster's pods have without pulling.
fn images(bin_dir: &Path, programs: &Programs) -> Result<Vec<PathBuf>, RealError> {
    // Without `..`, so that it is the same wherever it is seen.
    let own = bin_dir.join(IMAGES);
    let own = own.canonicalize().unwrap_or(own);
    if !own.join(IMAGE).is_file() {
        let hint = "run `make image`";
        let missing = kubernetes::Error::Missing { program: IMAGE.into(), places: vec![own], hint };
        return Err(missing.into());
    }
    let mut images: Vec<PathBuf> =
        [own.as_path(), programs.folder()].into_iter().flat_map(archives).collect();
    images.sort();
    Ok(images)
}

fn archives(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "tar"))
}
