//! Responses.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use serde_json::Value;

use super::response;
use crate::status::ApiError;

pub(super) const JSON: &str = "application/json";

pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    bytes(status, value.to_string().into())
}

pub(super) fn bytes(status: StatusCode, json: Bytes) -> Response {
    response(status, JSON, Body::from(json))
}

pub(super) fn text(text: &'static str) -> Response {
    response(StatusCode::OK, "text/plain; charset=utf-8", Body::from(text))
}

pub(super) fn error(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &error.status());
    if let Some(after) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response
}

/// Adds warnings, which `kubectl` prints (RFC 7234, section 5.5; code 299).
pub(super) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}
