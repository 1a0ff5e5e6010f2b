use serde_json::json;

use super::*;

const ID: &str = "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a";

fn apply<R: Replica>(replica: &mut R, updates: serde_json::Value) -> Result<Vec<R::Change>, ReplicaError> {
    let mut changes = Vec::new();
    replica.apply(&serde_json::from_value(updates).unwrap(), &mut changes)?;
    Ok(changes)
}

fn interface(name: &str, ofport: Option<i64>) -> Arc<Interface> {
    Arc::new(Interface { name: name.into(), ofport, ..Default::default() })
}

#[test]
fn a_row_comes_changes_and_goes() {
    let uuid: Uuid = ID.parse().unwrap();
    let mut table = Table::<Interface>::default();
    let changes = apply(
        &mut table,
        json!({"Interface": {ID: {"initial": {"name": "p0"}}}, "Other": {ID: {"delete": null}}}),
    );
    assert_eq!(changes.unwrap(), [RowChange::Inserted { uuid, row: interface("p0", None) }]);

    let changes = apply(&mut table, json!({"Interface": {ID: {"modify": {"ofport": 5}}}})).unwrap();
    let (old, row) = (interface("p0", None), interface("p0", Some(5)));
    assert_eq!(changes, [RowChange::Modified { uuid, old, row: row.clone() }]);
    assert_eq!(table.get(uuid), Some(&*row));

    let changes = apply(&mut table, json!({"Interface": {ID: {"delete": null}}})).unwrap();
    assert_eq!(changes, [RowChange::Deleted { uuid, row }]);
    assert!(table.is_empty());
}

#[test]
fn changes_of_columns_that_are_not_used_are_no_changes() {
    let mut table = Table::<Interface>::default();
    apply(&mut table, json!({"Interface": {ID: {"insert": {"name": "p0"}}}})).unwrap();
    let changes = apply(&mut table, json!({"Interface": {ID: {"modify": {"link_resets": 5}}}})).unwrap();
    assert_eq!(changes, []);
    let changes = apply(&mut table, json!({"Interface": {ID: {"insert": {"name": "p0"}}}})).unwrap();
    assert_eq!(changes, []);
}

#[test]
fn a_change_of_an_unknown_row_asks_for_a_new_start() {
    let mut table = Table::<Interface>::default();
    let error = apply(&mut table, json!({"Interface": {ID: {"modify": {"ofport": 5}}}})).unwrap_err();
    assert_eq!(error, ReplicaError::UnknownRow { table: "Interface", uuid: ID.parse().unwrap() });
    assert_eq!(apply(&mut table, json!({"Interface": {ID: {"delete": null}}})).unwrap(), []);
}

#[test]
fn a_switch_finds_the_interfaces_of_a_bridge() {
    let (port, iface) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
    let mut switch = Switch::default();
    let changes = apply(
        &mut switch,
        json!({
            "Bridge": {ID: {"initial": {"name": "br0", "ports": ["uuid", port]}}},
            "Port": {port.to_string(): {"initial": {"name": "p0", "interfaces": ["uuid", iface]}}},
            "Interface": {iface.to_string(): {"initial": {"name": "p0"}}, ID: {"initial": {"name": "other"}}},
        }),
    );
    assert_eq!(changes.unwrap().len(), 4);
    let (_, bridge) = switch.bridge("br0").unwrap();
    assert_eq!(switch.interfaces_of(bridge).collect::<Vec<_>>(), [(iface, &*interface("p0", None))]);
    assert_eq!(switch.bridge("br1"), None);
}
