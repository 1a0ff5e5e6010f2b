//! Applying and deleting manifests.

use std::path::PathBuf;
use std::process::ExitCode;

use ::lab::manifest::{self, Done, Object, Report};
use anyhow::{Context as _, bail};
use clap::Args;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::{Common, lifecycle, output};
use crate::style::{dim, green, red, yellow};

/// Manifests.
#[derive(Args)]
pub(super) struct Files {
    /// A file, a folder, or - for standard input; can be repeated
    #[arg(short = 'f', long = "filename", required = true)]
    files: Vec<PathBuf>,
}

/// `kvsctl lab apply`.
pub(super) fn apply(common: &Common, files: &Files) -> anyhow::Result<ExitCode> {
    each(common, files, false)
}

/// `kvsctl lab delete`: the last object first.
pub(super) fn delete(common: &Common, files: &Files) -> anyhow::Result<ExitCode> {
    each(common, files, true)
}

/// Goes on after an object that fails, and says so in the end.
fn each(common: &Common, files: &Files, deleting: bool) -> anyhow::Result<ExitCode> {
    let mut objects = Vec::new();
    for file in &files.files {
        objects.extend(manifest::read(file)?);
    }
    if deleting {
        objects.reverse();
    }
    let (reports, failures) = with_client(common, &objects, deleting, !common.json())?;
    if common.json() {
        output::json(&reports)?;
    }
    for failure in &failures {
        eprintln!("{} {failure}", red("error:"));
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Applies objects; the first one that fails is the error.
pub(super) fn apply_objects(common: &Common, objects: &[Object]) -> anyhow::Result<()> {
    let (_, failures) = with_client(common, objects, false, false)?;
    match failures.first() {
        Some(failure) => bail!("{failure}"),
        None => Ok(()),
    }
}

fn with_client(
    common: &Common,
    objects: &[Object],
    deleting: bool,
    tell: bool,
) -> anyhow::Result<(Vec<Report>, Vec<String>)> {
    let path = lifecycle::status_of(&common.layout())?.kubeconfig;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let file = Kubeconfig::read_from(&path)?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config).context("cannot make a Kubernetes client")?;
        let (mut reports, mut failures) = (Vec::new(), Vec::new());
        for object in objects {
            let done = if deleting {
                manifest::delete(&client, object).await
            } else {
                manifest::apply(&client, object).await
            };
            match done {
                Ok(report) => {
                    if tell {
                        show(&report);
                    }
                    reports.push(report);
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        Ok((reports, failures))
    })
}

fn show(report: &Report) {
    let result = report.result.to_string();
    let result = match report.result {
        Done::Created | Done::Configured => green(&result),
        Done::Deleted => yellow(&result),
        Done::Unchanged | Done::Absent => dim(&result),
    };
    println!("{} {result}", report.object);
}
