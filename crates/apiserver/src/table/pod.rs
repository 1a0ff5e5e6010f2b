//! The row of a pod (`printPod` in `kubectl`'s server-side printers).

use serde_json::{Value, json};

use super::age_of;
use crate::object::{self, at, int, list, text};

pub(super) fn cells(pod: &Value) -> Vec<Value> {
    let containers = list(pod, &["spec", "containers"]).len();
    let statuses = list(pod, &["status", "containerStatuses"]);
    let ready = statuses.iter().filter(|s| s.get("ready") == Some(&Value::Bool(true))).count();
    let restarts: i64 = statuses.iter().filter_map(|s| int(s, &["restartCount"])).sum();
    let ip = list(pod, &["status", "podIPs"]).first().map_or("", |ip| text(ip, &["ip"]));
    let ip = if ip.is_empty() { text(pod, &["status", "podIP"]) } else { ip };
    vec![
        json!(object::name(pod)),
        json!(format!("{ready}/{containers}")),
        json!(status(pod)),
        json!(restarts.to_string()),
        json!(age_of(text(pod, &["metadata", "creationTimestamp"]))),
        json!(or_none(ip)),
        json!(or_none(text(pod, &["spec", "nodeName"]))),
        json!(or_none(text(pod, &["status", "nominatedNodeName"]))),
        json!(readiness_gates(pod)),
    ]
}

pub(super) fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

fn condition<'a>(pod: &'a Value, ty: &str) -> Option<&'a Value> {
    list(pod, &["status", "conditions"]).iter().find(|c| text(c, &["type"]) == ty)
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates.iter().filter(|gate| {
        condition(pod, text(gate, &["conditionType"])).is_some_and(|c| text(c, &["status"]) == "True")
    });
    format!("{}/{}", met.count(), gates.len())
}

fn status(pod: &Value) -> String {
    let phase = text(pod, &["status", "phase"]);
    let reason = text(pod, &["status", "reason"]);
    let mut shown = if reason.is_empty() { phase } else { reason }.to_owned();
    if condition(pod, "PodScheduled").is_some_and(|c| text(c, &["reason"]) == "SchedulingGated") {
        shown = "SchedulingGated".to_owned();
    }
    match initialising(pod) {
        Some(initialising) => shown = initialising,
        None => {
            let statuses = list(pod, &["status", "containerStatuses"]);
            let mut running = false;
            for status in statuses.iter().rev() {
                if let Some(reason) = waiting_or_ended(status) {
                    shown = reason;
                } else if status.get("ready") == Some(&Value::Bool(true))
                    && at(status, &["state", "running"]).is_some()
                {
                    running = true;
                }
            }
            if shown == "Completed" && running {
                let ready = condition(pod, "Ready").is_some_and(|c| text(c, &["status"]) == "True");
                shown = if ready { "Running" } else { "NotReady" }.to_owned();
            }
        }
    }
    if object::is_deleting(pod) {
        shown = match (reason, phase) {
            ("NodeLost", _) => "Unknown".to_owned(),
            (_, "Succeeded" | "Failed") => shown,
            _ => "Terminating".to_owned(),
        };
    }
    shown
}

/// Why a container is not running.
fn waiting_or_ended(status: &Value) -> Option<String> {
    let waiting = text(status, &["state", "waiting", "reason"]);
    if !waiting.is_empty() {
        return Some(waiting.to_owned());
    }
    let ended = at(status, &["state", "terminated"])?;
    let reason = text(ended, &["reason"]);
    if !reason.is_empty() {
        return Some(reason.to_owned());
    }
    match int(ended, &["signal"]).filter(|signal| *signal != 0) {
        Some(signal) => Some(format!("Signal:{signal}")),
        None => Some(format!("ExitCode:{}", int(ended, &["exitCode"]).unwrap_or(0))),
    }
}

fn initialising(pod: &Value) -> Option<String> {
    let statuses = list(pod, &["status", "initContainerStatuses"]);
    let total = list(pod, &["spec", "initContainers"]).len();
    for (i, status) in statuses.iter().enumerate() {
        if let Some(ended) = at(status, &["state", "terminated"]) {
            if int(ended, &["exitCode"]) == Some(0) {
                continue;
            }
            return waiting_or_ended(status).map(|reason| format!("Init:{reason}"));
        }
        let waiting = text(status, &["state", "waiting", "reason"]);
        if !waiting.is_empty() && waiting != "PodInitializing" {
            return Some(format!("Init:{waiting}"));
        }
        return Some(format!("Init:{i}/{total}"));
    }
    None
}
