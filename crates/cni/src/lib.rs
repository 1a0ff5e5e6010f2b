//! What the CNI plugin does: CNI 0.3.0 to 1.1.0 on OVSDB and veth pairs.
