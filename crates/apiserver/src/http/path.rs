//! Resource URLs.

use crate::resource::Gvr;

/// What a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) gvr: Gvr<'a>,
    /// Empty: cluster-scoped, or all namespaces.
    pub(super) namespace: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) subresource: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `/api/v1/…` or `/apis/GROUP/VERSION/…`, then
    /// `[namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]]`.
    pub(super) fn parse(segments: &[&'a str]) -> Option<Self> {
        let (group, version, rest) = match *segments {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return None,
        };
        let (namespace, rest) = match *rest {
            // A namespace and its subresources are cluster-scoped objects.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, ref rest @ ..] => (namespace, rest),
            _ => ("", rest),
        };
        let (resource, name, subresource) = match *rest {
            [resource] => (resource, None, None),
            [resource, name] => (resource, Some(name), None),
            [resource, name, subresource] => (resource, Some(name), Some(subresource)),
            _ => return None,
        };
        Some(Self { gvr: Gvr::new(group, version, resource), namespace, name, subresource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_resources_objects_and_subresources() {
        let parse = |url: &'static str| {
            let segments: Vec<&str> = url.split('/').collect();
            Target::parse(&segments)
                .map(|t| (t.gvr.group, t.gvr.version, t.gvr.resource, t.namespace, t.name, t.subresource))
        };
        assert_eq!(parse("api/v1/pods"), Some(("", "v1", "pods", "", None, None)));
        assert_eq!(parse("api/v1/namespaces"), Some(("", "v1", "namespaces", "", None, None)));
        assert_eq!(parse("api/v1/namespaces/a"), Some(("", "v1", "namespaces", "", Some("a"), None)));
        assert_eq!(
            parse("api/v1/namespaces/a/finalize"),
            Some(("", "v1", "namespaces", "", Some("a"), Some("finalize")))
        );
        assert_eq!(
            parse("api/v1/namespaces/a/pods/p/status"),
            Some(("", "v1", "pods", "a", Some("p"), Some("status")))
        );
        assert_eq!(
            parse("apis/apps/v1/namespaces/a/deployments"),
            Some(("apps", "v1", "deployments", "a", None, None))
        );
        assert_eq!(
            parse("apis/kvswitch.io/v1alpha1/vswitchconfigs/n1"),
            Some(("kvswitch.io", "v1alpha1", "vswitchconfigs", "", Some("n1"), None))
        );
        assert_eq!(parse("metrics/x/y"), None);
    }
}
