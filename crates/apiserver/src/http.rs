//! The HTTP interface: URLs, query parameters and media types in front of the verbs.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use crate::{core::Core, faults::Verb, status::ApiError};

mod accept;
mod discovery;
mod objects;
mod openapi;
mod path;
mod protobuf;
mod query;
mod respond;
mod writes;

use path::Target;
use query::Query;

/// The largest body that is read, as in the real server.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The version this server claims to be: that of its schemas.
const VERSION: (&str, &str) = ("1", "34");

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new().fallback(answer).with_state(core)
}

async fn answer(State(core): State<Arc<Core>>, request: Request) -> Response {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let response = match dispatch(&core, request).await {
        Ok(response) => response,
        Err(error) => respond::error(&error),
    };
    tracing::debug!(%method, %uri, status = response.status().as_u16(), "request");
    response
}

async fn dispatch(core: &Arc<Core>, request: Request) -> Result<Response, ApiError> {
    if core.faults.is_down() {
        return Err(ApiError::unavailable());
    }
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(respond::text("ok")),
        ["version"] => Ok(respond::json(StatusCode::OK, &version())),
        [] => Ok(respond::json(StatusCode::OK, &json!({"paths": ["/api", "/apis", "/healthz", "/version"]}))),
        ["openapi", "v3", rest @ ..] => openapi::answer(core, rest),
        // kubectl asks for this in protobuf only where version 3 does not answer.
        ["openapi", "v2"] => Err(ApiError::not_acceptable()),
        ["api"] | ["apis"] | ["api", _] | ["apis", _] | ["apis", _, _] => {
            discovery::answer(core, &segments, request.headers())
        }
        _ => {
            let target = Target::parse(&segments).ok_or_else(ApiError::no_such_path)?;
            serve(core, target, request).await
        }
    }
}

/// Serves a request for objects.
async fn serve(core: &Arc<Core>, target: Target<'_>, request: Request) -> Result<Response, ApiError> {
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let verb = verb(request.method(), &target, &query).ok_or_else(ApiError::method_not_allowed)?;
    let (delay, struck) = core.faults.strike(verb, target.gvr.resource, target.name);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(error) = struck {
        return Err(error);
    }
    let resource = core.resource(target.gvr)?;
    if matches!(target.subresource, Some("log" | "exec" | "attach" | "portforward")) {
        return Err(ApiError::no_kubelet());
    }
    if resource.namespaced && target.namespace.is_empty() && target.name.is_some() {
        return Err(ApiError::no_such_path());
    }
    if !resource.namespaced && !target.namespace.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let request = objects::Call {
        core,
        resource,
        target,
        query,
        headers: request.headers().clone(),
        verb,
        body: read_body(request).await?,
    };
    request.answer()
}

async fn read_body(request: Request) -> Result<bytes::Bytes, ApiError> {
    axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .map_err(|e| ApiError::new(413, "RequestEntityTooLarge", format!("the body cannot be read: {e}")))
}

fn verb(method: &Method, target: &Target<'_>, query: &Query) -> Option<Verb> {
    Some(match (method, target.name) {
        (&Method::GET, _) if query.watch => Verb::Watch,
        (&Method::GET, None) => Verb::List,
        (&Method::GET, Some(_)) => Verb::Get,
        (&Method::POST, _) => Verb::Create,
        (&Method::PUT, Some(_)) => Verb::Update,
        (&Method::PATCH, Some(_)) => Verb::Patch,
        (&Method::DELETE, Some(_)) => Verb::Delete,
        (&Method::DELETE, None) => Verb::DeleteCollection,
        _ => return None,
    })
}

fn version() -> Value {
    let (major, minor) = VERSION;
    json!({
        "major": major, "minor": minor, "gitVersion": format!("v{major}.{minor}.0"), "gitCommit": "",
        "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "",
    })
}

/// A response that is already made up.
fn response(status: StatusCode, content_type: &str, body: Body) -> Response {
    let built = Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(body);
    // Fails only on a malformed header, and all of ours are constants.
    built.unwrap_or_default()
}
