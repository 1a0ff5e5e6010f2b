//! The patch strategies of the built-in types: which lists are merged, by which keys.
//!
//! The Go types say this in struct tags (`patchStrategy`, `patchMergeKey`). A rule is found by the names of
//! the field and of the field above it, which tell all the lists of the built-in types apart.

/// How a field is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// The patch's value takes the place of the old one.
    Replace,
    /// Elements are objects, told apart by this field.
    MergeByKey(&'static str),
    /// Elements are scalars; the list is a set.
    MergeSet,
}

const RULES: [(&str, &str, Strategy); 28] = [
    ("metadata", "finalizers", Strategy::MergeSet),
    ("metadata", "ownerReferences", Strategy::MergeByKey("uid")),
    // PodSpec
    ("spec", "containers", Strategy::MergeByKey("name")),
    ("spec", "initContainers", Strategy::MergeByKey("name")),
    ("spec", "ephemeralContainers", Strategy::MergeByKey("name")),
    ("spec", "volumes", Strategy::MergeByKey("name")),
    ("spec", "imagePullSecrets", Strategy::MergeByKey("name")),
    ("spec", "hostAliases", Strategy::MergeByKey("ip")),
    ("spec", "topologySpreadConstraints", Strategy::MergeByKey("topologyKey")),
    ("spec", "resourceClaims", Strategy::MergeByKey("name")),
    ("spec", "schedulingGates", Strategy::MergeByKey("name")),
    // Container
    ("containers", "ports", Strategy::MergeByKey("containerPort")),
    ("containers", "env", Strategy::MergeByKey("name")),
    ("containers", "volumeMounts", Strategy::MergeByKey("mountPath")),
    ("containers", "volumeDevices", Strategy::MergeByKey("devicePath")),
    ("initContainers", "ports", Strategy::MergeByKey("containerPort")),
    ("initContainers", "env", Strategy::MergeByKey("name")),
    ("initContainers", "volumeMounts", Strategy::MergeByKey("mountPath")),
    ("initContainers", "volumeDevices", Strategy::MergeByKey("devicePath")),
    // ServiceSpec, NodeSpec
    ("spec", "ports", Strategy::MergeByKey("port")),
    ("spec", "podCIDRs", Strategy::MergeSet),
    // Every status that has conditions
    ("status", "conditions", Strategy::MergeByKey("type")),
    ("status", "addresses", Strategy::MergeByKey("type")),
    ("status", "podIPs", Strategy::MergeByKey("ip")),
    ("status", "hostIPs", Strategy::MergeByKey("ip")),
    ("status", "resourceClaimStatuses", Strategy::MergeByKey("name")),
    // ServiceAccount: a field of the object itself
    ("", "secrets", Strategy::MergeByKey("name")),
    // PodDisruptionBudgetSpec: `patchStrategy=replace`, although it is an object
    ("spec", "selector", Strategy::Replace),
];

/// The strategy of the list or object at `path`, whose steps are field names without indices.
pub(crate) fn of(kind: &str, path: &[String]) -> Option<Strategy> {
    let (field, above) = path.split_last()?;
    let above = above.last().map_or("", String::as_str);
    if field == "selector" && kind != "PodDisruptionBudget" {
        return None;
    }
    if field == "conditions" && kind == "CustomResourceDefinition" {
        return Some(Strategy::Replace);
    }
    RULES.iter().find(|(a, f, _)| *a == above && *f == field).map(|(_, _, strategy)| *strategy)
}
