//! Makes one `VSwitchConfig` agree with the plan.

use api::{VSwitchConfig, VSwitchConfigSpec, VSwitchConfigStatus, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use crate::node::Node;
use crate::plan::Desired;

/// Who the Events are from.
pub(crate) const REPORTER: &str = "k-vswitch-controller";

/// Writes to the API.
pub(crate) struct Reconciler {
    configs: Api<VSwitchConfig>,
    recorder: Recorder,
}

impl Reconciler {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity.to_owned()) };
        Self { configs: Api::all(client.clone()), recorder: Recorder::new(client, reporter) }
    }

    /// Deletes an object that stands for no node.
    pub(crate) async fn remove(&self, object: &VSwitchConfig) -> kube::Result<()> {
        let name = object.name_any();
        // Only the object that was looked at: a node of the same name may just have come back.
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.configs.delete(&name, &params).await {
            Ok(_) => {
                info!(node = name, "VSwitchConfig deleted: its node is gone");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates or corrects the object of `node`. `current` is the object as last seen.
    pub(crate) async fn apply(
        &self,
        node: &Node,
        desired: &Desired,
        current: Option<&VSwitchConfig>,
    ) -> kube::Result<()> {
        let name = node.name_any();
        let object = match current {
            None => {
                let mut object = VSwitchConfig::new(&name, desired.spec.clone());
                object.metadata.owner_references = node.owner_ref(&()).map(|owner| vec![owner]);
                let created = self.configs.create(&PostParams::default(), &object).await?;
                info!(node = name, pod_cidr = ?desired.spec.pod_cidr, overlay_ip = ?desired.spec.overlay_ip, "VSwitchConfig created");
                created
            }
            Some(object) => match self.correction(node, desired, object) {
                None => object.clone(),
                Some(patch) => {
                    let patched =
                        self.configs.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
                    info!(node = name, %patch, "VSwitchConfig corrected");
                    patched
                }
            },
        };
        self.accept(node, desired, &object).await
    }

    /// The merge patch from `object` to what it must be: only the controller's own fields, only those that differ.
    fn correction(&self, node: &Node, desired: &Desired, object: &VSwitchConfig) -> Option<Value> {
        // What a node has been using stays in its object when its addresses can no longer be used: a mistake in a
        // parameter must not take a cluster's network away. The condition says what is wrong.
        if desired.rejection.is_some() && object.spec.pod_cidr.is_some() {
            return None;
        }
        let mut fields = owned_fields(&desired.spec);
        let mut present = owned_fields(&object.spec);
        let mut patch = Map::new();
        for (key, value) in &mut fields {
            if present.remove(key).as_ref() != Some(value) {
                patch.insert(key.clone(), value.take());
            }
        }
        // What is still present must not be there.
        patch.extend(present.into_iter().map(|(key, _)| (key, Value::Null)));
        let owner = node.owner_ref(&());
        let owned = object.owner_references().iter().any(|o| Some(&o.uid) == owner.as_ref().map(|o| &o.uid));
        if patch.is_empty() && owned {
            return None;
        }
        let mut metadata = Map::new();
        metadata.insert("resourceVersion".to_owned(), json!(object.resource_version()));
        if !owned {
            metadata.insert("ownerReferences".to_owned(), json!([owner]));
        }
        Some(json!({ "metadata": metadata, "spec": patch }))
    }

    /// Sets the condition `Accepted`, and tells of a rejection when it is new.
    async fn accept(&self, node: &Node, desired: &Desired, object: &VSwitchConfig) -> kube::Result<()> {
        let mut conditions = object.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let (reason, message) = match &desired.rejection {
            None => ("Valid", "the node's addresses can be used".to_owned()),
            Some(rejection) => (rejection.reason(), rejection.to_string()),
        };
        let changed = condition::set(
            &mut conditions,
            condition::ACCEPTED,
            desired.rejection.is_none(),
            reason,
            &message,
            object.metadata.generation,
            Time(Timestamp::now()),
        );
        if !changed {
            return Ok(());
        }
        let name = object.name_any();
        let status = VSwitchConfigStatus { conditions, ..VSwitchConfigStatus::default() };
        // The list is replaced whole, and the node's daemon has a condition in it: only if nobody wrote in between.
        let patch = json!({ "metadata": { "resourceVersion": object.resource_version() }, "status": status });
        self.configs.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        if desired.rejection.is_some() {
            warn!(node = name, reason, message, "node rejected");
            let event = Event {
                type_: EventType::Warning,
                reason: reason.to_owned(),
                note: Some(message),
                action: "Validate".to_owned(),
                secondary: Some(object.object_ref(&())),
            };
            if let Err(error) = self.recorder.publish(&event, &node.object_ref(&())).await {
                warn!(node = name, %error, "cannot publish an Event");
            }
        }
        Ok(())
    }
}

/// The spec as JSON without the operator's field.
fn owned_fields(spec: &VSwitchConfigSpec) -> Map<String, Value> {
    let mut fields = match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.remove("mtu");
    fields
}
