//! Query parameters.

use std::time::Duration;

use crate::{
    core::{
        DeleteOptions, FieldValidation, ListOptions, Propagation, Selection, VersionMatch, WatchOptions,
        WriteOptions,
    },
    resource::Resource,
    selector::{FieldSelector, LabelSelector},
    status::{ApiError, Errors},
    table::Include,
};

/// How long a watch lasts that does not say.
const WATCH_TIMEOUT: Duration = Duration::from_secs(3600);

/// The parameters of `ListOptions`, `CreateOptions` and their kin, in text form.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) watch: bool,
    label_selector: String,
    field_selector: String,
    version: String,
    version_match: String,
    limit: Option<usize>,
    continue_token: String,
    timeout: Option<u64>,
    bookmarks: bool,
    send_initial: Option<bool>,
    dry_run: bool,
    fields: FieldValidation,
    manager: String,
    force: bool,
    grace: Option<i64>,
    propagation: Option<Propagation>,
    pub(super) include: Option<Include>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            query.set(&name, &value)?;
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        let wrong = || ApiError::bad_request(format!("invalid value {value:?} for parameter {name}"));
        let boolean = || match value {
            "true" | "1" | "True" | "" => Ok(true),
            "false" | "0" | "False" => Ok(false),
            _ => Err(wrong()),
        };
        match name {
            "watch" => self.watch = boolean()?,
            "labelSelector" => value.clone_into(&mut self.label_selector),
            "fieldSelector" => value.clone_into(&mut self.field_selector),
            "resourceVersion" => value.clone_into(&mut self.version),
            "resourceVersionMatch" => value.clone_into(&mut self.version_match),
            "limit" => self.limit = Some(value.parse().map_err(|_| wrong())?),
            "continue" => value.clone_into(&mut self.continue_token),
            "timeoutSeconds" => self.timeout = Some(value.parse().map_err(|_| wrong())?),
            "allowWatchBookmarks" => self.bookmarks = boolean()?,
            "sendInitialEvents" => self.send_initial = Some(boolean()?),
            "dryRun" => {
                self.dry_run = match value {
                    "All" => true,
                    "" => false,
                    _ => return Err(wrong()),
                }
            }
            "fieldValidation" => {
                self.fields = match value {
                    "Ignore" => FieldValidation::Ignore,
                    "Warn" | "" => FieldValidation::Warn,
                    "Strict" => FieldValidation::Strict,
                    _ => return Err(wrong()),
                }
            }
            "fieldManager" => value.clone_into(&mut self.manager),
            "force" => self.force = boolean()?,
            "gracePeriodSeconds" => self.grace = Some(value.parse().map_err(|_| wrong())?),
            "propagationPolicy" => self.propagation = Some(Propagation::parse(value).ok_or_else(wrong)?),
            "includeObject" => {
                self.include = Some(match value {
                    "None" => Include::Nothing,
                    "Object" => Include::Object,
                    _ => Include::Metadata,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// What is listed or watched: everything in `namespace` that the selectors match, and only `name` if given.
    fn selection(
        &self,
        resource: &Resource,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<Selection, ApiError> {
        let mut fields = self.field_selector.clone();
        if let Some(name) = name {
            fields = format!("{fields},metadata.name={name}");
        }
        Ok(Selection {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            labels: LabelSelector::parse(&self.label_selector)?,
            fields: FieldSelector::parse(&fields, &resource.selectable)?,
        })
    }

    fn version(&self) -> Result<Option<u64>, ApiError> {
        if self.version.is_empty() {
            return Ok(None);
        }
        let message = format!("invalid resource version {:?}", self.version);
        self.version.parse().map(Some).map_err(|_| ApiError::bad_request(message))
    }

    pub(super) fn list(&self, resource: &Resource, namespace: &str) -> Result<ListOptions, ApiError> {
        let version_match = match &*self.version_match {
            "" => None,
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            other => return Err(invalid("resourceVersionMatch", &format!("unsupported value {other:?}"))),
        };
        let version = self.version()?;
        let paging = !self.continue_token.is_empty();
        if version_match.is_some() && (version.is_none() || paging) {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            return Err(invalid("resourceVersionMatch", why));
        }
        if version_match == Some(VersionMatch::Exact) && version == Some(0) {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            return Err(invalid("resourceVersionMatch", why));
        }
        if paging && version.is_some_and(|v| v > 0) {
            let why = "specifying resource version is not allowed when using continue";
            return Err(ApiError::bad_request(why));
        }
        Ok(ListOptions {
            selection: self.selection(resource, namespace, None)?,
            version: version.filter(|_| !paging),
            version_match,
            limit: self.limit,
            continue_token: paging.then(|| self.continue_token.clone()),
        })
    }

    pub(super) fn watch(
        &self,
        resource: &Resource,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<WatchOptions, ApiError> {
        match self.send_initial {
            Some(_) if self.version_match != "NotOlderThan" => {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(invalid("resourceVersionMatch", why));
            }
            None if !self.version_match.is_empty() => {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                return Err(invalid("resourceVersionMatch", why));
            }
            _ => {}
        }
        Ok(WatchOptions {
            selection: self.selection(resource, namespace, name)?,
            version: self.version()?,
            send_initial: self.send_initial,
            bookmarks: self.bookmarks,
            timeout: Some(self.timeout.map_or(WATCH_TIMEOUT, Duration::from_secs)),
            steadfast: false,
        })
    }

    pub(super) fn write(&self) -> WriteOptions {
        WriteOptions {
            dry_run: self.dry_run,
            fields: self.fields,
            manager: self.manager.clone(),
            force: self.force,
            ..WriteOptions::default()
        }
    }

    pub(super) fn delete(&self) -> DeleteOptions {
        DeleteOptions {
            grace_period_seconds: self.grace,
            propagation: self.propagation,
            dry_run: self.dry_run,
            ..DeleteOptions::default()
        }
    }
}

fn invalid(field: &str, why: &str) -> ApiError {
    let mut errors = Errors::default();
    errors.forbidden(field, why);
    ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors.0)
}
