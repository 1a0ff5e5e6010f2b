//! Network configuration lists (CNI specification 1.1.0, section 1).

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// The versions of the specification that this runtime knows, the highest first.
const VERSIONS: [&str; 5] = ["1.1.0", "1.0.0", "0.4.0", "0.3.1", "0.3.0"];

/// Why a node's network configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is not a network configuration list.
    #[error("{path} is no network configuration list: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A network configuration list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfig {
    /// Version of the specification that the list is written to; after [`NetworkConfig::load`], the one in force.
    pub cni_version: String,
    /// All versions that the list can be used with. Runtimes take the highest that they know (libcni 1.2 and newer).
    #[serde(default)]
    pub cni_versions: Vec<String>,
    /// Name of the network.
    pub name: String,
    /// The plugins' configurations in the order of ADD.
    pub plugins: Vec<Map<String, Value>>,
}

impl NetworkConfig {
    /// The list a runtime uses: the first in alphabetical order. `None` while there is none, or only files being
    /// written under other names.
    ///
    /// # Errors
    /// [`ConfigError`] when the folder or the file cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, ConfigError> {
        let read = |path: &Path, source| ConfigError::Read { path: path.to_owned(), source };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(folder, error)),
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let first = paths.filter(|path| path.extension().is_some_and(|ext| ext == "conflist")).min();
        let Some(path) = first else { return Ok(None) };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(&path, error)),
        };
        let mut config: Self =
            serde_json::from_slice(&text).map_err(|source| ConfigError::Parse { path, source })?;
        if let Some(best) = VERSIONS.iter().find(|known| config.cni_versions.iter().any(|v| v == *known)) {
            config.cni_version = (*best).to_owned();
        }
        Ok(Some(config))
    }

    /// What a plugin of this list reads from its standard input (section 3, "deriving request parameters").
    #[must_use]
    pub fn request(&self, plugin: &Map<String, Value>, previous: Option<&Value>) -> Value {
        let mut request = plugin.clone();
        request.remove("capabilities");
        request.insert("cniVersion".to_owned(), self.cni_version.clone().into());
        request.insert("name".to_owned(), self.name.clone().into());
        if let Some(previous) = previous {
            request.insert("prevResult".to_owned(), previous.clone());
        }
        Value::Object(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIST: &str = r#"{"cniVersion": "1.1.0", "name": "net", "plugins": [
        {"type": "a", "x": 1, "capabilities": {"portMappings": true}}]}"#;

    #[test]
    fn the_first_list_is_taken_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(NetworkConfig::load(&folder.path().join("missing")).unwrap(), None);
        assert_eq!(NetworkConfig::load(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("00-a.conflist.tmp"), "{").unwrap();
        std::fs::write(folder.path().join("20-b.conflist"), "{").unwrap();
        let error = NetworkConfig::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("20-b.conflist"), "{error}");
        std::fs::write(folder.path().join("10-a.conflist"), LIST).unwrap();
        assert_eq!(NetworkConfig::load(folder.path()).unwrap().unwrap().name, "net");
    }

    #[test]
    fn the_highest_version_that_both_know_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let load = |versions: &str| {
            let text =
                LIST.replace(r#""cniVersion": "1.1.0","#, &format!(r#""cniVersion": "0.4.0", {versions}"#));
            std::fs::write(folder.path().join("10-a.conflist"), text).unwrap();
            NetworkConfig::load(folder.path()).unwrap().unwrap().cni_version
        };
        assert_eq!(load(""), "0.4.0");
        assert_eq!(load(r#""cniVersions": ["0.4.0", "1.0.0", "1.1.0", "9.0.0"],"#), "1.1.0");
        assert_eq!(load(r#""cniVersions": ["9.0.0"],"#), "0.4.0");
    }

    #[test]
    fn a_request_has_the_version_the_name_and_the_previous_result() {
        let list: NetworkConfig = serde_json::from_str(LIST).unwrap();
        assert_eq!(
            list.request(&list.plugins[0], Some(&json!({"ips": []}))),
            json!({"type": "a", "x": 1, "cniVersion": "1.1.0", "name": "net", "prevResult": {"ips": []}})
        );
    }
}
