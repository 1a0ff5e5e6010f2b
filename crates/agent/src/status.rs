//! What the daemon says of its node in the `VSwitchConfig`'s status.

use std::time::Duration;

use api::{VSwitchConfig, VSwitchConfigStatus, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tracing::{debug, warn};

/// Time before a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the spec is in the switch.
    pub ready: bool,
    /// The condition's reason: one word.
    pub reason: &'static str,
    /// The condition's message.
    pub message: String,
    /// The generation of the spec that is in the switch.
    pub generation: Option<i64>,
    /// MTU of pod interfaces, bytes.
    pub mtu: Option<u16>,
    /// OVS datapath in use.
    pub datapath: Option<String>,
}

/// Writes each new report to the API, until the sender is dropped. An API that cannot be reached delays it and
/// nothing else.
pub async fn publish(client: Client, node: String, mut reports: watch::Receiver<Option<Report>>) {
    let configs: Api<VSwitchConfig> = Api::all(client);
    let mut told = false;
    while reports.changed().await.is_ok() {
        loop {
            let Some(report) = reports.borrow_and_update().clone() else { break };
            match write(&configs, &node, &report).await {
                Ok(()) => {
                    told = false;
                    break;
                }
                Err(error) => {
                    if told {
                        debug!(%error, "cannot write the VSwitchConfig's status: will try again");
                    } else {
                        warn!(%error, "cannot write the VSwitchConfig's status: will try again");
                        told = true;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

async fn write(configs: &Api<VSwitchConfig>, node: &str, report: &Report) -> kube::Result<()> {
    let Some(object) = configs.get_opt(node).await? else { return Ok(()) };
    let old = object.status.clone().unwrap_or_default();
    let mut status = VSwitchConfigStatus {
        observed_generation: if report.ready { report.generation } else { old.observed_generation },
        conditions: old.conditions.clone(),
        mtu: report.mtu,
        datapath: report.datapath.clone(),
    };
    condition::set(
        &mut status.conditions,
        condition::READY,
        report.ready,
        report.reason,
        &report.message,
        report.generation,
        Time(Timestamp::now()),
    );
    if status == old {
        return Ok(());
    }
    // The list of conditions is replaced whole, and the controller has one in it.
    let patch = json!({ "metadata": { "resourceVersion": object.resource_version() }, "status": status });
    configs.patch_status(node, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}
