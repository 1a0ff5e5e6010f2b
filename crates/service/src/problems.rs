//! What is wrong with objects. The rest of an object counts all the same.

use crate::lb::Name;

/// An object that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A Service.
    Service(Name),
    /// An EndpointSlice.
    Slice(Name),
}

/// Something that counts as if it were not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as in `spec.ports[1].nodePort`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}
