//! An in-memory Kubernetes API for the lab and the tests.
