//! nftables, through `nft`'s JSON interface. Acts on the namespace of the *calling thread*: use [`crate::Netns::run`].

use std::io::Write as _;
use std::process::{Command, Stdio};

use nftables::{
    helper::{self, NftablesError},
    schema::Nftables,
};
use serde::Serialize;

use crate::{Error, Result};

pub use nftables::{batch, expr, schema, stmt, types};

/// Applies a batch of commands, as libnftables-json(5) has them: all or nothing, as `nft -j -f -` does.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn apply(commands: &impl Serialize) -> Result<()> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Error::Nft(format!("{what}: {error}"));
    let commands = serde_json::to_vec(commands).map_err(|e| failed("cannot write commands for nft", &e))?;
    let no_nft = |e: std::io::Error| failed("cannot run nft", &format_args!("{e}{MISSING}"));
    let mut nft = Command::new("nft")
        .args(["-j", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_nft)?;
    // It reads everything before it says anything. If it ends before that, what it says is why.
    let written = nft.stdin.take().map(|mut stdin| stdin.write_all(&commands));
    let output = nft.wait_with_output().map_err(no_nft)?;
    if !output.status.success() {
        let said =
            [output.stderr, output.stdout].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        return Err(Error::Nft(format!("nft refused the rules: {}", said.join(" ").trim())));
    }
    written.unwrap_or(Ok(())).map_err(|e| failed("cannot hand commands to nft", &e))
}

/// All rules of the namespace.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn list() -> Result<Nftables<'static>> {
    helper::get_current_ruleset().map_err(|e| Error::Nft(explain(&e)))
}

/// All rules of the namespace as `nft -j list ruleset` has them, those of other programs included: iptables' own
/// expressions have no place in [`Nftables`].
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn ruleset() -> Result<serde_json::Value> {
    let output = Command::new("nft")
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Nft(format!("cannot run nft: {e}{MISSING}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Nft(format!("nft cannot list the rules: {said}")));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::Nft(format!("what nft lists cannot be read: {e}")))
}

const MISSING: &str = "; is the package nftables installed?";

fn explain(error: &NftablesError) -> String {
    match error {
        NftablesError::NftExecution { program, inner } => {
            format!("cannot run {}: {inner}{MISSING}", program.display())
        }
        NftablesError::NftFailed { hint, stdout, stderr, .. } => {
            format!("nft failed while {hint}: {} {}", stderr.trim(), stdout.trim()).trim_end().to_owned()
        }
        other => other.to_string(),
    }
}
