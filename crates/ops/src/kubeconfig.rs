//! A Kubernetes client from what a program was started with.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// A connection on which nothing has come for this time is given up, and made anew. Watches are told something about once
/// a minute (bookmarks); a connection whose other end has gone without a word, or whose own address has, is silent.
const SILENCE: Duration = Duration::from_secs(90);

/// A client for the cluster of `kubeconfig`, or, without one, for the one this pod runs in. `server` is where its API is
/// reached, for programs that must not need its Service.
///
/// # Errors
/// When the file or the address cannot be used, or when there is neither a file nor a service account.
pub async fn client(kubeconfig: Option<&Path>, server: Option<&str>) -> anyhow::Result<kube::Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig: cannot use {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("--kubeconfig: {} names no usable cluster", path.display()))?
        }
        None => {
            kube::Config::incluster().context("not inside a pod with a service account: pass --kubeconfig")?
        }
    };
    if let Some(server) = server {
        config.cluster_url = server
            .parse()
            .ok()
            .filter(|url: &axum::http::Uri| url.scheme().is_some() && url.host().is_some())
            .with_context(|| format!("--kubernetes-api {server:?}: write https://HOST:PORT"))?;
    }
    config.read_timeout = Some(SILENCE);
    kube::Client::try_from(config).context("cannot make a Kubernetes client")
}
