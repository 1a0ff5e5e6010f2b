//! Requests that change objects.

use axum::{
    http::{StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use super::{objects::Call, protobuf, respond};
use crate::{
    core::{DeleteOptions, Deleted, Page, Part, Patch, Written},
    object,
    status::ApiError,
};

const YAML_LIKE: &str = "application/apply-patch+yaml";

impl Call<'_> {
    fn content_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim()
    }

    /// The body as JSON.
    fn json_body(&self) -> Result<Value, ApiError> {
        match self.content_type() {
            "" | "application/json" => self.parse_body(),
            "application/vnd.kubernetes.protobuf" => protobuf::decode(&self.body)
                .map_err(|e| ApiError::new(415, "UnsupportedMediaType", e.to_string())),
            _ => Err(ApiError::unsupported_media_type("application/json")),
        }
    }

    fn parse_body(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|e| ApiError::bad_request(format!("the object provided is not valid JSON: {e}")))
    }

    fn part(&self) -> Result<Part, ApiError> {
        match self.target.subresource {
            None => Ok(Part::Main),
            Some("status") if self.resource.status => Ok(Part::Status),
            // The finalizers of a namespace's specification; only the server changes them here.
            Some("finalize") if self.resource.plural == "namespaces" => Ok(Part::Main),
            Some(_) => Err(ApiError::no_such_path()),
        }
    }

    fn written(&self, written: &Written) -> Result<Response, ApiError> {
        let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let response = self.object(status, written.object.to_string().into())?;
        Ok(respond::warn(response, &written.warnings))
    }

    pub(super) fn create(&self) -> Result<Response, ApiError> {
        let body = self.json_body()?;
        let pods = self.resource.group.is_empty() && self.resource.plural == "pods";
        match (self.target.name, self.target.subresource) {
            (None, None) => {
                let options = self.query.write();
                let namespace = self.target.namespace;
                self.written(&self.core.create(&self.resource, namespace, body, &options)?)
            }
            (Some(_), Some("binding")) if pods => {
                let node = object::text(&body, &["target", "name"]);
                if node.is_empty() {
                    return Err(ApiError::bad_request("target.name: Required value"));
                }
                self.core.bind(&self.key(), node)?;
                Ok(success(StatusCode::CREATED))
            }
            (Some(_), Some("eviction")) if pods => {
                let mut options = self.query.delete();
                options.read(body.get("deleteOptions").unwrap_or(&Value::Null))?;
                self.core.evict(&self.key(), &options)?;
                Ok(success(StatusCode::CREATED))
            }
            (Some(_), None) => Err(ApiError::method_not_allowed()),
            _ => Err(ApiError::no_such_path()),
        }
    }

    pub(super) fn update(&self) -> Result<Response, ApiError> {
        let body = self.json_body()?;
        let options = self.query.write();
        if self.target.subresource == Some("scale") {
            let scale = self.core.update_scale(&self.resource, &self.key(), &body, &options)?;
            return Ok(respond::json(StatusCode::OK, &scale));
        }
        self.written(&self.core.update(&self.resource, self.part()?, &self.key(), &body, &options)?)
    }

    pub(super) fn patch(&self) -> Result<Response, ApiError> {
        let patch = match self.content_type() {
            "application/json-patch+json" => Patch::Json(self.parse_body()?),
            "application/merge-patch+json" => Patch::Merge(self.parse_body()?),
            "application/strategic-merge-patch+json" => Patch::Strategic(self.parse_body()?),
            // Clients send JSON, which is YAML; other YAML is refused below.
            YAML_LIKE => Patch::Apply(self.parse_body()?),
            _ => {
                let accepted = "application/json-patch+json, application/merge-patch+json, \
                                application/strategic-merge-patch+json, application/apply-patch+yaml";
                return Err(ApiError::unsupported_media_type(accepted));
            }
        };
        let options = self.query.write();
        if self.target.subresource == Some("scale") {
            let scale = self.core.patch_scale(&self.resource, &self.key(), &patch, &options)?;
            return Ok(respond::json(StatusCode::OK, &scale));
        }
        self.written(&self.core.patch(&self.resource, self.part()?, &self.key(), &patch, &options)?)
    }

    fn delete_options(&self) -> Result<DeleteOptions, ApiError> {
        let mut options = self.query.delete();
        if !self.body.is_empty() {
            options.read(&self.json_body()?)?;
        }
        Ok(options)
    }

    pub(super) fn delete(&self) -> Result<Response, ApiError> {
        if self.target.subresource.is_some() {
            return Err(ApiError::method_not_allowed());
        }
        match self.core.delete(&self.resource, &self.key(), &self.delete_options()?)? {
            Deleted::Waiting(object) => self.object(StatusCode::OK, object.to_string().into()),
            // These answer with the object, as the real server has it.
            Deleted::Gone(object) if matches!(&*self.resource.kind, "Pod" | "Service" | "ServiceAccount") => {
                self.object(StatusCode::OK, object.to_string().into())
            }
            Deleted::Gone(object) => {
                let details = json!({
                    "name": object::name(&object), "group": self.resource.group,
                    "kind": self.resource.plural, "uid": object::uid(&object),
                });
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": details,
                });
                Ok(respond::json(StatusCode::OK, &status))
            }
        }
    }

    pub(super) fn delete_collection(&self) -> Result<Response, ApiError> {
        let list = self.query.list(&self.resource, self.target.namespace)?;
        let objects = self.core.delete_collection(&self.resource, &list, &self.delete_options()?)?;
        let version = self.core.store.version();
        let page = Page { version, objects, continue_token: None, remaining: None };
        let metadata = json!({"resourceVersion": version.to_string()});
        Ok(respond::bytes(StatusCode::OK, self.list_json(&page, &metadata)))
    }
}

fn success(status: StatusCode) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": status.as_u16(),
    });
    respond::json(status, &body)
}
