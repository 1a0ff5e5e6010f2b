//! Tests of the engine as a whole.

mod random;
mod tables;
