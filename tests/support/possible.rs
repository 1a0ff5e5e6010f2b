//! Whether labs can be brought up where the tests are.

use std::path::{Path, PathBuf};

use crate::real;

/// What `scripts/build` makes.
const PROGRAMS: [&str; 4] = ["kvsctl", "k-vswitchd", "k-vswitch-controller", "k-vswitch-cni"];

/// Folder of the programs: `KVS_BIN_DIR`, or `target/dist`.
#[must_use]
pub fn bin_dir() -> PathBuf {
    match std::env::var_os("KVS_BIN_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist"),
    }
}

/// Why no lab can be brought up here.
fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a lab needs root".to_owned());
    }
    if !Path::new("/usr/share/openvswitch/vswitch.ovsschema").exists() {
        return Some("Open vSwitch is not installed".to_owned());
    }
    let folder = bin_dir();
    let missing = PROGRAMS.iter().find(|program| !folder.join(program).exists())?;
    Some(format!("{missing} is not built: run scripts/build, or set KVS_BIN_DIR"))
}

/// Whether labs can be brought up here. Says why when not.
#[must_use]
pub fn possible() -> bool {
    possible_with(real::chosen())
}

/// The same, for a real Kubernetes or for a simulated one.
pub(crate) fn possible_with(real: bool) -> bool {
    let of_real = || real::obstacle().filter(|_| real).map(|reason| format!("a real Kubernetes: {reason}"));
    if let Some(reason) = obstacle().or_else(of_real) {
        println!("SKIPPED: {reason}");
        return false;
    }
    true
}
