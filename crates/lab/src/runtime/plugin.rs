//! Executing plugins (CNI specification 1.1.0, sections 2, 4 and 5).

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{ConfigError, NetworkConfig};
use crate::netns::{self, EnterError};
use crate::patience::patience;

/// How long a plugin may take. containerd waits for minutes; here a hanging plugin should show.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a plugin did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No configuration has been installed.
    #[error("no network configuration in {0}: the node's daemon has not installed it yet")]
    NotConfigured(PathBuf),
    /// The node's namespace is gone.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The plugin could not be executed.
    #[error("cannot execute the plugin {plugin}: {source}")]
    Execute {
        /// The executable.
        plugin: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The plugin did not end.
    #[error("the plugin {plugin} did not end its {command} in {} s", patience(PATIENCE).as_secs())]
    Hangs {
        /// The plugin's type.
        plugin: String,
        /// The command.
        command: &'static str,
    },
    /// The plugin answered with an error (section 5, "Error").
    #[error("{plugin} {command}: {message} (code {code})")]
    Plugin {
        /// The plugin's type.
        plugin: String,
        /// The command.
        command: &'static str,
        /// The error code.
        code: u32,
        /// Message and details.
        message: String,
    },
    /// The plugin's answer is not JSON, or not a result.
    #[error("{plugin} {command} answered something else than a result: {said:?}")]
    Answer {
        /// The plugin's type.
        plugin: String,
        /// The command.
        command: &'static str,
        /// What it said.
        said: String,
    },
}

/// One interface of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
    /// The pod's namespace.
    pub pod_namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's uid.
    pub pod_uid: String,
}

impl Attachment {
    /// `CNI_ARGS` as container runtimes give them for a pod.
    fn args(&self) -> String {
        format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
            self.pod_namespace, self.pod_name, self.container_id, self.pod_uid
        )
    }
}

/// The result of an ADD: as the plugin said it, for later commands, and the addresses in it.
#[derive(Debug, Clone, PartialEq)]
pub struct CniResult {
    /// The whole result.
    pub raw: Value,
    /// The addresses, in the plugin's order.
    pub addresses: Vec<IpAddr>,
}

/// A node's container runtime, as far as networks go.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Network namespace of the node, where plugins run.
    pub netns: PathBuf,
    /// Folder of plugins.
    pub bin_dir: PathBuf,
    /// Folder of configuration.
    pub conf_dir: PathBuf,
}

impl Runtime {
    /// The configuration in force.
    ///
    /// # Errors
    /// [`CniError::NotConfigured`] when there is none.
    pub fn config(&self) -> Result<NetworkConfig, CniError> {
        NetworkConfig::load(&self.conf_dir)?.ok_or_else(|| CniError::NotConfigured(self.conf_dir.clone()))
    }

    /// Adds a sandbox to the network: every plugin in turn, each given the result of the one before.
    ///
    /// # Errors
    /// [`CniError`]; the caller then gives the sandbox up with [`Runtime::del`].
    pub async fn add(&self, attachment: &Attachment) -> Result<CniResult, CniError> {
        #[derive(Deserialize)]
        struct Ips {
            #[serde(default)]
            ips: Vec<Ip>,
        }
        #[derive(Deserialize)]
        struct Ip {
            address: IpNet,
        }
        let config = self.config()?;
        let mut result = None;
        for plugin in &config.plugins {
            let request = config.request(plugin, result.as_ref());
            result = Some(self.execute("ADD", plugin, &request, Some(attachment)).await?);
        }
        let raw = result.unwrap_or_default();
        match Ips::deserialize(&raw) {
            Ok(Ips { ips }) => {
                Ok(CniResult { raw, addresses: ips.iter().map(|ip| ip.address.addr()).collect() })
            }
            Err(_) => Err(CniError::Answer { plugin: config.name, command: "ADD", said: raw.to_string() }),
        }
    }

    /// Takes a sandbox off the network: every plugin in reverse order, each given the result of ADD.
    ///
    /// # Errors
    /// [`CniError`] of the first plugin that fails; it can be repeated.
    pub async fn del(&self, attachment: &Attachment, result: Option<&CniResult>) -> Result<(), CniError> {
        let config = self.config()?;
        for plugin in config.plugins.iter().rev() {
            let request = config.request(plugin, result.map(|result| &result.raw));
            self.execute("DEL", plugin, &request, Some(attachment)).await?;
        }
        Ok(())
    }

    /// Whether ADD could be served now (section 4, STATUS; plugins of versions before 1.1.0 have none).
    ///
    /// # Errors
    /// [`CniError`] when it could not.
    pub async fn status(&self) -> Result<(), CniError> {
        let config = self.config()?;
        let old = ["0.", "1.0."].iter().any(|prefix| config.cni_version.starts_with(prefix));
        for plugin in config.plugins.iter().filter(|_| !old) {
            let request = config.request(plugin, None);
            self.execute("STATUS", plugin, &request, None).await?;
        }
        Ok(())
    }

    async fn execute(
        &self,
        command: &'static str,
        plugin: &Map<String, Value>,
        request: &Value,
        attachment: Option<&Attachment>,
    ) -> Result<Value, CniError> {
        let name = plugin.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = self.bin_dir.join(&name);
        let mut prepared = Command::new(&path);
        prepared.env("CNI_COMMAND", command).env("CNI_PATH", &self.bin_dir);
        if let Some(attachment) = attachment {
            prepared
                .env("CNI_CONTAINERID", &attachment.container_id)
                .env("CNI_NETNS", &attachment.netns)
                .env("CNI_IFNAME", "eth0")
                .env("CNI_ARGS", attachment.args());
        }
        prepared.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let executing = |source| CniError::Execute { plugin: path.clone(), source };
        let mut child = netns::within(&self.netns, move || prepared.spawn()).await?.map_err(executing)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A plugin that ends without reading says why in its answer.
            let _ = stdin.write_all(request.to_string().as_bytes()).await;
        }
        let output = tokio::time::timeout(patience(PATIENCE), child.wait_with_output())
            .await
            .map_err(|_| CniError::Hangs { plugin: name.clone(), command })?
            .map_err(executing)?;
        if output.status.success() {
            if output.stdout.iter().all(u8::is_ascii_whitespace) {
                return Ok(Value::Null);
            }
            return serde_json::from_slice(&output.stdout).map_err(|_| CniError::Answer {
                plugin: name,
                command,
                said: String::from_utf8_lossy(&output.stdout).into_owned(),
            });
        }
        Err(failure(name, command, &output))
    }
}

fn failure(plugin: String, command: &'static str, output: &std::process::Output) -> CniError {
    #[derive(Deserialize)]
    struct Failure {
        code: u32,
        msg: String,
        #[serde(default)]
        details: String,
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(Failure { code, msg, details }) => {
            let message = if details.is_empty() { msg } else { format!("{msg}: {details}") };
            CniError::Plugin { plugin, command, code, message }
        }
        Err(_) => {
            let said = [&output.stdout[..], &output.stderr[..]].concat();
            let said = format!("{}; {}", output.status, String::from_utf8_lossy(&said).trim());
            CniError::Answer { plugin, command, said }
        }
    }
}
