//! What several commands say.

use inspection::services::{Problem, Skipped};

/// That a node is no proxy.
pub(super) fn no_proxy(node: &str) -> String {
    format!("{node}: not the proxy of Services (its daemon runs with --service-proxy off)")
}

/// What is wrong, with the Service that it concerns.
pub(super) fn problem(problem: &Problem) -> String {
    format!("{}/{}: {}", problem.namespace, problem.service, place(problem))
}

/// What is wrong, with where in the Service or its slices.
pub(super) fn place(problem: &Problem) -> String {
    let Problem { slice, path, message, .. } = problem;
    match slice {
        None => format!("{path}: {message}"),
        Some(slice) => format!("EndpointSlice {slice}: {path}: {message}"),
    }
}

/// Why nothing is done for a Service.
pub(super) const fn skipped(skipped: Skipped) -> &'static str {
    match skipped {
        Skipped::OtherProxy => "left to another proxy (label service.kubernetes.io/service-proxy-name)",
        Skipped::ExternalName => "ExternalName: another name, which is DNS's affair",
        Skipped::Headless => "headless: clients find its endpoints themselves, by DNS",
        Skipped::NoAddress => "it has no ClusterIP (yet), so nothing leads to it",
    }
}

/// So many of them.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
