//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// What is not logged unless it is asked for.
const SILENT: &str = "kube_client::client::builder=off";

/// Starts logging to standard error. `filter` is a `tracing` directive such as `info` or `info,ovs=debug`.
///
/// # Errors
/// When `filter` is no such directive.
pub fn init_logs(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let given = EnvFilter::builder().parse(filter).map_err(|e| {
        anyhow::anyhow!("--log: {filter:?} is no log filter such as info or info,ovs=debug: {e}")
    })?;
    // It says of each failed request that it failed, and we say why.
    let filter = if filter.contains("kube_client") { given } else { given.add_directive(SILENT.parse()?) };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
