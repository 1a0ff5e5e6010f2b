//! Garbage collection by owner references, and the emptying of namespaces.
//!
//! It runs with the request that causes it, so that a client that has its answer sees everything done.

use std::{collections::VecDeque, sync::Arc};

use serde_json::{Value, json};

use super::{
    Core, DeleteOptions, Propagation,
    delete::{FOREGROUND, ORPHAN},
    update::is_finished,
};
use crate::{
    object,
    store::{Change, Key, Place},
};

type Queue = VecDeque<Arc<Change>>;

const NAMESPACES: &str = "namespaces";

impl Core {
    /// Does what follows directly from `change`; the changes it makes itself are added to `queue`.
    pub(super) fn collect(&self, change: &Change, queue: &mut Queue) {
        let object = &change.object;
        if change.removed {
            for dependent in self.store.dependents(&object.uid) {
                self.examine(&dependent, queue);
            }
            for owner in &object.owners {
                self.continue_foreground(owner, queue);
            }
            if !object.key.namespace.is_empty() {
                self.finish_namespace(&object.key.namespace, queue);
            }
            return;
        }
        let place = (change.storage.clone(), object.key.clone());
        if change.previous.as_ref().is_none_or(|previous| previous.owners != object.owners) {
            self.examine(&place, queue);
            for owner in change.previous.iter().flat_map(|previous| &previous.owners) {
                self.continue_foreground(owner, queue);
            }
        }
        if object.deleting {
            let value = object.value();
            if object::finalizers(&value).any(|f| f == ORPHAN) {
                self.orphan_dependents(&object.uid, queue);
                self.touch(&place, queue, |value| drop_finalizer(value, ORPHAN));
            }
            self.continue_foreground(&object.uid, queue);
            if &*change.storage == NAMESPACES {
                self.empty_namespace(&object.key.name, queue);
            }
        }
    }

    /// Deletes an object none of whose owners exists; of several owners, those that are gone are struck out.
    fn examine(&self, place: &Place, queue: &mut Queue) {
        let Some(current) = self.store.get(&place.0, &place.1) else { return };
        let (mut solid, mut dying, mut gone) = (0_usize, Vec::new(), Vec::new());
        for owner in &current.owners {
            match self.store.by_uid(owner) {
                None => gone.push(owner.clone()),
                Some((_, owner)) if owner.deleting && has_finalizer(&owner.value(), FOREGROUND) => {
                    dying.push(owner.uid.clone());
                }
                Some(_) => solid += 1,
            }
        }
        if gone.is_empty() && dying.is_empty() {
            return;
        }
        if solid > 0 {
            let struck = |uid: &str| gone.iter().chain(&dying).any(|g| g == uid);
            self.touch(place, queue, |value| retain_owners(value, |uid| !struck(uid)));
            return;
        }
        let has_dependents = !self.store.dependents(&current.uid).is_empty();
        let policy = if dying.is_empty() || !has_dependents {
            Propagation::Background
        } else {
            Propagation::Foreground
        };
        if !current.deleting {
            self.delete_quietly(place, &current.uid, policy, queue);
        }
    }

    fn orphan_dependents(&self, owner: &str, queue: &mut Queue) {
        for dependent in self.store.dependents(owner) {
            self.touch(&dependent, queue, |value| retain_owners(value, |uid| uid != owner));
        }
    }

    /// An owner that is deleted in the foreground: its dependents go first, then its finalizer.
    fn continue_foreground(&self, owner: &str, queue: &mut Queue) {
        let waits = |o: &crate::store::Stored| o.deleting && has_finalizer(&o.value(), FOREGROUND);
        let Some((place, _)) = self.store.by_uid(owner).filter(|(_, object)| waits(object)) else { return };
        for dependent in self.store.dependents(owner) {
            self.examine(&dependent, queue);
        }
        let blocks = |(storage, key): &Place| {
            let Some(dependent) = self.store.get(storage, key) else { return false };
            let value = dependent.value();
            object::list(&value, &["metadata", "ownerReferences"]).iter().any(|reference| {
                object::text(reference, &["uid"]) == owner
                    && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
            })
        };
        if !self.store.dependents(owner).iter().any(blocks) {
            self.touch(&place, queue, |value| drop_finalizer(value, FOREGROUND));
        }
    }

    fn empty_namespace(&self, namespace: &str, queue: &mut Queue) {
        for place in self.store.in_namespace(namespace) {
            let Some(object) = self.store.get(&place.0, &place.1) else { continue };
            if !object.deleting {
                self.delete_quietly(&place, &object.uid, Propagation::Background, queue);
            }
        }
        self.finish_namespace(namespace, queue);
    }

    /// Lets a namespace go that is being deleted and has nothing in it.
    fn finish_namespace(&self, namespace: &str, queue: &mut Queue) {
        let key = Key::cluster(namespace);
        let deleting = self.store.get(NAMESPACES, &key).is_some_and(|namespace| namespace.deleting);
        if deleting && self.store.in_namespace(namespace).is_empty() {
            self.touch(&(NAMESPACES.into(), key), queue, |value| {
                let waiting = !object::list(value, &["spec", "finalizers"]).is_empty();
                object::set(value, &["spec"], json!({}));
                waiting
            });
        }
    }

    fn delete_quietly(&self, place: &Place, uid: &str, policy: Propagation, queue: &mut Queue) {
        let Some(resource) = self.registry.by_storage(&place.0) else { return };
        let options = DeleteOptions {
            uid: Some(uid.to_owned()),
            propagation: Some(policy),
            ..DeleteOptions::default()
        };
        // Somebody else may have deleted or replaced it: then there is nothing to do.
        if let Ok((_, change)) = self.delete_step(&resource, &place.1, &options) {
            queue.extend(change);
        }
    }

    /// Changes an object on the server's own account; `change` says whether it did anything.
    pub(crate) fn touch(&self, place: &Place, queue: &mut Queue, change: impl Fn(&mut Value) -> bool) {
        while let Some(current) = self.store.get(&place.0, &place.1) {
            let mut value = current.value();
            if !change(&mut value) {
                return;
            }
            let committed = if is_finished(&value) {
                self.store.remove(&place.0, &place.1, current.version)
            } else {
                self.store.replace(&place.0, current.version, value)
            };
            if let Ok(change) = committed {
                queue.push_back(change);
                return;
            }
        }
    }
}

fn has_finalizer(value: &Value, finalizer: &str) -> bool {
    object::finalizers(value).any(|f| f == finalizer)
}

/// Takes a finalizer away; false if it was not there.
pub(crate) fn drop_finalizer(value: &mut Value, finalizer: &str) -> bool {
    if !has_finalizer(value, finalizer) {
        return false;
    }
    retain(value, "finalizers", |f| f.as_str() != Some(finalizer));
    true
}

fn retain_owners(value: &mut Value, keep: impl Fn(&str) -> bool) -> bool {
    let before = object::list(value, &["metadata", "ownerReferences"]).len();
    retain(value, "ownerReferences", |owner| keep(object::text(owner, &["uid"])));
    object::list(value, &["metadata", "ownerReferences"]).len() != before
}

/// Keeps some elements of a list of the metadata; an empty list is no list.
fn retain(value: &mut Value, field: &str, keep: impl Fn(&Value) -> bool) {
    if let Some(Value::Array(list)) = object::at_mut(value, &["metadata", field]) {
        list.retain(keep);
        if list.is_empty() {
            object::remove(value, &["metadata", field]);
        }
    }
}
