//! Tests of the engine as a whole.

mod cluster;
mod events;
mod example;
mod random;
mod semantics;
mod tables;
mod wrong;
