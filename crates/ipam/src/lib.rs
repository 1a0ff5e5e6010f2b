//! The OVS port is the address lease: port facts, node facts and allocation as OVSDB transactions.
