//! `deploy/crds/` holds what the Rust types say.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

/// Regenerate with `UPDATE_CRDS=1 cargo test -p api --test crds`.
#[test]
fn the_definitions_in_deploy_are_generated_from_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    for crd in api::crds() {
        let name = crd.metadata.name.clone().expect("a name");
        let (plural, group) = name.split_once('.').expect("plural.group");
        let path = folder.join(format!("{group}_{plural}.yaml"));
        let value = serde_json::to_value(&crd).unwrap();
        let generated = format!(
            "# Generated from crates/api by UPDATE_CRDS=1 cargo test -p api --test crds\n{}",
            serde_saphyr::to_string(&value).unwrap()
        );
        if std::env::var_os("UPDATE_CRDS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &generated).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(stored, generated, "{} is stale: regenerate it", path.display());
    }
}
