use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{FieldSelector, LabelSelector};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn matches(selector: &str, pairs: &[(&str, &str)]) -> bool {
    LabelSelector::parse(selector).unwrap().matches(&labels(pairs))
}

#[test]
fn every_operator_matches_as_kubernetes_says() {
    let web = [("app", "web"), ("tier", "front"), ("n", "5")];
    for selector in [
        "",
        "app=web",
        "app==web",
        " app = web ",
        "app!=db",
        "none!=x",
        "app in (db, web)",
        "app notin (db)",
        "none notin (db)",
        "app",
        "!none",
        "n>4",
        "n<6",
        "app=web,tier in (front,back),!none",
        "none!=x,app",
    ] {
        assert!(matches(selector, &web), "{selector}");
    }
    for selector in
        ["app=db", "app!=web", "none=x", "app in (db)", "app notin (web)", "!app", "none", "n>5", "app>1"]
    {
        assert!(!matches(selector, &web), "{selector}");
    }
    assert!(matches("app=", &[("app", "")]));
}

#[test]
fn malformed_selectors_are_refused() {
    for selector in ["a=b,", ",", "a in b", "a in (b", "=b", "a=b=c d", "a in ()x", "a b", "-a", "a>x"] {
        assert!(LabelSelector::parse(selector).is_err(), "{selector}");
    }
}

#[test]
fn field_selectors_know_only_their_fields() {
    let selectable = ["spec.nodeName".to_owned()];
    let parse = |text: &str| FieldSelector::parse(text, &selectable);
    let field = |name: &str| match name {
        "spec.nodeName" => "n1",
        "metadata.name" => "p",
        _ => "",
    };
    assert!(parse("spec.nodeName=n1,metadata.name!=q").unwrap().matches(field));
    assert!(!parse("spec.nodeName==n2").unwrap().matches(field));
    assert!(!parse("metadata.namespace!=").unwrap().matches(field));
    assert!(parse("status.phase=Running").is_err());
    assert!(parse("spec.nodeName").is_err());
}

fn key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "x.io/c"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["1", "2", "3", ""]).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn in_and_notin_are_opposites_and_equality_is_membership(
        labels in proptest::collection::btree_map(key(), value(), 0..4),
        key in key(),
        values in proptest::collection::vec(value(), 1..4),
    ) {
        let list = values.join(",");
        let matches = |text: String| LabelSelector::parse(&text).unwrap().matches(&labels);
        let inside = labels.get(&key).is_some_and(|v| values.contains(v));
        prop_assert_eq!(matches(format!("{key} in ({list})")), inside);
        prop_assert_eq!(matches(format!("{key} notin ({list})")), !inside);
        prop_assert_eq!(matches(format!("{key}!={}", values[0])), !matches(format!("{key}={}", values[0])));
        prop_assert_eq!(matches(key.clone()), !matches(format!("!{key}")));
        let any = values.iter().any(|v| matches(format!("{key}={v}")));
        prop_assert_eq!(any, inside);
    }

    #[test]
    fn a_conjunction_matches_what_all_its_parts_match(
        labels in proptest::collection::btree_map(key(), value(), 0..4),
        parts in proptest::collection::vec((key(), value(), any::<bool>()), 1..5),
    ) {
        let parts: Vec<String> =
            parts.iter().map(|(k, v, eq)| format!("{k}{}{v}", if *eq { "=" } else { "!=" })).collect();
        let each = parts.iter().all(|p| LabelSelector::parse(p).unwrap().matches(&labels));
        prop_assert_eq!(LabelSelector::parse(&parts.join(",")).unwrap().matches(&labels), each);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,40}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text, &[]);
    }
}
