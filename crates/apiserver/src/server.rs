//! A server: made from a builder, served on listeners.

use std::{io, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch};

use crate::{
    core::{Admit, Core, Settings},
    faults::Faults,
    handle::Handle,
    http,
};

/// How many changes of each resource are remembered unless the builder says otherwise.
const HISTORY: usize = 4096;

/// How often an idle watch gets a bookmark unless the builder says otherwise.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(30);

/// An in-memory Kubernetes API.
#[derive(Debug, Clone)]
pub struct Server {
    core: Arc<Core>,
    stop: watch::Sender<bool>,
}

/// Settings of a [`Server`].
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    admit: Vec<Arc<dyn Admit>>,
}

impl Builder {
    /// How many changes of each resource are remembered for watches that resume; at least one.
    #[must_use]
    pub fn history(mut self, changes: usize) -> Self {
        self.settings.history = changes;
        self
    }

    /// How often watches that ask for bookmarks get one.
    #[must_use]
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.settings.bookmark_interval = interval;
        self
    }

    /// Adds an admission plugin; they are asked in the order they were added.
    #[must_use]
    pub fn admit(mut self, plugin: Arc<dyn Admit>) -> Self {
        self.admit.push(plugin);
        self
    }

    /// The server, with its default namespaces and nothing else in it.
    #[must_use]
    pub fn build(self) -> Server {
        Server { core: Core::new(self.settings, self.admit), stop: watch::Sender::new(false) }
    }
}

impl Server {
    /// Default settings.
    #[must_use]
    pub fn builder() -> Builder {
        let settings = Settings { history: HISTORY, bookmark_interval: BOOKMARK_INTERVAL };
        Builder { settings, admit: Vec::new() }
    }

    /// The API without HTTP.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.core.clone())
    }

    /// The switch for faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.core.faults.clone()
    }

    /// Serves plain HTTP/1.1 on a listener until [`Server::shutdown`]. May be called for any number of
    /// listeners, which can be of other network namespaces than the caller's.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let mut stop = self.stop.subscribe();
        let core = self.core.clone();
        let stopped = async move {
            // An error means that the server itself is gone.
            let _ = stop.wait_for(|stop| *stop).await;
            // Watches would otherwise keep their connections open.
            core.store.drop_watches(None);
        };
        axum::serve(listener, http::router(self.core.clone())).with_graceful_shutdown(stopped).await
    }

    /// Ends all watches and lets [`Server::serve`] return once the requests under way have their answers.
    pub fn shutdown(&self) {
        self.stop.send_replace(true);
    }
}
