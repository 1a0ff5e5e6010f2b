use super::*;
use crate::DatabaseSchema;
use crate::Value;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

fn assert_columns<R: TableRow>(schema: &DatabaseSchema, composite: &[&str]) {
    let table = &schema.tables[R::TABLE];
    for column in R::COLUMNS {
        let kind = &table.columns[*column].kind;
        assert_eq!(kind.is_composite(), composite.contains(column), "{}.{column}", R::TABLE);
    }
}

/// Which columns are sets or maps decides how differences are applied, so the structs must agree with the schema.
#[test]
fn the_structs_agree_with_the_installed_schema() {
    let Ok(text) = std::fs::read_to_string(SCHEMA) else {
        println!("SKIPPED: no {SCHEMA}: install openvswitch-switch");
        return;
    };
    let schema: DatabaseSchema = serde_json::from_str(&text).unwrap();
    assert_columns::<OpenVSwitch>(
        &schema,
        &["bridges", "datapath_types", "iface_types", "other_config", "external_ids"],
    );
    assert_columns::<Bridge>(&schema, &["ports", "controller", "protocols", "other_config", "external_ids"]);
    assert_columns::<Port>(&schema, &["interfaces", "other_config", "external_ids"]);
    assert_columns::<Interface>(&schema, &["options", "other_config", "external_ids"]);
    assert_columns::<Controller>(&schema, &["other_config", "external_ids"]);
}

#[test]
fn a_row_is_written_without_its_defaults_and_read_back() {
    let interface = Interface {
        name: "vxlan0".into(),
        kind: "vxlan".into(),
        options: StringMap::from([("key".into(), "flow".into())]),
        ofport_request: Some(2),
        ..Default::default()
    };
    let row = interface.to_row();
    assert_eq!(row.iter().map(|(c, _)| c).collect::<Vec<_>>(), ["name", "ofport_request", "options", "type"]);
    assert_eq!(row.to::<Interface>().unwrap(), interface);
}

#[test]
fn a_difference_changes_only_the_columns_it_names() {
    let mut bridge = Bridge {
        name: "br0".into(),
        external_ids: StringMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]),
        ..Default::default()
    };
    let difference = Row::new()
        .with("external_ids", Value::map([("a", "1"), ("b", "3")]))
        .with("fail_mode", "secure")
        .with("stp_enable", true);
    bridge.apply_difference(&difference).unwrap();
    assert_eq!(bridge.name, "br0");
    assert_eq!(bridge.external_ids, StringMap::from([("b".into(), "3".into())]));
    assert_eq!(bridge.fail_mode.as_deref(), Some("secure"));
}

#[test]
fn a_column_of_another_type_is_named() {
    let error = Row::new().with("ofport", "x").to::<Interface>().unwrap_err();
    assert!(error.to_string().starts_with("column \"ofport\" of table \"Interface\": expected an integer"));
}
