//! Tables, registers, desired state and its difference to the switch; knows nothing of Kubernetes.
