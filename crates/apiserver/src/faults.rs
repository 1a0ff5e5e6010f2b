//! Faults on demand, for tests of clients.
//!
//! They concern the HTTP interface. The in-process [`Handle`](crate::Handle) sees one of them only: a watch
//! that has changes yet to read when history is forgotten ends with an error.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use crate::{core::Core, resource::Gvr, status::ApiError};

/// Which requests a fault concerns. An absent condition is met by every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    verb: Option<Verb>,
    resource: Option<String>,
    name: Option<String>,
}

/// What a request does, as audit logs and RBAC name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One object is read.
    Get,
    /// Objects are listed.
    List,
    /// Changes are followed.
    Watch,
    /// An object is made.
    Create,
    /// An object is replaced.
    Update,
    /// An object is patched.
    Patch,
    /// An object is deleted.
    Delete,
    /// Many objects are deleted.
    DeleteCollection,
}

impl Requests {
    /// All requests for resources.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those with this verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only those for the resource with this plural name, whatever its group.
    #[must_use]
    pub fn resource(mut self, plural: impl Into<String>) -> Self {
        self.resource = Some(plural.into());
        self
    }

    /// Only those for objects of this name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn matches(&self, verb: Verb, resource: &str, name: Option<&str>) -> bool {
        self.verb.is_none_or(|wanted| wanted == verb)
            && self.resource.as_ref().is_none_or(|wanted| wanted == resource)
            && self.name.as_deref().is_none_or(|wanted| name == Some(wanted))
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is served after this time.
    Delay(Duration),
    /// 409 `Conflict`, as if another writer had been faster.
    Conflict,
    /// 410 `Expired`, as if the version it names were forgotten.
    Gone,
    /// 429 `TooManyRequests` with this `Retry-After` (whole seconds).
    TooManyRequests(Duration),
    /// 503 `ServiceUnavailable`.
    Unavailable,
}

#[derive(Debug)]
struct Armed {
    requests: Requests,
    fault: Fault,
    /// How many requests it still strikes; `None`: all, until it is cleared.
    left: Option<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    armed: Mutex<Vec<Armed>>,
    down: std::sync::atomic::AtomicBool,
    core: OnceLock<Weak<Core>>,
}

/// Makes a server misbehave. Clones act on the same server.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Inner>);

impl Faults {
    fn armed(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn attach(&self, core: &Arc<Core>) {
        // A server is made once.
        let _ = self.0.core.set(Arc::downgrade(core));
    }

    /// Strikes the next `count` matching requests. Of several faults that match a request, the delays add up
    /// and the first other one answers.
    pub fn inject(&self, requests: Requests, fault: Fault, count: usize) {
        self.armed().push(Armed { requests, fault, left: Some(count) });
    }

    /// Strikes every matching request until [`Faults::clear`].
    pub fn inject_always(&self, requests: Requests, fault: Fault) {
        self.armed().push(Armed { requests, fault, left: None });
    }

    /// Takes all injected faults back, and makes the server available.
    pub fn clear(&self) {
        self.armed().clear();
        self.set_available(true);
    }

    /// How many more requests the injected faults will strike, those that strike always not counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.armed().iter().filter_map(|armed| armed.left).sum()
    }

    /// While not available, the server answers everything with 503; running watches end.
    pub fn set_available(&self, available: bool) {
        self.0.down.store(!available, std::sync::atomic::Ordering::SeqCst);
        if !available {
            self.drop_watches(None);
        }
    }

    /// Ends running watches, of one resource or of all, as a load balancer or a restart would.
    pub fn drop_watches(&self, resource: Option<Gvr<'_>>) {
        self.on_store(resource, |core, storage| core.store.drop_watches(storage));
    }

    /// Forgets the history, of one resource or of all: watches that resume get 410.
    pub fn forget_history(&self, resource: Option<Gvr<'_>>) {
        self.on_store(resource, |core, storage| core.store.forget_history(storage));
    }

    fn on_store(&self, resource: Option<Gvr<'_>>, act: impl Fn(&Core, Option<&str>)) {
        let Some(core) = self.0.core.get().and_then(Weak::upgrade) else { return };
        match resource {
            None => act(&core, None),
            Some(gvr) => {
                if let Some(resource) = core.registry.find(gvr) {
                    act(&core, Some(&resource.storage));
                }
            }
        }
    }

    /// What is to happen to a request: how long it waits, and the answer it gets instead of being served.
    pub(crate) fn strike(
        &self,
        verb: Verb,
        resource: &str,
        name: Option<&str>,
    ) -> (Duration, Option<ApiError>) {
        let (mut delay, mut answer) = (Duration::ZERO, None);
        let mut armed = self.armed();
        for entry in armed.iter_mut().filter(|entry| entry.requests.matches(verb, resource, name)) {
            let error = match entry.fault {
                Fault::Delay(time) => {
                    delay = delay.saturating_add(time);
                    None
                }
                _ if answer.is_some() => continue,
                Fault::Conflict => {
                    let message = "Operation cannot be fulfilled: the object has been modified; please apply \
                                   your changes to the latest version and try again";
                    Some(ApiError::new(409, "Conflict", message))
                }
                Fault::Gone => Some(ApiError::expired("The resourceVersion is too old.")),
                Fault::TooManyRequests(after) => {
                    let message =
                        "the server has received too many requests and has asked us to try again later";
                    Some(ApiError::too_many_requests(after, message))
                }
                Fault::Unavailable => Some(ApiError::unavailable()),
            };
            answer = answer.or(error);
            entry.left = entry.left.map(|left| left.saturating_sub(1));
        }
        armed.retain(|entry| entry.left != Some(0));
        (delay, answer)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.0.down.load(std::sync::atomic::Ordering::SeqCst)
    }
}
