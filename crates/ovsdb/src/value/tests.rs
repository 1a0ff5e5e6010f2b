use proptest::prelude::*;
use serde_json::json;

use super::*;

const ID: &str = "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a";

#[test]
fn values_have_the_notation_of_the_rfc() {
    let id: Uuid = ID.parse().unwrap();
    for (value, wire) in [
        (Value::from("br0"), json!("br0")),
        (Value::from(-7_i64), json!(-7)),
        (Value::from(true), json!(true)),
        (Value::Atom(Atom::Real(1.5)), json!(1.5)),
        (Value::from(id), json!(["uuid", ID])),
        (Value::named_uuid("port"), json!(["named-uuid", "port"])),
        (Value::EMPTY, json!(["set", []])),
        (Value::set([1_i64, 2]), json!(["set", [1, 2]])),
        (Value::set([id, Uuid::ZERO]), json!(["set", [["uuid", Uuid::ZERO], ["uuid", ID]]])),
        (Value::map([("a", "b"), ("c", "d")]), json!(["map", [["a", "b"], ["c", "d"]]])),
    ] {
        assert_eq!(serde_json::to_value(&value).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Value>(wire).unwrap(), value);
    }
}

#[test]
fn a_set_of_one_is_its_element_in_both_directions() {
    assert_eq!(Value::set(["a"]), Value::from("a"));
    assert_eq!(serde_json::from_value::<Value>(json!(["set", ["a"]])).unwrap(), Value::from("a"));
    assert_eq!(serde_json::from_value::<Value>(json!(["set", ["a", "a"]])).unwrap(), Value::from("a"));
}

#[test]
fn order_on_the_wire_does_not_matter() {
    let one: Value = serde_json::from_value(json!(["map", [["c", "d"], ["a", "b"]]])).unwrap();
    let other: Value = serde_json::from_value(json!(["map", [["a", "b"], ["c", "d"]]])).unwrap();
    assert_eq!(one, other);
}

#[test]
fn what_is_no_value_is_refused() {
    for wire in [
        json!(null),
        json!({}),
        json!([]),
        json!(["set"]),
        json!(["bag", []]),
        json!(["set", [], []]),
        json!(["set", [["set", []]]]),
        json!(["map", [["a"]]]),
        json!(["map", [["a", "b", "c"]]]),
        json!(["uuid", "x"]),
        json!(["uuid", 1]),
        json!(9_223_372_036_854_775_808_u64),
    ] {
        assert!(serde_json::from_value::<Value>(wire.clone()).is_err(), "{wire}");
    }
    assert!(serde_json::to_string(&Value::Atom(Atom::Real(f64::NAN))).is_err());
}

#[test]
fn values_print_like_ovs_vsctl() {
    assert_eq!(Value::map([("a", "b c")]).to_string(), r#"{"a"="b c"}"#);
    assert_eq!(Value::set([2_i64, 1]).to_string(), "[1, 2]");
}

pub(crate) fn atom() -> impl Strategy<Value = Atom> {
    prop_oneof![
        any::<i64>().prop_map(Atom::Integer),
        (-1e12..1e12_f64).prop_map(Atom::Real),
        any::<bool>().prop_map(Atom::Boolean),
        any::<String>().prop_map(Atom::String),
        any::<[u8; 16]>().prop_map(|b| Atom::Uuid(Uuid::from_bytes(b))),
        "[a-z_][a-z0-9_]{0,8}".prop_map(Atom::NamedUuid),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        atom().prop_map(Value::Atom),
        proptest::collection::vec(atom(), 0..5).prop_map(Value::set),
        proptest::collection::vec((atom(), atom()), 0..5).prop_map(Value::map),
    ]
}

proptest! {
    #[test]
    fn every_value_survives_the_wire(value in value()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
