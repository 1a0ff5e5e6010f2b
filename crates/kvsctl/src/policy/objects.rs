//! NetworkPolicies from the API: what their rules say. Daemons tell the numbers of rules only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Resource};
use policy::spec::{Name, NetworkPolicySpec};
use serde::Deserialize;

/// Time for the API to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Specifications by name.
pub(super) type Specs = BTreeMap<Name, NetworkPolicySpec>;

/// A NetworkPolicy as far as it is shown, valid or not.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = NetworkPolicy)]
struct Policy {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NetworkPolicySpec,
}

/// Reads these policies. One that is gone meanwhile is left out.
pub(super) fn read(kubeconfig: Option<&Path>, names: BTreeSet<Name>) -> anyhow::Result<Specs> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reading = async {
        let client = ops::client(kubeconfig, None).await?;
        let mut specs = Specs::new();
        for name in names {
            let policies: Api<Policy> = Api::namespaced(client.clone(), &name.namespace);
            if let Some(policy) = policies.get_opt(&name.name).await? {
                specs.insert(name, policy.spec);
            }
        }
        Ok(specs)
    };
    runtime
        .block_on(async { tokio::time::timeout(TIMEOUT, reading).await })
        .context("the Kubernetes API does not answer")?
}
