//! The API server's way to pods, which it asks for pages on behalf of its clients (`proxy` of pods and Services). On most clusters its
//! machine is a node itself; here it has a route to each node's pods by way of that node.

use std::path::PathBuf;
use std::sync::Arc;

use host::{Netlink, Netns, Route};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;

use crate::cluster::mirror::{Mirror, whenever};
use crate::plan;
use crate::spec::Family;
use crate::topology::UPLINK;

/// Keeps the routes, in the control plane's namespace, those of the nodes that there are.
pub(crate) async fn follow(control_plane: PathBuf, count: u16, nodes: Mirror<Node>) {
    nodes.ready().await;
    whenever("routes", vec![nodes.changes()], || {
        let (place, all) = (control_plane.clone(), nodes.all());
        async move {
            let done = tokio::task::spawn_blocking(move || set(&place, count, &all)).await;
            if let Ok(Err(error)) = done {
                tracing::warn!(%error, "the API server has no way to pods");
            }
            Ok(())
        }
    })
    .await;
}

fn set(place: &PathBuf, count: u16, nodes: &[Arc<Node>]) -> host::Result<()> {
    let mut netlink = Netlink::open_in(&Netns::open(place)?)?;
    let link = netlink.link(UPLINK)?.index;
    for index in 1..=count {
        let name = plan::node_name(index);
        let node = nodes.iter().find(|node| node.name_any() == name);
        let cidrs = node.and_then(|node| node.spec.as_ref()?.pod_cidrs.clone()).unwrap_or_default();
        for cidr in cidrs.iter().filter_map(|text| text.parse::<IpNet>().ok()) {
            let hop = plan::node(index).of(Family::of(cidr.addr()));
            netlink.replace_route(&Route::via(cidr, hop, link))?;
        }
    }
    Ok(())
}
