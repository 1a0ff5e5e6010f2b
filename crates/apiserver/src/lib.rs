//! An in-memory Kubernetes API for the lab and the tests.
//!
//! It speaks to kube-rs clients and to the real `kubectl` (1.27 and later), starts in milliseconds and keeps nothing. It is
//! exact where controllers depend on it: resource versions are one sequence, an update based on an old version
//! is refused, a watcher sees every change once and in order, deletion waits for grace periods and finalizers.
//! It is simple where they do not: nobody is authenticated, everybody may do everything, and nothing is
//! simulated. Whoever embeds it plays scheduler, kubelet and controllers.
//!
//! # Parts
//!
//! From the bottom up:
//!
//! - `store`: tables of JSON objects under one lock and one version counter, with their recent history. An
//!   object is serialised once per version, and lists and watches share the bytes.
//! - `resource`, `builtin`, `crd`: what is served. The built-in kinds take their schemas from
//!   `k8s-openapi`; definitions of custom resources add kinds at run time.
//! - `schema` (types, defaults, pruning, CEL rules) and `strategy` (what a kind's schema does not say).
//! - `patch`: strategic merge and server-side apply.
//! - `core`: the verbs, and what follows from a change (garbage collection, namespaces, definitions).
//! - `handle`: the verbs for code in the same process. `http`: the verbs for clients, with discovery,
//!   OpenAPI and `table`s. `faults`: how the latter misbehaves on demand.
//!
//! A write reads an object, computes its successor without holding the lock and commits it only if the object
//! is still the one that was read; otherwise it starts over, or answers `Conflict` if the client named the
//! version. What follows from the commit is done before the client has its answer.
//!
//! # What it must never do
//!
//! Hold the lock while it runs code of an embedder, a regular expression or a CEL rule; hand out a version
//! twice; show an object in a state that no client wrote and no rule of the API explains.

mod builtin;
mod core;
mod crd;
mod faults;
mod handle;
mod http;
mod object;
mod patch;
mod resource;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod strategy;
mod table;
mod view;

pub use crate::{
    core::{Admit, DeleteOptions, Operation, Patch, Propagation},
    faults::{Fault, Faults, Requests, Verb},
    handle::{Handle, Listed, Select, Watch, WatchEvent},
    resource::Gvr,
    server::{Builder, Server},
    status::ApiError,
};
