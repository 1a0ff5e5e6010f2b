//! OVSDB (RFC 7047 and the OVS extensions to it): a sans-IO codec and typed rows.
