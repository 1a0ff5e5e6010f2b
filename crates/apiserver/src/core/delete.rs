//! Deletion: grace periods, finalizers, preconditions and propagation.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Core, ListOptions, update::is_finished};
use crate::{
    object,
    resource::Resource,
    status::ApiError,
    store::{Change, Key, Stored},
    view,
};

/// What happens to the objects that name the deleted one as their owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay, without the owner.
    Orphan,
}

impl Propagation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            "Orphan" => Some(Self::Orphan),
            _ => None,
        }
    }

    /// The finalizer that keeps the object until the garbage collector has done this.
    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some(FOREGROUND),
            Self::Orphan => Some(ORPHAN),
        }
    }
}

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// How to delete (`meta/v1` `DeleteOptions`). By default: the kind's own grace period, in the background.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds a pod may take to end; 0 deletes at once.
    pub grace_period_seconds: Option<i64>,
    /// Refuse unless the object has this uid.
    pub uid: Option<String>,
    /// Refuse unless the object is at this version.
    pub resource_version: Option<String>,
    /// What becomes of dependents.
    pub propagation: Option<Propagation>,
    /// Only tell what would happen.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// The options of a request's body; the other fields of `self` stay.
    pub(crate) fn read(&mut self, body: &Value) -> Result<(), ApiError> {
        let text = |path: &[&str]| object::at(body, path).and_then(Value::as_str).map(str::to_owned);
        self.grace_period_seconds = object::int(body, &["gracePeriodSeconds"]).or(self.grace_period_seconds);
        self.uid = text(&["preconditions", "uid"]).or(self.uid.take());
        self.resource_version = text(&["preconditions", "resourceVersion"]).or(self.resource_version.take());
        self.dry_run |= !object::list(body, &["dryRun"]).is_empty();
        if let Some(policy) = text(&["propagationPolicy"]) {
            let parsed = Propagation::parse(&policy);
            let wrong = || ApiError::bad_request(format!("unknown propagationPolicy {policy:?}"));
            self.propagation = Some(parsed.ok_or_else(wrong)?);
        } else if let Some(orphan) = object::at(body, &["orphanDependents"]).and_then(Value::as_bool) {
            self.propagation = Some(if orphan { Propagation::Orphan } else { Propagation::Background });
        }
        Ok(())
    }
}

/// What a deletion came to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this is how it was last.
    Gone(Value),
    /// The object waits for its grace period or its finalizers.
    Waiting(Value),
}

impl Core {
    pub(crate) fn delete(
        &self,
        resource: &Resource,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let (deleted, change) = self.delete_step(resource, key, options)?;
        if let Some(change) = change {
            self.settle(change);
        }
        Ok(deleted)
    }

    /// A deletion whose consequences are still to be settled.
    pub(crate) fn delete_step(
        &self,
        resource: &Resource,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<(Deleted, Option<Arc<Change>>), ApiError> {
        let kept = matches!(&*key.name, "default" | "kube-system" | "kube-public");
        if &*resource.storage == "namespaces" && kept {
            return Err(ApiError::forbidden(resource, &key.name, "this namespace may not be deleted"));
        }
        loop {
            let current = self.stored(resource, key)?;
            check_preconditions(resource, &current, options)?;
            let old = current.value();
            let new = marked(resource, &old, options);
            let show = |value: &Value| view::outward(resource, value.clone());
            if is_finished(&new) {
                if options.dry_run {
                    return Ok((Deleted::Gone(show(&old)), None));
                }
                if let Ok(change) = self.store.remove(&resource.storage, key, current.version) {
                    return Ok((Deleted::Gone(show(&old)), Some(change)));
                }
            } else if options.dry_run || new == old {
                return Ok((Deleted::Waiting(show(&new)), None));
            } else if let Ok(change) = self.store.replace(&resource.storage, current.version, new) {
                return Ok((Deleted::Waiting(show(&change.object.value())), Some(change)));
            }
        }
    }

    /// Deletes everything a list with these options would show, and answers with it.
    pub(crate) fn delete_collection(
        &self,
        resource: &Resource,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Stored>>, ApiError> {
        let objects = self.list(resource, list)?.objects;
        for object in &objects {
            match self.delete(resource, &object.key, options) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(objects)
    }
}

fn check_preconditions(
    resource: &Resource,
    current: &Stored,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let version = current.version.to_string();
    let checks =
        [("UID", &options.uid, &current.uid), ("ResourceVersion", &options.resource_version, &version)];
    for (what, wanted, have) in checks {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != have) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {have}"
            );
            return Err(ApiError::conflict(resource, &current.key.name, &why));
        }
    }
    Ok(())
}

/// The object as its deletion leaves it: marked, with the finalizers the propagation asks for.
fn marked(resource: &Resource, old: &Value, options: &DeleteOptions) -> Value {
    let mut new = old.clone();
    let grace = resource.strategy.grace(old, options.grace_period_seconds);
    let marked = object::is_deleting(old);
    let left = object::int(old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
    if !marked || grace < left {
        // A second deletion can only shorten the time.
        let now = Timestamp::now();
        let end = now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
        object::set(&mut new, &["metadata", "deletionTimestamp"], object::seconds(end));
        object::set(&mut new, &["metadata", "deletionGracePeriodSeconds"], grace);
    }
    if !marked && let Some(generation) = object::int(old, &["metadata", "generation"]) {
        object::set(&mut new, &["metadata", "generation"], generation.saturating_add(1));
    }
    if &*resource.storage == "namespaces" {
        object::set(&mut new, &["status", "phase"], "Terminating");
    }
    if let Some(policy) = options.propagation {
        let mut finalizers: Vec<&str> =
            object::finalizers(&new).filter(|f| ![FOREGROUND, ORPHAN].contains(f)).collect();
        finalizers.extend(policy.finalizer());
        let finalizers = json!(finalizers);
        if finalizers == json!([]) {
            object::remove(&mut new, &["metadata", "finalizers"]);
        } else {
            object::set(&mut new, &["metadata", "finalizers"], finalizers);
        }
    }
    new
}
