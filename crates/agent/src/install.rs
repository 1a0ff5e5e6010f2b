//! Puts the CNI plugin and its configuration where the container runtime looks.

use std::path::{Path, PathBuf};

use serde_json::json;
use tracing::info;

/// File name of the plugin.
pub const PLUGIN: &str = "k-vswitch-cni";
/// File name of the configuration: early in the runtime's order, since it takes the first one.
pub const CONFLIST: &str = "10-k-vswitch.conflist";

/// Where things are and go.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// The plugin to install.
    pub plugin: PathBuf,
    /// Directory of plugins, such as `/opt/cni/bin`.
    pub bin_dir: PathBuf,
    /// Directory of network configurations, such as `/etc/cni/net.d`.
    pub conf_dir: PathBuf,
    /// Socket of ovsdb-server, as the plugin will see it.
    pub ovsdb_socket: PathBuf,
    /// The bridge.
    pub bridge: String,
}

/// Why the plugin could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The source cannot be read.
    #[error("cannot read the CNI plugin {path}: {source}: is --cni-plugin right?")]
    Source {
        /// Which file.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] host::Error),
    /// A directory cannot be made.
    #[error("cannot create {path}: {source}: is the directory mounted from the host, and writable?")]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
}

/// Installs the plugin, if the one in place differs. Blocking.
///
/// # Errors
/// When the source cannot be read or the target not be written.
pub fn plugin(options: &InstallOptions) -> Result<(), InstallError> {
    let source = |source| InstallError::Source { path: options.plugin.clone(), source };
    let binary = std::fs::read(&options.plugin).map_err(source)?;
    let path = prepare(&options.bin_dir)?.join(PLUGIN);
    if host::file::install_if_changed(&path, &binary, 0o755)? {
        info!(path = %path.display(), bytes = binary.len(), "CNI plugin installed");
    }
    Ok(())
}

/// Installs the configuration, if the one in place differs. This is what tells the runtime that the node has a
/// network: it comes last. Blocking.
///
/// # Errors
/// When it cannot be written.
pub fn conflist(options: &InstallOptions) -> Result<(), InstallError> {
    let path = prepare(&options.conf_dir)?.join(CONFLIST);
    if host::file::install_if_changed(&path, render(options).as_bytes(), 0o644)? {
        info!(path = %path.display(), "CNI configuration installed");
    }
    Ok(())
}

fn prepare(directory: &Path) -> Result<&Path, InstallError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| InstallError::Directory { path: directory.to_owned(), source })?;
    Ok(directory)
}

/// `cniVersion` is what older runtimes take; newer ones choose the highest they know of `cniVersions` (CNI 1.1.0,
/// section 1) and with 1.1.0 call GC and STATUS.
fn render(options: &InstallOptions) -> String {
    let list = json!({
        "cniVersion": "1.0.0",
        "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        "name": "k-vswitch",
        "plugins": [{
            "type": PLUGIN,
            "ovsdb": options.ovsdb_socket,
            "bridge": options.bridge,
        }],
    });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> InstallOptions {
        InstallOptions {
            plugin: folder.join("source"),
            bin_dir: folder.join("opt/cni/bin"),
            conf_dir: folder.join("etc/cni/net.d"),
            ovsdb_socket: "/run/openvswitch/db.sock".into(),
            bridge: "k-vswitch0".into(),
        }
    }

    #[test]
    fn plugin_and_configuration_are_put_in_place() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        std::fs::write(&options.plugin, b"binary").unwrap();
        plugin(&options).unwrap();
        conflist(&options).unwrap();
        let installed = options.bin_dir.join(PLUGIN);
        assert_eq!(std::fs::read(&installed).unwrap(), b"binary");
        assert_eq!(std::fs::metadata(&installed).unwrap().permissions().mode() & 0o777, 0o755);
        let list: serde_json::Value =
            serde_json::from_slice(&std::fs::read(options.conf_dir.join(CONFLIST)).unwrap()).unwrap();
        assert_eq!(list["plugins"][0]["type"], "k-vswitch-cni");
        assert_eq!(std::fs::read_dir(&options.conf_dir).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn a_missing_source_names_the_file_and_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let text = plugin(&options(folder.path())).unwrap_err().to_string();
        assert!(text.contains("source") && text.contains("--cni-plugin"), "{text}");
    }
}
