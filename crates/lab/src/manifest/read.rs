//! Reading manifests: files of many documents, folders, standard input.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ManifestError, Object};

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is no YAML.
    #[error("{path}: {reason}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// One of its objects is no object.
    #[error("{path}: {source}")]
    Object {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A folder without manifests.
    #[error("{0} has no .yaml, .yml or .json files")]
    Empty(PathBuf),
}

/// All objects of a file, of a folder's `.yaml`, `.yml` and `.json` files in order of their names, or of standard
/// input where the path is `-`.
///
/// # Errors
/// [`ReadError`].
pub fn read(path: &Path) -> Result<Vec<Object>, ReadError> {
    let failed = |source| ReadError::File { path: path.to_owned(), source };
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(failed)?;
        return parse(Path::new("standard input"), &text);
    }
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).map_err(failed)?;
        return parse(path, &text);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(ReadError::Empty(path.to_owned()));
    }
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(|source| ReadError::File { path: file.clone(), source })?;
        objects.extend(parse(&file, &text)?);
    }
    Ok(objects)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Object>, ReadError> {
    let values = documents(text).map_err(|reason| ReadError::Yaml { path: path.to_owned(), reason })?;
    let object =
        |value| Object::new(value).map_err(|source| ReadError::Object { path: path.to_owned(), source });
    values.into_iter().map(object).collect()
}

/// All values of a text of YAML documents; lists of objects are taken apart.
///
/// # Errors
/// What is wrong with it, and where.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    // YAML 1.2: `n` and `yes` are words, not booleans.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.to_string())?;
    let mut values = Vec::new();
    for document in documents {
        match (document.get("kind").and_then(Value::as_str), document.get("items")) {
            (Some("List"), Some(Value::Array(items))) => values.extend(items.iter().cloned()),
            _ if document.is_null() => {}
            _ => values.push(document),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_empty_documents_are_read() {
        let text = "\
# a comment
---
apiVersion: v1
kind: Pod
metadata: {name: a}
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: n}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: c}}
";
        let objects = parse(Path::new("x.yaml"), text).unwrap();
        let names: Vec<_> =
            objects.iter().map(|o| (o.kind.group.as_str(), o.kind.kind.as_str(), o.name.as_str())).collect();
        assert_eq!(names, [("", "Pod", "a"), ("", "Pod", "n"), ("apps", "Deployment", "c")]);
    }

    #[test]
    fn a_bad_manifest_is_named_with_its_fault() {
        for (text, fault) in [
            ("kind: Pod\nmetadata: {name: a}\n", "apiVersion"),
            ("apiVersion: v1\nkind: Pod\n", "metadata.name"),
            ("a: [", "x.yaml"),
            ("just a word", "apiVersion"),
        ] {
            let error = parse(Path::new("x.yaml"), text).unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains("x.yaml"), "{error}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(ReadError::Empty(_))));
        for name in ["b.yaml", "a.yml", "ignored.txt"] {
            let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\n", name.replace('.', "-"));
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let names: Vec<_> = read(folder.path()).unwrap().into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["a-yml", "b-yaml"]);
    }
}
