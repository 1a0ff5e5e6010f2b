//! How patches change an object. JSON patch and JSON merge patch are the `json-patch` crate's.

pub(crate) mod apply;
pub(crate) mod rules;
pub(crate) mod strategic;
