//! Requests for objects: reads, lists and watches. Writes are in [`super::writes`].

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::{
    accept::{self, Form},
    path::Target,
    query::Query,
    respond, response,
};
use crate::{
    core::{Core, Event, EventKind, Page, Watcher},
    faults::Verb,
    resource::{Resource, group_version},
    status::ApiError,
    store::Key,
    table::{self, Include},
    view,
};

/// One request.
pub(super) struct Call<'a> {
    pub(super) core: &'a Arc<Core>,
    pub(super) resource: Arc<Resource>,
    pub(super) target: Target<'a>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) verb: Verb,
    pub(super) body: Bytes,
}

impl Call<'_> {
    pub(super) fn answer(self) -> Result<Response, ApiError> {
        match self.verb {
            Verb::Get => self.get(),
            Verb::List => self.list(),
            Verb::Watch => self.watch(),
            Verb::Create => self.create(),
            Verb::Update => self.update(),
            Verb::Patch => self.patch(),
            Verb::Delete => self.delete(),
            Verb::DeleteCollection => self.delete_collection(),
        }
    }

    pub(super) fn key(&self) -> Key {
        Key::new(self.target.namespace, self.target.name.unwrap_or_default())
    }

    fn get(&self) -> Result<Response, ApiError> {
        match self.target.subresource {
            None | Some("status") => {
                let object = self.core.get(&self.resource, &self.key())?;
                self.object(StatusCode::OK, object)
            }
            Some("scale") => {
                Ok(respond::json(StatusCode::OK, &self.core.get_scale(&self.resource, &self.key())?))
            }
            Some(_) => Err(ApiError::no_such_path()),
        }
    }

    /// An answer with one object, in the form the client wants.
    pub(super) fn object(&self, status: StatusCode, json: Bytes) -> Result<Response, ApiError> {
        let form = accept::form(&self.headers)?;
        if form == Form::Json {
            return Ok(respond::bytes(status, json));
        }
        let object: Value = serde_json::from_slice(&json).unwrap_or_default();
        let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let shown = match form {
            Form::Table(v) => {
                let metadata = json!({"resourceVersion": version});
                table::table(&self.resource, &v, &metadata, vec![object], self.include(), true)
            }
            Form::Metadata(v) => table::partial(object, &v),
            Form::Json => object,
        };
        Ok(respond::json(status, &shown))
    }

    fn include(&self) -> Include {
        self.query.include.unwrap_or(Include::Metadata)
    }

    fn list(&self) -> Result<Response, ApiError> {
        let options = self.query.list(&self.resource, self.target.namespace)?;
        let page = self.core.list(&self.resource, &options)?;
        let mut metadata = json!({"resourceVersion": page.version.to_string()});
        if let Some(token) = &page.continue_token {
            crate::object::set(&mut metadata, &["continue"], token.as_str());
        }
        if let Some(remaining) = page.remaining {
            crate::object::set(&mut metadata, &["remainingItemCount"], remaining);
        }
        let form = accept::form(&self.headers)?;
        if form == Form::Json {
            return Ok(respond::bytes(StatusCode::OK, self.list_json(&page, &metadata)));
        }
        let objects = page.objects.iter().map(|o| view::outward(&self.resource, o.value()));
        let shown = match form {
            Form::Table(v) => {
                table::table(&self.resource, &v, &metadata, objects.collect(), self.include(), true)
            }
            Form::Metadata(v) => {
                let items: Vec<Value> = objects.map(|object| table::partial(object, &v)).collect();
                json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": group_version("meta.k8s.io", &v),
                    "metadata": metadata, "items": items,
                })
            }
            Form::Json => Value::Null,
        };
        Ok(respond::json(StatusCode::OK, &shown))
    }

    /// The list put together from the bytes that are stored.
    pub(super) fn list_json(&self, page: &Page, metadata: &Value) -> Bytes {
        let size: usize = page.objects.iter().map(|o| o.json.len().saturating_add(1)).sum();
        let mut out = BytesMut::with_capacity(size.saturating_add(256));
        let head = format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
            json!(self.resource.list_kind),
            json!(self.resource.api_version())
        );
        out.put_slice(head.as_bytes());
        for (i, object) in page.objects.iter().enumerate() {
            if i > 0 {
                out.put_u8(b',');
            }
            out.put_slice(&view::outward_json(&self.resource, &object.json));
        }
        out.put_slice(b"]}\n");
        out.freeze()
    }

    fn watch(&self) -> Result<Response, ApiError> {
        let form = accept::form(&self.headers)?;
        let options = self.query.watch(&self.resource, self.target.namespace, self.target.name)?;
        let watcher = self.core.watch(&self.resource, options)?;
        let shape =
            Shape { resource: self.resource.clone(), form, include: self.include(), described: false };
        let stream = futures::stream::unfold((watcher, shape), next_line);
        Ok(response(StatusCode::OK, respond::JSON, Body::from_stream(stream)))
    }
}

/// How a watch shows its objects.
struct Shape {
    resource: Arc<Resource>,
    form: Form,
    include: Include,
    /// Whether the columns of the table have been sent.
    described: bool,
}

type Line = Result<Bytes, Infallible>;

async fn next_line((mut watcher, mut shape): (Watcher, Shape)) -> Option<(Line, (Watcher, Shape))> {
    let event = watcher.next().await?;
    let line = shape.line(&event);
    Some((Ok(line), (watcher, shape)))
}

impl Shape {
    fn line(&mut self, event: &Event) -> Bytes {
        let parsed = || serde_json::from_slice::<Value>(&event.object).unwrap_or_default();
        let object = match (&self.form, event.kind) {
            (Form::Json, _) | (_, EventKind::Error) => return event.line(),
            (Form::Table(v), kind) => {
                let object = parsed();
                let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
                let metadata = json!({"resourceVersion": version});
                let first = !std::mem::replace(&mut self.described, true);
                let rows = if kind == EventKind::Bookmark { Vec::new() } else { vec![object] };
                table::table(&self.resource, v, &metadata, rows, self.include, first)
            }
            (Form::Metadata(v), _) => table::partial(parsed(), v),
        };
        let mut line = json!({"type": event.kind.name(), "object": object}).to_string();
        line.push('\n');
        line.into()
    }
}
