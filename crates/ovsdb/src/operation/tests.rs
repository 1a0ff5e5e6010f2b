use serde_json::json;

use super::*;
use crate::Value;
use crate::tables::Interface;

fn assert_wire(operation: &Operation, wire: serde_json::Value) {
    assert_eq!(serde_json::to_value(operation).unwrap(), wire);
    assert_eq!(&serde_json::from_value::<Operation>(wire).unwrap(), operation);
}

#[test]
fn operations_have_the_notation_of_the_rfc() {
    let named = [Condition::equals("name", "br0")];
    assert_wire(
        &Operation::insert("Bridge", Row::new().with("name", "br0")),
        json!({"op": "insert", "table": "Bridge", "row": {"name": "br0"}}),
    );
    assert_wire(
        &Operation::insert_named(
            &Interface { name: "p0".into(), ofport: Some(3), ..Default::default() },
            "i",
        ),
        json!({"op": "insert", "table": "Interface", "row": {"name": "p0", "ofport": 3}, "uuid-name": "i"}),
    );
    assert_wire(
        &Operation::select_columns("Bridge", named.clone(), ["ports"]),
        json!({"op": "select", "table": "Bridge", "where": [["name", "==", "br0"]], "columns": ["ports"]}),
    );
    assert_wire(
        &Operation::update("Bridge", named.clone(), Row::new().with("fail_mode", "secure")),
        json!({"op": "update", "table": "Bridge", "where": [["name", "==", "br0"]], "row": {"fail_mode": "secure"}}),
    );
    assert_wire(
        &Operation::mutate("Bridge", [], Mutation::put("external_ids", "k", "v")),
        json!({"op": "mutate", "table": "Bridge", "where": [], "mutations":
            [["external_ids", "delete", "k"], ["external_ids", "insert", ["map", [["k", "v"]]]]]}),
    );
    assert_wire(
        &Operation::delete("Bridge", [Condition::Constant(false)]),
        json!({"op": "delete", "table": "Bridge", "where": [false]}),
    );
    assert_wire(
        &Operation::guard_none(
            "Interface",
            [Condition::includes("external_ids", Value::map([("a", "b")]))],
            "name",
        ),
        json!({"op": "wait", "table": "Interface", "where": [["external_ids", "includes", ["map", [["a", "b"]]]]],
            "columns": ["name"], "until": "==", "rows": [], "timeout": 0}),
    );
    assert_wire(
        &Operation::guard_one("Bridge", named, "name", "br0"),
        json!({"op": "wait", "table": "Bridge", "where": [["name", "==", "br0"]],
            "columns": ["name"], "until": "==", "rows": [{"name": "br0"}], "timeout": 0}),
    );
    assert_wire(&Operation::Commit { durable: true }, json!({"op": "commit", "durable": true}));
    assert_wire(&Operation::Abort, json!({"op": "abort"}));
    assert_wire(&Operation::comment("why"), json!({"op": "comment", "comment": "why"}));
    assert_wire(&Operation::assert("l"), json!({"op": "assert", "lock": "l"}));
}
