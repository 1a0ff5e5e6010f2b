//! A Kubernetes client from what a program was started with.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::Uri;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tracing::info;

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
            .filter(usable)
            .with_context(|| format!("--kubernetes-api {server:?}: write https://HOST:PORT"))?;
    }
    config.read_timeout = Some(SILENCE);
    info!(address = %config.cluster_url, "using the Kubernetes API");
    kube::Client::try_from(config).context("cannot make a Kubernetes client")
}

/// `Uri` takes any scheme, and a port that is no number of a port it leaves out.
fn usable(url: &Uri) -> bool {
    let port = |authority: &str| authority.rsplit_once(':').is_none_or(|(_, port)| port.ends_with(']'));
    matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && (url.port().is_some() || url.authority().is_some_and(|all| port(all.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_the_apis() {
        let usable = |text: &str| text.parse().is_ok_and(|url| usable(&url));
        for good in ["https://api:6443", "https://10.0.0.1", "http://[fd00::1]:8080", "https://[fd00::1]"] {
            assert!(usable(good), "{good}");
        }
        for bad in ["api", "api:6443", "ftp://api:6443", "https://", "https://api:99999", "https://api:", ""]
        {
            assert!(!usable(bad), "{bad}");
        }
    }
}
