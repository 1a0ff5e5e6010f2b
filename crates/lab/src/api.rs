//! The lab's Kubernetes API: the embedded one, or a real one made reachable from inside the lab.
//!
//! Programs inside the lab always find it at the control plane's underlay address; people find it on loopback (or
//! where it was before). Each has a kubeconfig.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::layout::{Layout, Place};
use crate::netns::{self, EnterError};
use crate::plan;
use crate::spec::ApiSource;

/// How long the way into the lab may take.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(5);

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The control plane's namespace is gone.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// An address could not be listened on.
    #[error("cannot listen on {address} for the API: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A kubeconfig could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The given kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No client could be made.
    #[error("cannot make a Kubernetes client: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// The API while the lab lives.
pub struct ApiEndpoint {
    /// The supervisor's own client.
    pub client: Client,
    /// Where people find it.
    pub url: String,
    _tasks: JoinSet<()>,
}

impl ApiEndpoint {
    /// Starts the embedded API, or a way to a real one, and writes both kubeconfigs.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn start(source: &ApiSource, layout: &Layout) -> Result<Self, ApiError> {
        match source {
            // A whole Kubernetes brings its own.
            ApiSource::Embedded | ApiSource::Kubernetes => Self::embedded(layout).await,
            ApiSource::Kubeconfig(path) => Self::external(layout, path).await,
        }
    }

    /// One that somebody else runs inside the lab.
    pub(crate) const fn new(client: Client, url: String, tasks: JoinSet<()>) -> Self {
        Self { client, url, _tasks: tasks }
    }

    /// A port on loopback for people, that leads to the API inside the lab.
    pub(crate) async fn forward_from_loopback(layout: &Layout) -> Result<(u16, JoinSet<()>), ApiError> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = |source| ApiError::Listen { address: loopback, source };
        let listener = TcpListener::bind(loopback).await.map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        let place = layout.netns(&Place::ControlPlane);
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(listener, move || {
            let place = place.clone();
            async move {
                let connect = || std::net::TcpStream::connect_timeout(&inside(), CONNECT);
                let opened = netns::within(&place, connect).await.map_err(io::Error::other)??;
                opened.set_nonblocking(true)?;
                TcpStream::from_std(opened)
            }
        }));
        Ok((port, tasks))
    }

    async fn embedded(layout: &Layout) -> Result<Self, ApiError> {
        let server = apiserver::Server::builder().build();
        let inner = listen_inside(layout).await?;
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = |source| ApiError::Listen { address: loopback, source };
        let outer = TcpListener::bind(loopback).await.map_err(listen)?;
        let url = format!("http://{}", outer.local_addr().map_err(listen)?);
        let mut tasks = JoinSet::new();
        for listener in [inner, outer] {
            let server = server.clone();
            tasks.spawn(async move {
                if let Err(error) = server.serve(listener).await {
                    tracing::error!(%error, "the embedded API ended");
                }
            });
        }
        write_plain(layout, &layout.kubeconfig(), &url)?;
        write_plain(layout, &layout.inner_kubeconfig(), &format!("http://{}", inside()))?;
        let config = url
            .parse()
            .map(kube::Config::new)
            .map_err(|_| ApiError::Listen { address: loopback, source: io::ErrorKind::InvalidData.into() })?;
        let client = Client::try_from(config).map_err(|error| ApiError::Client(Box::new(error)))?;
        Ok(Self { client, url, _tasks: tasks })
    }

    async fn external(layout: &Layout, path: &Path) -> Result<Self, ApiError> {
        let unusable = |reason: String| ApiError::Kubeconfig { path: path.to_owned(), reason };
        let file = Kubeconfig::read_from(path).map_err(|error| unusable(error.to_string()))?;
        let file = only_current(file).ok_or_else(|| unusable("it has no current context".to_owned()))?;
        let mut inner = file.clone();
        let cluster = inner.clusters.first_mut().and_then(|named| named.cluster.as_mut());
        let cluster = cluster.ok_or_else(|| unusable("its cluster is not described".to_owned()))?;
        let url = cluster.server.clone().unwrap_or_default();
        let (scheme, authority) =
            url.split_once("://").ok_or_else(|| unusable(format!("{url:?} is no URL of a server")))?;
        let authority = authority.split('/').next().unwrap_or_default().to_owned();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host.to_owned(), port.to_owned()),
            _ => (authority.clone(), if scheme == "https" { "443" } else { "80" }.to_owned()),
        };
        // The certificate is still the one of the server's own name.
        cluster.tls_server_name.get_or_insert_with(|| host.trim_matches(['[', ']']).to_owned());
        cluster.server = Some(format!("{scheme}://{}", inside()));
        write(&layout.kubeconfig(), &file)?;
        write(&layout.inner_kubeconfig(), &inner)?;

        let listener = listen_inside(layout).await?;
        let mut tasks = JoinSet::new();
        let server = format!("{host}:{port}");
        tasks.spawn(forward(listener, move || TcpStream::connect(server.clone())));
        Ok(Self { client: client_of(&layout.kubeconfig()).await?, url, _tasks: tasks })
    }
}

/// A client for the cluster of a kubeconfig.
pub(crate) async fn client_of(path: &Path) -> Result<Client, ApiError> {
    let unusable = |reason: String| ApiError::Kubeconfig { path: path.to_owned(), reason };
    let file = Kubeconfig::read_from(path).map_err(|error| unusable(error.to_string()))?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(error.to_string()))?;
    Client::try_from(config).map_err(|error| ApiError::Client(Box::new(error)))
}

/// The API's address inside the lab.
fn inside() -> SocketAddr {
    SocketAddr::from((plan::CONTROL_PLANE.ipv4, plan::API_PORT))
}

async fn listen_inside(layout: &Layout) -> Result<TcpListener, ApiError> {
    let place = layout.netns(&Place::ControlPlane);
    let opened = netns::within(&place, || {
        let listener = std::net::TcpListener::bind(inside())?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    opened.await?.map_err(|source| ApiError::Listen { address: inside(), source })
}

/// Copies bytes between whoever connects to the listener and a server.
async fn forward<C, F>(listener: TcpListener, connect: C)
where
    C: Fn() -> F,
    F: Future<Output = io::Result<TcpStream>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let connecting = connect();
        connections.spawn(async move {
            match connecting.await {
                // Either side may go away at any time; the other one notices.
                Ok(mut server) => drop(tokio::io::copy_bidirectional(&mut client, &mut server).await),
                Err(error) => tracing::warn!(%error, "the API cannot be reached"),
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The kubeconfig reduced to its current context.
fn only_current(mut file: Kubeconfig) -> Option<Kubeconfig> {
    let current = file.current_context.clone()?;
    file.contexts.retain(|context| context.name == current);
    let context = file.contexts.first()?.context.clone()?;
    file.clusters.retain(|cluster| cluster.name == context.cluster);
    file.auth_infos.retain(|user| context.user.as_ref() == Some(&user.name));
    Some(file)
}

/// A kubeconfig for a server that asks for no credentials.
fn write_plain(layout: &Layout, path: &Path, url: &str) -> Result<(), ApiError> {
    let name = format!("kvs-lab-{}", layout.name());
    write(
        path,
        &json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": url}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {}}],
        }),
    )
}

/// Every JSON document is a YAML document.
fn write(path: &Path, content: &impl serde::Serialize) -> Result<(), ApiError> {
    let failed = |source| ApiError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec_pretty(content).map_err(|error| failed(error.into()))?;
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    let mut file = options.open(path).map_err(failed)?;
    io::Write::write_all(&mut file, &text).map_err(failed)
}
