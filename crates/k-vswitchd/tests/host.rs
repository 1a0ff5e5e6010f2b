//! What the daemon's binary makes of its host: the uplink's MTU, and the kernel's datapath.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod node;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use node::Node;
use serde_json::json;

macro_rules! node {
    () => {
        match Node::start().await {
            Some(node) => node,
            None => return,
        }
    };
}

/// Changes of a node's interfaces, in order.
struct Changes {
    monitor: Child,
    file: PathBuf,
}

impl Changes {
    fn watch(node: &Node) -> Self {
        let file = node.path("changes");
        let out = std::fs::File::create(&file).unwrap();
        let netns = format!("--net=/run/netns/{}", node.name);
        let monitor = Command::new("nsenter")
            .args([netns.as_str(), "ip", "-o", "monitor", "link"])
            .stdout(out)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // Until it listens, what happens is not seen.
        std::thread::sleep(Duration::from_millis(300));
        Self { monitor, file }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// Which change gave the interface this MTU.
    fn first(&self, link: &str, mtu: u32) -> Option<usize> {
        let (name, mtu) = (format!(": {link}@"), format!(" mtu {mtu} "));
        self.text().lines().position(|line| line.contains(&name) && line.contains(&mtu))
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mtu_follows_the_uplink() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    let both = |node: &Node, mtu| node.mtu(&port) == mtu && node.mtu("peer2") == mtu;
    node.until("the pod's port is stamped", async || node.is_programmed(&port)).await;
    // The veth pair was made with the kernel's 1500, as by a plugin that read another MTU.
    node.until("both ends of a new port have the node's MTU", async || both(&node, 1450)).await;
    // The host's end must at no time be smaller than the pod's.
    for (uplink, pods, first, second) in [(1400, 1350, "peer2", port.as_str()), (1500, 1450, &port, "peer2")]
    {
        let changes = Changes::watch(&node);
        node.vsctl(&["set", "interface", "br-phy", &format!("mtu_request={uplink}")]);
        node.until("facts and the bridge's interface have the new MTU", async || {
            let facts = node.vsctl(&["get", "bridge", "k-vswitch0", "external_ids:kvs-mtu"]);
            facts.contains(&pods.to_string()) && node.mtu("k-vswitch0") == pods
        })
        .await;
        node.until("both ends of the running pod's interface too", async || both(&node, pods)).await;
        node.until("the changes are seen", async || changes.first(second, pods).is_some()).await;
        let order = [changes.first(first, pods), changes.first(second, pods)];
        assert!(order[0].is_some() && order[0] < order[1], "{}", changes.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mtu_that_could_not_be_set_is_tried_again_and_one_that_is_asked_for_stays() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let (port, other, fixed) =
        (node.add_pod("web", 2).await, node.add_pod("other", 3).await, node.add_pod("fixed", 4).await);
    node.vsctl(&["set", "interface", &fixed, "external_ids:kvs-mtu=1300"]);
    node.exec(&["ip", "link", "set", "peer2", "name", "away"]);
    node.until("the port's trouble is said", async || {
        node.log().contains(&port) && node.log().contains("will try again")
    })
    .await;
    node.until("the other pod's MTU is set", async || node.mtu(&other) == 1450 && node.mtu("peer3") == 1450)
        .await;
    node.until("what the plugin was told is kept", async || {
        node.mtu(&fixed) == 1300 && node.mtu("peer4") == 1300
    })
    .await;
    // Another interface of the same name is not touched.
    node.exec(&["ip", "link", "add", "peer2", "mtu", "1500", "type", "veth", "peer", "name", "stranger"]);
    node.until("the stranger is said", async || node.log().contains("is not the other end of")).await;
    assert_eq!((node.mtu("away"), node.mtu("peer2")), (1500, 1500));
    node.exec(&["ip", "link", "del", "peer2"]);
    node.exec(&["ip", "link", "set", "away", "name", "peer2"]);
    node.until("the pod's end is set after all", async || {
        node.mtu(&port) == 1450 && node.mtu("peer2") == 1450
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mtu_that_the_uplink_cannot_carry_is_said_until_it_fits() {
    let mut node = node!();
    node.configure(1, json!({"mtu": 1480})).await;
    node.start_daemon(&[]);
    let says = async |node: &Node, what: &str| {
        node.ready_condition().await.is_some_and(|(ready, why)| !ready && why.contains(what))
    };
    node.until("the condition says what would fit", async || says(&node, "set it to at most 1450").await)
        .await;
    node.until("what the operator wrote is in force, and pods have their network", async || {
        node.path("cni/net.d/10-k-vswitch.conflist").exists() && node.mtu("k-vswitch0") == 1480
    })
    .await;
    node.configure(1, json!({"mtu": null})).await;
    let ready = async |node: &Node| node.ready_condition().await.is_some_and(|(ready, _)| ready);
    node.until("ready", async || ready(&node).await).await;
    node.vsctl(&["set", "interface", "br-phy", "mtu_request=1300"]);
    node.until("the uplink is too small", async || {
        says(&node, "raise the MTU of br-phy to at least 1330").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_on_a_kernel_that_has_lost_the_module_is_left_alone_and_said() {
    let mut node = node!();
    if host::kernel::has_openvswitch().unwrap() {
        println!("SKIPPED: this kernel has the openvswitch module");
        return;
    }
    node.configure(1, json!({})).await;
    node.vsctl(&[
        "--no-wait",
        "add-br",
        "k-vswitch0",
        "--",
        "set",
        "bridge",
        "k-vswitch0",
        "datapath_type=system",
    ]);
    let row = |node: &Node| {
        let columns = "datapath_type,external_ids,other_config,fail_mode,protocols,ports";
        node.vsctl(&[&format!("--columns={columns}"), "list", "bridge", "k-vswitch0"])
    };
    let before = row(&node);
    node.start_daemon(&["--datapath", "auto"]);
    let says = |text: &str| text.contains("modprobe openvswitch") && text.contains("--datapath netdev");
    node.until("the condition says what to do", async || {
        node.ready_condition().await.is_some_and(|(ready, why)| !ready && says(&why))
    })
    .await;
    assert!(node.get("/readyz").is_some_and(|(status, text)| status == 503 && says(&text)));
    assert_eq!(row(&node), before);
    // The operator's word.
    node.kill_daemon();
    node.ready(&["--datapath", "netdev"]).await;
    // And from then on it is what the bridge has.
    node.kill_daemon();
    node.ready(&["--datapath", "auto"]).await;
    assert_eq!(node.vsctl(&["get", "bridge", "k-vswitch0", "datapath_type"]), "netdev\n");
}
