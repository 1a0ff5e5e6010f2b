//! Whole clusters in network namespaces on one machine.
