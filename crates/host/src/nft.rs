//! nftables, through `nft`'s JSON interface. Acts on the namespace of the *calling thread*: use [`crate::Netns::run`].

use nftables::{
    helper::{self, NftablesError},
    schema::Nftables,
};

use crate::{Error, Result};

pub use nftables::{batch, expr, schema, stmt, types};

/// Applies a batch of commands: all or nothing, as `nft -j -f -` does.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn apply(commands: &Nftables<'_>) -> Result<()> {
    helper::apply_ruleset(commands).map_err(|e| Error::Nft(explain(&e)))
}

/// All rules of the namespace.
///
/// # Errors
/// [`Error::Nft`] with what `nft` said.
pub fn list() -> Result<Nftables<'static>> {
    helper::get_current_ruleset().map_err(|e| Error::Nft(explain(&e)))
}

fn explain(error: &NftablesError) -> String {
    match error {
        NftablesError::NftExecution { program, inner } => {
            format!("cannot run {}: {inner}; is the package nftables installed?", program.display())
        }
        NftablesError::NftFailed { hint, stdout, stderr, .. } => {
            format!("nft failed while {hint}: {} {}", stderr.trim(), stdout.trim()).trim_end().to_owned()
        }
        other => other.to_string(),
    }
}
