//! Async connections to one Open vSwitch: OpenFlow and OVSDB.
