//! The VSwitchConfig custom resource and the names k-vswitch uses in the Kubernetes API.
