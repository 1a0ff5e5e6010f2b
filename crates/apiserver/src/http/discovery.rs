//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::{Value, json};

use super::{accept, respond, response};
use crate::{
    core::Core,
    resource::{Resource, group_version},
    status::ApiError,
};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Resources by group, then by version; versions with the most stable and newest first.
type Groups = BTreeMap<String, Vec<(String, Vec<Arc<Resource>>)>>;

fn groups(core: &Core) -> Groups {
    let mut groups = Groups::new();
    for resource in core.registry.all() {
        let versions = groups.entry(resource.group.clone()).or_default();
        match versions.iter_mut().find(|(version, _)| *version == resource.version) {
            Some((_, resources)) => resources.push(resource),
            None => versions.push((resource.version.clone(), vec![resource])),
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(priority(version)));
    }
    groups
}

/// Stability, major version and minor version of a version's name (`v1`, `v2beta1`).
fn priority(version: &str) -> (u8, u32, u32) {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let split = |word: &str| {
        let (major, minor) = numbers.split_once(word)?;
        Some((major.parse().unwrap_or(0), minor.parse().unwrap_or(0)))
    };
    if let Some((major, minor)) = split("beta") {
        (1, major, minor)
    } else if let Some((major, minor)) = split("alpha") {
        (0, major, minor)
    } else {
        (2, numbers.parse().unwrap_or(0), 0)
    }
}

pub(super) fn answer(core: &Core, segments: &[&str], headers: &HeaderMap) -> Result<Response, ApiError> {
    let aggregated = accept::aggregated_discovery(headers);
    let groups = groups(core);
    let found = |value: Value| Ok(respond::json(StatusCode::OK, &value));
    match (segments, aggregated) {
        (["api"], Some(version)) => Ok(aggregate(&groups, version, str::is_empty)),
        (["apis"], Some(version)) => Ok(aggregate(&groups, version, |group| !group.is_empty())),
        (["api"], None) => found(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })),
        (["apis"], None) => {
            let list: Vec<Value> =
                groups.iter().filter(|(g, _)| !g.is_empty()).map(|(g, v)| api_group(g, v)).collect();
            found(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}))
        }
        (["apis", group], _) => {
            let versions = groups.get(*group).ok_or_else(ApiError::no_such_path)?;
            let mut value = api_group(group, versions);
            crate::object::set(&mut value, &["kind"], "APIGroup");
            crate::object::set(&mut value, &["apiVersion"], "v1");
            found(value)
        }
        (["api", version], _) => found(resource_list(&groups, "", version)?),
        (["apis", group, version], _) => found(resource_list(&groups, group, version)?),
        _ => Err(ApiError::no_such_path()),
    }
}

fn api_group(group: &str, versions: &[(String, Vec<Arc<Resource>>)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": group_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

/// Group, version and kind.
type Gvk = (String, String, String);

/// Its name, what it speaks and its verbs.
type Subresource = (&'static str, Gvk, &'static [&'static str]);

/// The subresources of a resource with the group, version and kind they speak.
fn subresources(resource: &Resource) -> Vec<Subresource> {
    let own = || (resource.group.clone(), resource.version.clone(), resource.kind.clone());
    let foreign =
        |group: &str, version: &str, kind: &str| (group.to_owned(), version.to_owned(), kind.to_owned());
    let mut list: Vec<Subresource> = Vec::new();
    if resource.status {
        list.push(("status", own(), &SUBRESOURCE_VERBS));
    }
    if resource.scale.is_some() {
        list.push(("scale", foreign("autoscaling", "v1", "Scale"), &SUBRESOURCE_VERBS));
    }
    if resource.group.is_empty() && resource.plural == "pods" {
        list.push(("binding", foreign("", "v1", "Binding"), &["create"]));
        list.push(("eviction", foreign("policy", "v1", "Eviction"), &["create"]));
    }
    list
}

fn resource_list(groups: &Groups, group: &str, version: &str) -> Result<Value, ApiError> {
    let versions = groups.get(group).ok_or_else(ApiError::no_such_path)?;
    let (_, resources) = versions.iter().find(|(v, _)| v == version).ok_or_else(ApiError::no_such_path)?;
    let mut list = Vec::new();
    for resource in resources {
        list.push(json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": VERBS, "shortNames": resource.short_names,
            "categories": resource.categories,
        }));
        for (name, (group, version, kind), verbs) in subresources(resource) {
            list.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind, "verbs": verbs, "group": group,
                "version": version,
            }));
        }
    }
    Ok(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version),
        "resources": list,
    }))
}

fn aggregate(groups: &Groups, form: &str, wanted: impl Fn(&str) -> bool) -> Response {
    let items: Vec<Value> = groups
        .iter()
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, resources)| {
                    let resources: Vec<Value> = resources.iter().map(|r| aggregated_resource(r)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": group_version("apidiscovery.k8s.io", form),
        "metadata": {}, "items": items,
    });
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={form};as=APIGroupDiscoveryList");
    response(StatusCode::OK, &content_type, Body::from(list.to_string()))
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = |(group, version, kind): (String, String, String)| json!({"group": group, "version": version, "kind": kind});
    let below: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, gvk, verbs)| json!({"subresource": name, "responseKind": kind(gvk), "verbs": verbs}))
        .collect();
    json!({
        "resource": resource.plural,
        "responseKind": kind((resource.group.clone(), resource.version.clone(), resource.kind.clone())),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": VERBS,
        "shortNames": resource.short_names,
        "categories": resource.categories,
        "subresources": below,
    })
}
