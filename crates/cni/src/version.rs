//! The versions of the CNI specification this plugin speaks.

use std::fmt;

use crate::{CniError, Code};

/// A supported version. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.3.0: interfaces, addresses and routes in the result; chaining.
    V0_3_0,
    /// 0.3.1: a corrected text.
    V0_3_1,
    /// 0.4.0: CHECK; `prevResult` on DEL.
    V0_4_0,
    /// 1.0.0: addresses without `version`.
    V1_0_0,
    /// 1.1.0: STATUS and GC; MTU and more in the result.
    V1_1_0,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// The newest.
    pub const LATEST: Self = Self::V1_1_0;

    /// As it is written in `cniVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Reads `cniVersion`.
    ///
    /// # Errors
    /// Code 1, with the versions that would do.
    pub fn parse(text: &str) -> Result<Self, CniError> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            CniError::new(
                Code::IncompatibleVersion,
                format!("CNI version {text:?} is not supported"),
                format!("set cniVersion of the network configuration to one of {}", supported()),
            )
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn supported() -> String {
    Version::ALL.map(Version::as_str).join(", ")
}

/// The answer to VERSION, for the `cniVersion` that was asked with.
#[must_use]
pub(crate) fn answer(asked: Option<Version>) -> String {
    let asked = asked.unwrap_or(Version::LATEST).as_str();
    let supported = Version::ALL.map(Version::as_str);
    serde_json::json!({ "cniVersion": asked, "supportedVersions": supported }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_and_are_ordered_by_age() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Ok(version));
        }
        assert!(Version::ALL.is_sorted());
    }

    #[test]
    fn an_unknown_version_is_code_1_and_lists_what_would_do() {
        for text in ["", "0.2.0", "2.0.0", "1.1", "v1.0.0"] {
            let error = Version::parse(text).unwrap_err();
            assert_eq!(error.code.number(), 1);
            assert!(error.details.contains("0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"), "{error}");
        }
    }

    #[test]
    fn version_answers_in_the_version_it_was_asked_in() {
        let answer: serde_json::Value = serde_json::from_str(&answer(Some(Version::V0_4_0))).unwrap();
        assert_eq!(answer["cniVersion"], "0.4.0");
        assert_eq!(answer["supportedVersions"].as_array().unwrap().len(), 5);
    }
}
