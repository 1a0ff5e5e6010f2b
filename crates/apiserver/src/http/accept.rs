//! Which form of an answer a client accepts.

use axum::http::{HeaderMap, header};

use crate::status::ApiError;

/// The form of an answer about objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The objects.
    Json,
    /// `Table` of this version of `meta.k8s.io`.
    Table(String),
    /// `PartialObjectMetadata`, or a list of them.
    Metadata(String),
}

/// The accepted media types with their parameters, in the client's order.
fn ranges(headers: &HeaderMap) -> Vec<(String, Vec<(String, String)>)> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_owned();
            let parameters =
                parts.filter_map(|p| p.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
            (media, parameters.collect())
        })
        .filter(|(media, _)| !media.is_empty())
        .collect()
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    parameters.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

fn is_json(media: &str) -> bool {
    matches!(media, "application/json" | "application/*" | "*/*")
}

/// The form for an answer about objects.
///
/// # Errors
/// `NotAcceptable` where no range is one of ours.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let ranges = ranges(headers);
    if ranges.is_empty() {
        return Ok(Form::Json);
    }
    for (media, parameters) in ranges.iter().filter(|(media, _)| is_json(media)) {
        let version = parameter(parameters, "v").to_owned();
        let ours = parameter(parameters, "g") == "meta.k8s.io" && matches!(&*version, "v1" | "v1beta1");
        match parameter(parameters, "as") {
            "Table" if ours => return Ok(Form::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" if ours => {
                return Ok(Form::Metadata(version));
            }
            "" => return Ok(Form::Json),
            _ if media != "application/json" => return Ok(Form::Json),
            _ => {}
        }
    }
    Err(ApiError::not_acceptable())
}

/// The version of aggregated discovery the client prefers, if it wants that.
pub(super) fn aggregated_discovery(headers: &HeaderMap) -> Option<&'static str> {
    for (media, parameters) in ranges(headers) {
        if parameter(&parameters, "as") == "APIGroupDiscoveryList" && is_json(&media) {
            match parameter(&parameters, "v") {
                "v2" => return Some("v2"),
                "v2beta1" => return Some("v2beta1"),
                _ => {}
            }
        } else if is_json(&media) {
            return None;
        }
    }
    None
}
