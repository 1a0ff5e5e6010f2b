//! Errors as CNI tells them: a code, a message, details (CNI specification, section 5, "Error").

use serde::Serialize;

use crate::Version;

/// The result of a CNI operation.
pub(crate) type Result<T> = std::result::Result<T, CniError>;

/// Error codes: 1 to 99 are the specification's, 100 and above are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// 1: the CNI version of the configuration is not supported, or does not have the command.
    IncompatibleVersion,
    /// 2: a field of the configuration is not supported; the message has its key and value.
    UnsupportedField,
    /// 3: the container is unknown or gone; the runtime need not clean up.
    UnknownContainer,
    /// 4: an environment variable is missing or invalid.
    InvalidEnvironment,
    /// 5: input or output failed.
    Io,
    /// 6: the configuration is not JSON, or not of the right types.
    Decode,
    /// 7: the configuration has an invalid value.
    InvalidConfig,
    /// 11: a passing condition; the runtime should try again.
    TryAgain,
    /// 50: no ADD can be served now.
    NotAvailable,
    /// 51: no ADD can be served now and running containers may be affected.
    NotAvailableAndLimited,
    /// 100: the attachment exists already.
    AttachmentExists,
    /// 101: every address of the pod CIDR is taken.
    AddressesExhausted,
    /// 102: the kernel refused to set up or take down an interface.
    Host,
    /// 103: Open vSwitch or its database refused.
    OpenVSwitch,
    /// 104: an attachment is not as it was left.
    CheckFailed,
    /// Whatever a delegated plugin answered.
    Other(u32),
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::UnknownContainer => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::InvalidConfig => 7,
            Self::TryAgain => 11,
            Self::NotAvailable => 50,
            Self::NotAvailableAndLimited => 51,
            Self::AttachmentExists => 100,
            Self::AddressesExhausted => 101,
            Self::Host => 102,
            Self::OpenVSwitch => 103,
            Self::CheckFailed => 104,
            Self::Other(number) => number,
        }
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}{}{details}", if details.is_empty() { "" } else { ": " })]
pub struct CniError {
    /// What kind of failure it is.
    pub code: Code,
    /// One line: what failed.
    pub msg: String,
    /// Why, and what to do about it. May be empty.
    pub details: String,
}

impl CniError {
    /// An error with a cause.
    // By value, so that an error and a string read the same at the many places that call this.
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(code: Code, msg: impl Into<String>, details: impl ToString) -> Self {
        Self { code, msg: msg.into(), details: details.to_string() }
    }

    /// The same error, with something more to know.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        if !self.details.is_empty() {
            self.details.push_str("; ");
        }
        self.details.push_str(more);
        self
    }

    /// The JSON for standard output.
    #[must_use]
    pub fn to_json(&self, version: Version) -> String {
        let json = ErrorJson {
            cni_version: version.as_str(),
            code: self.code.number(),
            msg: &self.msg,
            details: &self.details,
        };
        // A structure of strings and a number always serializes.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'a str,
    code: u32,
    msg: &'a str,
    details: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_of_the_requested_version() {
        let error = CniError::new(Code::TryAgain, "not ready", "why").and("more");
        assert_eq!(
            error.to_json(Version::V0_4_0),
            r#"{"cniVersion":"0.4.0","code":11,"msg":"not ready","details":"why; more"}"#
        );
    }
}
