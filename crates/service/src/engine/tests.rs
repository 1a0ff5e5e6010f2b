//! Tests of the engine as a whole.

mod build;
mod conditions;
mod decoding;
mod externals;
mod forgetting;
mod frontends;
mod health;
mod local;
mod oracle;
mod random;
mod recalling;
mod sharing;
mod tables;
mod topology;
mod viewing;
mod wrong;
