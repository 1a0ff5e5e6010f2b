//! `GET /services` and `GET /services/NAMESPACE/NAME`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use inspection::Counters;
use inspection::services::{Listing, Shown};
use service::lb::Name;

use super::{Inspector, Request, ServiceSnapshot, ServicesSnapshot, read};

mod counters;
mod values;

/// Services that the loop is asked about at once.
const BATCH: usize = 256;

/// A line for each Service.
pub(super) async fn all(State(inspector): State<Inspector>) -> Response {
    match listing(&inspector).await {
        Ok(listing) => Json(listing).into_response(),
        Err(response) => response,
    }
}

async fn listing(inspector: &Inspector) -> Result<Listing, Response> {
    let snapshot = inspector.ask(Request::Services).await?;
    let ServicesSnapshot { node, names, problems, tracks_sctp } = snapshot;
    let mut services = Vec::new();
    // Many of them are no reason to keep the loop from its work.
    for batch in names.iter().flat_map(|names| names.chunks(BATCH)) {
        services.extend(inspector.ask(|to| Request::Lines(batch.to_vec(), to)).await?);
    }
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for problem in &problems {
        *counts.entry((&problem.namespace, &problem.service)).or_default() += 1;
    }
    for line in &mut services {
        line.problems = counts.get(&(line.namespace.as_str(), line.name.as_str())).copied().unwrap_or(0);
    }
    Ok(Listing { node, proxy: names.is_some(), tracks_sctp, services, problems })
}

/// All about one Service.
pub(super) async fn one(
    State(inspector): State<Inspector>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let name = Name { namespace: namespace.into(), name: name.into() };
    let snapshot = match inspector.ask(|to| Request::Service(name.clone(), to)).await {
        Ok(snapshot) => snapshot,
        Err(response) => return response,
    };
    let ServiceSnapshot { node, proxy, view, problems, check_failure, sctp, session } = snapshot;
    let (counters, service) = match view {
        None => (Counters::Unavailable { why: "there is nothing to count".to_owned() }, None),
        Some(view) => {
            let counted = read(session, async |session| counters::read(&view, sctp, &session).await).await;
            let (counters, counted) = match counted {
                Ok(counted) => (Counters::Read, Some(counted)),
                Err(why) => (Counters::Unavailable { why }, None),
            };
            let mut service = values::service(&name, &view, sctp, counted.as_ref());
            service.problems = problems;
            if let Some(check) = &mut service.health_check {
                check.error = check_failure;
            }
            (counters, Some(service))
        }
    };
    Json(Shown { node, proxy, counters, service }).into_response()
}
