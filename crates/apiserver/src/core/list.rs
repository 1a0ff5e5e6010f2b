//! Lists: selectors, versions and chunks.

use std::sync::Arc;

use super::Core;
use crate::{
    resource::Resource,
    selector::{FieldSelector, LabelSelector},
    status::ApiError,
    store::{Forgotten, Key, Stored},
};

/// Which objects a list or watch is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// `None`: all namespaces.
    pub(crate) namespace: Option<String>,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    pub(crate) fn matches(&self, object: &Stored) -> bool {
        self.namespace.as_ref().is_none_or(|ns| *ns == object.key.namespace)
            && self.labels.matches(&object.labels)
            && self.fields.matches(|field| object.field(field))
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    NotOlderThan,
    Exact,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) selection: Selection,
    /// Absent or 0: the newest.
    pub(crate) version: Option<u64>,
    pub(crate) version_match: Option<VersionMatch>,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<String>,
}

/// A list, or a chunk of one.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) version: u64,
    pub(crate) objects: Vec<Arc<Stored>>,
    pub(crate) continue_token: Option<String>,
    pub(crate) remaining: Option<usize>,
}

impl Core {
    pub(crate) fn list(&self, resource: &Resource, options: &ListOptions) -> Result<Page, ApiError> {
        let token = options.continue_token.as_deref().map(Token::parse).transpose()?;
        let current = self.store.version();
        if let Some(asked) = options.version.filter(|asked| *asked > current) {
            return Err(ApiError::future_version(asked, current));
        }
        let exact = options.version_match == Some(VersionMatch::Exact);
        let at = token.as_ref().map(|t| t.version).or(options.version.filter(|_| exact));
        let snapshot = self.store.snapshot(&resource.storage, options.selection.namespace.as_deref(), at);
        let snapshot = snapshot.map_err(|Forgotten| {
            let message = if token.is_some() {
                "The provided continue parameter is too old to display a consistent list result. You must start \
                 a new list without the continue parameter."
                    .to_owned()
            } else {
                format!("too old resource version: {}", at.unwrap_or_default())
            };
            ApiError::expired(message)
        })?;
        let after = |object: &Stored| token.as_ref().is_none_or(|t| object.key > t.after);
        let mut objects = snapshot.objects;
        objects.retain(|object| after(object) && options.selection.matches(object));
        let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let (mut continue_token, mut remaining) = (None, None);
        if objects.len() > limit {
            remaining = options.selection.is_everything().then(|| objects.len().saturating_sub(limit));
            objects.truncate(limit);
            continue_token = objects
                .last()
                .map(|last| Token { version: snapshot.version, after: last.key.clone() }.text());
        }
        Ok(Page { version: snapshot.version, objects, continue_token, remaining })
    }
}

/// Where the next chunk of a list begins.
struct Token {
    version: u64,
    after: Key,
}

impl Token {
    fn text(&self) -> String {
        format!("{}/{}/{}", self.version, self.after.namespace, self.after.name)
    }

    fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parts = text.splitn(3, '/');
        let token = (|| {
            let version = parts.next()?.parse().ok()?;
            Some(Self { version, after: Key::new(parts.next()?, parts.next()?) })
        })();
        token.ok_or_else(|| ApiError::bad_request("continue key is not valid"))
    }
}
