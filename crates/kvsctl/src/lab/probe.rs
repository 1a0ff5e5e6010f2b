//! `kvsctl lab probe`.

use std::time::Duration;

use ::lab::client::request;
use ::lab::probe::{Outcome, Probe, ProbeResult};
use ::lab::protocol::{Ask, Reply, Request, Source, Target};
use ::lab::spec::Family;
use anyhow::{Context as _, bail};
use clap::Args;

use super::{Common, output};
use crate::style::{bold, dim, green, red, yellow};

/// How to probe.
#[derive(Args, Clone)]
pub(super) struct How {
    /// Protocol and port, as TCP/80, UDP/53 or SCTP/9, or ICMP; can be repeated
    #[arg(long = "probe", required = true)]
    pub(super) probes: Vec<Probe>,
    /// Only this address family; by default all that the target has
    #[arg(long)]
    pub(super) family: Option<Family>,
    /// How long to wait for an answer: 500ms, 1s
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Tell in JSON what targets said as well
    #[arg(long)]
    pub(super) answers: bool,
}

impl How {
    pub(super) fn ask(&self, answers: bool) -> Ask {
        Ask {
            probes: self.probes.clone(),
            family: self.family,
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            answers,
        }
    }
}

/// A number with `ms` or `s`, at most an hour.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number > 0.0 && number * unit <= 3600.0 => Ok(Duration::from_secs_f64(number * unit)),
        _ => Err(format!("{text:?} is no time: write 500ms or 1s, at most an hour")),
    }
}

/// One source, one target.
#[derive(Args)]
pub(super) struct Arguments {
    /// NAMESPACE/POD, node:NAME or outside
    #[arg(long)]
    from: Source,
    /// NAMESPACE/POD, an IP address, SERVICE.NAMESPACE, node:NAME or outside
    #[arg(long)]
    to: Target,
    #[command(flatten)]
    how: How,
}

/// Probes and shows what became of it. What that is is no error of the command.
pub(super) fn run(common: &Common, arguments: &Arguments) -> anyhow::Result<()> {
    let answers = arguments.how.answers || !common.json();
    let (from, to) = (arguments.from.clone(), arguments.to.clone());
    let results = results(common, &Request::Probe { from, to, ask: arguments.how.ask(answers) })?;
    if common.json() {
        return output::json(&results);
    }
    let mut rows = vec![["FROM", "TO", "PROBE", "FAMILY", "RESULT", "TIME", ""].map(bold).to_vec()];
    for result in &results {
        let probe = Probe { protocol: result.protocol, port: result.port };
        rows.push(vec![
            result.from.clone(),
            result.to.clone(),
            probe.to_string(),
            result.family.to_string(),
            coloured(result.result, &result.result.to_string()),
            format!("{:.1} ms", result.latency_ms),
            dim(result.answer.as_deref().unwrap_or_default()),
        ]);
    }
    Ok(output::table(&rows)?)
}

/// Sends a request that is answered with results.
pub(super) fn results(common: &Common, asked: &Request) -> anyhow::Result<Vec<ProbeResult>> {
    match request(&common.layout(), asked, |_| {}).context("probing failed")? {
        Reply::Results { results } => Ok(results),
        other => bail!("the supervisor answered something else: {other:?}"),
    }
}

/// Text in the colour of an outcome.
pub(super) fn coloured(outcome: Outcome, text: &str) -> String {
    match outcome {
        Outcome::Connected => green(text),
        Outcome::Refused => yellow(text),
        Outcome::Dropped | Outcome::Error => red(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2500)));
        for bad in ["", "s", "-1s", "0", "1h", "NaN", "inf", "1e9s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
