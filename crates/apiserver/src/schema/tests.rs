use serde_json::{Value, json};

use super::{Compiler, Schema, cel};
use crate::status::Errors;

fn schema(document: &Value) -> Schema {
    Compiler::default().compile(document, "").unwrap()
}

fn problems(document: &Value, value: &Value) -> Vec<String> {
    let mut errors = Errors::default();
    schema(document).validate(value, "", &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

/// What the rules on `spec` say about a change of it.
fn rules(rules: &Value, spec: &Value, old: Option<&Value>) -> Vec<String> {
    let mut spec_schema = json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
        "ip": {"type": "string"}, "cidr": {"type": "string"}, "n": {"type": "integer"},
        "list": {"type": "array", "items": {"type": "string"}},
        "namespace": {"type": "string"}, "a-b": {"type": "integer"},
        "x": {"x-kubernetes-int-or-string": true},
        "time": {"type": "string", "format": "date-time"},
    }});
    spec_schema["properties"]["ports"] = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n", "message": "n never falls"}]},
    });
    let document = json!({"type": "object", "properties": {"spec": spec_schema}});
    let object = |spec: &Value| json!({"spec": spec});
    let (new, old) = (object(spec), old.map(object));
    let mut errors = Errors::default();
    cel::validate(&schema(&document), &new, old.as_ref(), &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

fn holds(rule: &str, spec: &Value) -> bool {
    rules(&json!([{"rule": rule}]), spec, None).is_empty()
}

#[test]
fn addresses_are_understood_as_kubernetes_understands_them() {
    let spec = json!({"ip": "10.1.2.3", "cidr": "10.1.0.0/16"});
    for rule in [
        "isIP(self.ip)",
        "isCIDR(self.cidr)",
        "!isIP(self.cidr)",
        "!isIP('::ffff:10.0.0.1')",
        "!isIP('010.0.0.1')",
        "!isCIDR('10.0.0.0/33')",
        "!isCIDR('10.0.0.0/08')",
        "ip(self.ip).family() == 4",
        "ip('::1').family() == 6",
        "ip('::1').isLoopback()",
        "ip('fe80::1').isLinkLocalUnicast()",
        "ip('8.8.8.8').isGlobalUnicast()",
        "ip.isCanonical('2001:db8::1')",
        "!ip.isCanonical('2001:DB8::1')",
        "ip('10.0.0.1') == ip('10.0.0.1')",
        "cidr(self.cidr).containsIP(self.ip)",
        "cidr(self.cidr).containsIP(ip(self.ip))",
        "!cidr(self.cidr).containsIP('::1')",
        "cidr(self.cidr).containsCIDR('10.1.128.0/17')",
        "!cidr(self.cidr).containsCIDR('10.0.0.0/8')",
        "cidr(self.cidr).prefixLength() == 16",
        "cidr('10.1.2.3/16').masked() == cidr(self.cidr)",
        "cidr(self.cidr) == cidr(self.cidr).masked()",
        "cidr('fd00::/64').ip().family() == 6",
    ] {
        assert!(holds(rule, &spec), "{rule}: {:?}", rules(&json!([{"rule": rule}]), &spec, None));
    }
}

#[test]
fn rules_reach_fields_by_their_types_and_escaped_names() {
    let spec = json!({
        "n": 3, "namespace": "x", "a-b": 2, "list": ["b", "a"], "x": 5, "time": "2026-01-01T00:00:00Z",
    });
    for rule in [
        "self.n + 1 == 4",
        "self.__namespace__ == 'x'",
        "self.a__dash__b == 2",
        "has(self.n) && !has(self.ip)",
        "self.list.all(s, s.matches('^[a-z]$'))",
        "self.list.exists_one(s, s.startsWith('a'))",
        "self.list.size() == 2 && 'b' in self.list",
        "self.x == 5",
        "self.time > timestamp('2025-01-01T00:00:00Z')",
        "'abc'.find('b.') == 'bc'",
        "self.list.map(s, s.upperAscii()).join('') == 'BA'",
    ] {
        assert!(holds(rule, &spec), "{rule}: {:?}", rules(&json!([{"rule": rule}]), &spec, None));
    }
}

#[test]
fn transition_rules_compare_with_the_counterpart_and_wait_for_one() {
    let immutable = json!([{"rule": "self.n == oldSelf.n", "message": "n is fixed"}]);
    assert!(rules(&immutable, &json!({"n": 1}), None).is_empty());
    assert!(rules(&immutable, &json!({"n": 1}), Some(&json!({"n": 1}))).is_empty());
    let said = rules(&immutable, &json!({"n": 2}), Some(&json!({"n": 1})));
    assert_eq!(said, ["spec: Invalid value: \"object\": n is fixed"]);
    // Elements of a list of type map are matched by their keys, wherever they stand.
    let old = json!({"ports": [{"name": "a", "n": 1}, {"name": "b", "n": 5}]});
    let new = json!({"ports": [{"name": "b", "n": 4}, {"name": "c", "n": 0}, {"name": "a", "n": 2}]});
    assert_eq!(
        rules(&json!([]), &new, Some(&old)),
        ["spec.ports[0]: Invalid value: \"object\": n never falls"]
    );
}

#[test]
fn failed_rules_say_why_and_where() {
    let say = |rule: Value| rules(&json!([rule]), &json!({"n": 1}), None);
    assert_eq!(
        say(json!({"rule": "self.n > 1"})),
        ["spec: Invalid value: \"object\": failed rule: self.n > 1"]
    );
    assert_eq!(
        say(json!({"rule": "self.n > 1", "messageExpression": "'n is ' + string(self.n)", "message": "no"})),
        ["spec: Invalid value: \"object\": n is 1"]
    );
    assert_eq!(
        say(
            json!({"rule": "self.n > 1", "message": "no", "fieldPath": ".n", "reason": "FieldValueForbidden"})
        ),
        ["spec.n: Forbidden: no"]
    );
    assert!(say(json!({"rule": "self.ip == ''"}))[0].contains("rule evaluation error"));
    assert!(cel::Rule::compile(&json!({"rule": "self.("})).is_err());
}

#[test]
fn nulls_and_unknown_fields_are_pruned_and_defaults_filled_in() {
    let schema = schema(&json!({"type": "object", "properties": {
        "a": {"type": "integer", "default": 5},
        "b": {"type": "string", "nullable": true},
        "c": {"type": "object", "default": {}, "properties": {"d": {"type": "boolean", "default": true}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "closed": {"type": "object", "properties": {}},
        }},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {
            "x": {"type": "integer", "default": 1},
        }}},
    }}));
    let mut value = json!({
        "a": null, "b": null, "z": 1, "open": {"y": 1, "closed": {"w": 1}}, "map": {"k": {"v": 2}},
    });
    let mut unknown = Vec::new();
    schema.decode(&mut value, &mut unknown);
    schema.fill_defaults(&mut value);
    unknown.sort();
    assert_eq!(unknown, ["map[k].v", "open.closed.w", "z"]);
    let expected = json!({
        "a": 5, "b": null, "c": {"d": true}, "open": {"y": 1, "closed": {}}, "map": {"k": {"x": 1}},
    });
    assert_eq!(value, expected);
}

#[test]
fn combinations_and_formats_are_checked() {
    let either = json!({"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert!(problems(&either, &json!({"a": 1})).is_empty());
    assert!(problems(&either, &json!({}))[0].contains("must validate one and only one schema (oneOf)"));
    assert!(problems(&either, &json!({"a": 1, "b": 1}))[0].contains("Found 2 valid alternatives"));
    let not = json!({"not": {"required": ["a"]}, "anyOf": [{"required": ["b"]}]});
    assert_eq!(problems(&not, &json!({"a": 1})).len(), 2);
    for (format, right, wrong) in [
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "0a:58:00:00:00:01", "0a:58"),
        ("date-time", "2026-01-01T00:00:00Z", "2026-01-01"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("byte", "aGk=", "aGk"),
        ("duration", "1h30m0.5s", "1 hour"),
    ] {
        let document = json!({"type": "string", "format": format});
        assert!(problems(&document, &json!(right)).is_empty(), "{format} {right}");
        assert_eq!(problems(&document, &json!(wrong)).len(), 1, "{format} {wrong}");
    }
    let number = json!({"type": "integer", "format": "int32"});
    assert_eq!(problems(&number, &json!(5_000_000_000_i64)).len(), 1);
}

#[test]
fn every_built_in_schema_compiles_and_knows_its_fields() {
    let builtin = &*crate::builtin::BUILTIN;
    for resource in &builtin.resources {
        let required = ["metadata", "kind", "apiVersion"];
        assert!(required.iter().all(|f| resource.schema.properties.contains_key(*f)), "{}", resource.kind);
    }
    let mut compiler = Compiler::with_definitions(&builtin.definitions);
    for name in builtin.definitions.keys() {
        compiler.named(name).unwrap();
    }
}
