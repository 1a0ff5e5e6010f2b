//! nftables, through `nft`'s JSON interface. Acts on the namespace of the *calling thread*: use [`crate::Netns::run`].

mod deletions;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result};

pub use deletions::{Deletions, Told};

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

/// Whether the namespace has a table of this name in family `inet`.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn has_table(name: &str) -> Result<bool> {
    Ok(tables(&list("tables")?).any(|(family, table)| (family, table) == ("inet", name)))
}

/// Family and name of each table in what `nft -j list` says of tables or of all rules.
pub fn tables(listed: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = listed.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let tables = all.iter().filter_map(|object| object.get("table"));
    tables.filter_map(|table| Some((table.get("family")?.as_str()?, table.get("name")?.as_str()?)))
}

/// All rules of the namespace as `nft -j list ruleset` has them, those of other programs included.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn ruleset() -> Result<Value> {
    list("ruleset")
}

fn list(what: &str) -> Result<Value> {
    let output = Command::new("nft")
        .args(["-j", "list", what])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Nft(format!("cannot run nft: {e}{MISSING}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Nft(format!("nft cannot list the {what}: {said}")));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::Nft(format!("what nft lists cannot be read: {e}")))
}

const MISSING: &str = "; is the package nftables installed?";
