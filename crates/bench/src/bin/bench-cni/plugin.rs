//! Executing a CNI plugin as a container runtime does (CNI specification 1.1.0, section 3).

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::contestant::POD_NAMESPACE;
use bench::Place;

/// A plugin with its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    /// The executable.
    pub(crate) path: PathBuf,
    /// `CNI_PATH`, where it finds the plugins that it executes itself.
    pub(crate) folder: PathBuf,
    /// What it reads from standard input.
    pub(crate) request: Value,
    /// Variables besides those of CNI.
    pub(crate) environment: Vec<(String, OsString)>,
}

/// A call that went well.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// What the plugin said.
    pub(crate) result: Value,
}

impl Plugin {
    /// Executes a command in the calling thread's network namespace. The time is from before the process is made until
    /// it is known to have ended.
    pub(crate) fn call(
        &self,
        command: &str,
        pod: Option<&Place>,
        previous: Option<&Value>,
    ) -> anyhow::Result<Call> {
        let mut request = self.request.clone();
        if let (Some(request), Some(previous)) = (request.as_object_mut(), previous) {
            request.insert("prevResult".to_owned(), previous.clone());
        }
        let request = request.to_string();
        let mut process = Command::new(&self.path);
        process.env("CNI_COMMAND", command).env("CNI_PATH", &self.folder);
        process.envs(self.environment.iter().map(|(key, value)| (key, value)));
        if let Some(pod) = pod {
            let name = pod.name();
            process.env("CNI_CONTAINERID", name).env("CNI_NETNS", pod.path()).env("CNI_IFNAME", "eth0");
            let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={POD_NAMESPACE};K8S_POD_NAME={name}");
            process.env("CNI_ARGS", args);
        }
        // Ctrl-C is for us: a plugin finishes what it has begun.
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);

        let begin = Instant::now();
        let mut child = process.spawn().with_context(|| format!("cannot execute {}", self.path.display()))?;
        if let Some(mut input) = child.stdin.take() {
            // A plugin that ends without reading says why in its answer.
            let _ = input.write_all(request.as_bytes());
        }
        let output = child.wait_with_output()?;
        let end = Instant::now();
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
            bail!("{} {command} failed ({}): {said}", self.path.display(), output.status);
        }
        let result = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok(Call { begin, end, result })
    }
}
