//! What every long-running program offers its operator: health, readiness, metrics, logs, and a clean way to stop.
//!
//! A program makes one [`Health`], hands each of its parts a [`Check`], and serves both with its metrics on one
//! address: `/healthz` (the process should be left alone), `/readyz` (every check holds; the body names those that do
//! not and why), `/metrics` (OpenMetrics text).
//!
//! A program that has more to tell adds routes of its own to [`serve`].

mod arguments;
mod health;
mod kubeconfig;
mod logs;
mod reason;
mod serve;
mod signals;

pub use arguments::arguments;
pub use axum::Router;
pub use health::{Check, Health};
pub use kubeconfig::client;
pub use logs::{LogFormat, init_logs};
pub use reason::reason;
pub use serve::{Listener, serve};
pub use signals::terminated;
