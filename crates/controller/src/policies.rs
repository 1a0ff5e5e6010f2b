//! NetworkPolicies that the API let in though something is wrong in them: their authors are told by an Event.
//!
//! An Event's name is made from the policy's uid and generation, so that each is told of once, whoever leads, for as
//! long as the Event lives.
// The derive macro wraps a copy of the type in a private scope.
#![allow(unreachable_pub)]

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt as _};
use ops::reason;
use policy::engine::Problem;
use policy::spec::NetworkPolicySpec;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::reconcile::REPORTER;
use crate::run::events;

/// Time before an Event that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes that the API allows in an Event's note.
const NOTE_LIMIT: usize = 1024;
/// Characters that the API allows in a name.
const NAME_LIMIT: usize = 253;

/// A NetworkPolicy, as far as it is checked.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = NetworkPolicy)]
struct Policy {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NetworkPolicySpec,
}

/// Watches NetworkPolicies and tells of those that are not valid, for ever.
pub(crate) async fn report(client: Client, identity: &str) {
    let mut policies = pin!(events::<Policy>(client.clone()));
    // By name; of each the newest that could not be told.
    let mut untold: BTreeMap<(String, String), Event> = BTreeMap::new();
    let mut retry_at: Option<Instant> = None;
    loop {
        let retry = async {
            match retry_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = policies.next() => match event {
                Some(Ok(watcher::Event::Apply(policy) | watcher::Event::InitApply(policy))) => {
                    let name = (policy.namespace().unwrap_or_default(), policy.name_any());
                    let problems = policy::problems(&policy.spec);
                    untold.remove(&name);
                    if !problems.is_empty() {
                        untold.insert(name, warning(&policy, &problems, identity));
                    }
                }
                Some(Ok(watcher::Event::Delete(policy))) => {
                    untold.remove(&(policy.namespace().unwrap_or_default(), policy.name_any()));
                }
                Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Some(Err(error)) => warn!(error = reason(&error), "watching NetworkPolicies: will try again"),
                None => return,
            },
            () = retry => retry_at = None,
        }
        if retry_at.is_none() && !untold.is_empty() {
            publish(&client, &mut untold).await;
            retry_at = (!untold.is_empty()).then(|| Instant::now() + RETRY);
        }
    }
}

/// Leaves those that could not be told.
async fn publish(client: &Client, untold: &mut BTreeMap<(String, String), Event>) {
    for (name, event) in std::mem::take(untold) {
        let api: Api<Event> = Api::namespaced(client.clone(), &name.0);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {
                let (policy, note) = (format_args!("{}/{}", name.0, name.1), event.note.as_deref());
                warn!(%policy, note, "a NetworkPolicy is not valid");
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            // The namespace is going, and the policy with it.
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("terminated") => {}
            Err(error) => {
                debug!(%error, policy = name.1, "cannot publish an Event: will try again");
                untold.insert(name, event);
            }
        }
    }
}

fn warning(policy: &Policy, problems: &[Problem], identity: &str) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(policy)),
            namespace: policy.namespace(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(Timestamp::now())),
        type_: Some("Warning".to_owned()),
        reason: Some("InvalidNetworkPolicy".to_owned()),
        note: Some(note(problems)),
        action: Some("Validate".to_owned()),
        regarding: Some(policy.object_ref(&())),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(identity.to_owned()),
        ..Event::default()
    }
}

/// The policy's name, and what tells its generations apart.
fn event_name(policy: &Policy) -> String {
    let uid: String = policy.uid().unwrap_or_default().chars().filter(|c| *c != '-').take(16).collect();
    let suffix = format!(".{uid}.{}", policy.metadata.generation.unwrap_or(0));
    let name: String = policy.name_any().chars().take(NAME_LIMIT.saturating_sub(suffix.len())).collect();
    format!("{}{suffix}", name.trim_end_matches(['.', '-']))
}

/// What is wrong, as far as there is room.
fn note(problems: &[Problem]) -> String {
    const BEGIN: &str = "The policy isolates the pods it selects, and what is wrong in it allows nothing until it is put right. ";
    let mut note = BEGIN.to_owned();
    for (told, problem) in problems.iter().enumerate() {
        let text = format!("{}: {}. ", problem.path, problem.message);
        let rest = format!("And {} more.", problems.len() - told);
        if note.len() + text.len() + rest.len() > NOTE_LIMIT {
            note.push_str(&rest);
            break;
        }
        note.push_str(&text);
    }
    note.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, generation: i64) -> Policy {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("a".to_owned()),
            uid: Some("0f0e0d0c-0b0a-4000-8000-000000000001".to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        };
        Policy { metadata, spec: NetworkPolicySpec::default() }
    }

    #[test]
    fn each_generation_has_one_name_that_the_api_takes() {
        assert_eq!(event_name(&policy("web", 1)), "web.0f0e0d0c0b0a4000.1");
        assert_ne!(event_name(&policy("web", 1)), event_name(&policy("web", 2)));
        let long = event_name(&policy(&format!("{}-.{}", "a".repeat(233), "b".repeat(20)), 1));
        assert!(long.len() <= NAME_LIMIT && !long.contains("-."), "{long}");
    }

    #[test]
    fn a_note_has_no_more_than_the_api_takes() {
        let problem = |n| Problem { path: format!("spec.ingress[{n}]"), message: "x".repeat(100) };
        let short = note(&[problem(1)]);
        assert!(short.contains("spec.ingress[1]: xxx") && short.ends_with('.'), "{short}");
        let long = note(&(0..50).map(problem).collect::<Vec<_>>());
        assert!(long.len() <= NOTE_LIMIT && long.ends_with(" more."), "{long}");
        let huge = note(&[Problem { path: "spec".into(), message: "y".repeat(2000) }]);
        assert!(huge.len() <= NOTE_LIMIT && huge.ends_with("And 1 more."));
    }
}
