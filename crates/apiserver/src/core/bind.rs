//! The pod subresources `binding` and `eviction`.

use serde_json::{Value, json};

use super::{Core, DeleteOptions, Operation};
use crate::{
    object, resource::Gvr, selector::LabelSelector, status::ApiError, store::Key, strategy::selector_text,
};

impl Core {
    /// Assigns a pod to a node.
    pub(crate) fn bind(&self, pod: &Key, node: &str) -> Result<(), ApiError> {
        let resource = self.resource(Gvr::core("pods"))?;
        loop {
            let current = self.stored(&resource, pod)?;
            let old = current.value();
            if current.deleting {
                let why = format!("pod {} is being deleted, cannot be assigned to a host", pod.name);
                return Err(ApiError::conflict(&resource, &pod.name, &why));
            }
            let assigned = object::text(&old, &["spec", "nodeName"]);
            if !assigned.is_empty() {
                let why = format!("pod {} is already assigned to node \"{assigned}\"", pod.name);
                return Err(ApiError::conflict(&resource, &pod.name, &why));
            }
            let mut new = old.clone();
            object::set(&mut new, &["spec", "nodeName"], node);
            let scheduled = json!({
                "type": "PodScheduled", "status": "True", "lastTransitionTime": object::now(),
            });
            let mut conditions: Vec<Value> = object::list(&old, &["status", "conditions"]).to_vec();
            conditions.retain(|c| object::text(c, &["type"]) != "PodScheduled");
            conditions.push(scheduled);
            object::set(&mut new, &["status", "conditions"], conditions);
            self.admit(Operation::Update, &resource, Some(&old), &mut new)?;
            if let Ok(change) = self.store.replace(&resource.storage, current.version, new) {
                self.settle(change);
                return Ok(());
            }
        }
    }

    /// Deletes a pod unless a disruption budget forbids it now.
    pub(crate) fn evict(&self, pod: &Key, options: &DeleteOptions) -> Result<(), ApiError> {
        let resource = self.resource(Gvr::core("pods"))?;
        let current = self.stored(&resource, pod)?;
        let budgets = self.resource(Gvr::new("policy", "v1", "poddisruptionbudgets"))?;
        let budgets = self.store.snapshot(&budgets.storage, Some(&pod.namespace), None);
        for budget in budgets.map(|snapshot| snapshot.objects).unwrap_or_default() {
            let value = budget.value();
            let selector = object::at(&value, &["spec", "selector"]).and_then(selector_text);
            let covers = selector.and_then(|text| LabelSelector::parse(&text).ok());
            let covers = covers.is_some_and(|selector| selector.matches(&current.labels));
            if covers && object::int(&value, &["status", "disruptionsAllowed"]).unwrap_or(0) < 1 {
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                return Err(ApiError::too_many_requests(std::time::Duration::from_secs(10), message));
            }
        }
        self.delete(&resource, pod, options).map(|_| ())
    }
}
