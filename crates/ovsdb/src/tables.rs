//! Rows of the `Open_vSwitch` database with the columns that k-vswitch uses (`ovs-vswitchd.conf.db(5)`).

use std::collections::{BTreeMap, BTreeSet};

use crate::{ColumnError, Datum, Row, TableRow, Uuid};

/// The name of the database.
pub const DATABASE: &str = "Open_vSwitch";

/// Columns such as `external_ids` and `other_config`.
pub type StringMap = BTreeMap<String, String>;

macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:ident = $table:literal {
            $($(#[$column_meta:meta])* $field:ident: $type:ty = $column:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$column_meta])* pub $field: $type,)*
        }

        impl TableRow for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$($column),*];

            fn assign(&mut self, row: &Row) -> Result<(), ColumnError> {
                for (column, value) in row.iter() {
                    match column {
                        $($column => Datum::from_value(value).map(|value| self.$field = value),)*
                        _ => Ok(()),
                    }
                    .map_err(|source| ColumnError { table: $table, column: column.to_owned(), source })?;
                }
                Ok(())
            }

            fn apply_difference(&mut self, difference: &Row) -> Result<(), ColumnError> {
                for (column, value) in difference.iter() {
                    match column {
                        $($column => self.$field.apply_difference(value),)*
                        _ => Ok(()),
                    }
                    .map_err(|source| ColumnError { table: $table, column: column.to_owned(), source })?;
                }
                Ok(())
            }

            fn to_row(&self) -> Row {
                let default = Self::default();
                let mut row = Row::new();
                $(if self.$field != default.$field {
                    row.set($column, self.$field.to_value());
                })*
                row
            }
        }
    };
}

table! {
    /// The one row of the table `Open_vSwitch`, from which all others hang.
    OpenVSwitch = "Open_vSwitch" {
        /// The bridges.
        bridges: BTreeSet<Uuid> = "bridges",
        /// Raised by a client that wants to know when `ovs-vswitchd` has applied what it wrote.
        next_cfg: i64 = "next_cfg",
        /// The `next_cfg` that `ovs-vswitchd` has applied.
        cur_cfg: i64 = "cur_cfg",
        /// What `ovs-vswitchd` runs, such as `3.1.0`; absent until it has started once.
        ovs_version: Option<String> = "ovs_version",
        /// The version of the schema.
        db_version: Option<String> = "db_version",
        /// The datapath types that `ovs-vswitchd` offers: `system`, `netdev`.
        datapath_types: BTreeSet<String> = "datapath_types",
        /// The interface types that `ovs-vswitchd` offers: `vxlan`, `gre`, `internal`.
        iface_types: BTreeSet<String> = "iface_types",
        /// Configuration.
        other_config: StringMap = "other_config",
        /// Keys of other programs; `system-id` and `hostname` among them.
        external_ids: StringMap = "external_ids",
    }
}

table! {
    /// A bridge.
    Bridge = "Bridge" {
        /// The bridge's name, which is unique.
        name: String = "name",
        /// `system`, `netdev`, or empty for `system`.
        datapath_type: String = "datapath_type",
        /// The datapath's 64 bits as hexadecimal digits, once `ovs-vswitchd` has made it.
        datapath_id: Option<String> = "datapath_id",
        /// The ports.
        ports: BTreeSet<Uuid> = "ports",
        /// The OpenFlow controllers.
        controller: BTreeSet<Uuid> = "controller",
        /// The OpenFlow versions it speaks; empty for the default ones.
        protocols: BTreeSet<String> = "protocols",
        /// What it does without a controller: `secure` or `standalone`.
        fail_mode: Option<String> = "fail_mode",
        /// Configuration.
        other_config: StringMap = "other_config",
        /// Keys of other programs.
        external_ids: StringMap = "external_ids",
    }
}

table! {
    /// A port of a bridge: one interface, or several as a bond.
    Port = "Port" {
        /// The port's name, which is unique.
        name: String = "name",
        /// The interfaces.
        interfaces: BTreeSet<Uuid> = "interfaces",
        /// Configuration.
        other_config: StringMap = "other_config",
        /// Keys of other programs.
        external_ids: StringMap = "external_ids",
    }
}

table! {
    /// A network device of a port.
    Interface = "Interface" {
        /// The interface's name, which is unique; for the type `system` that of the network device.
        name: String = "name",
        /// `internal`, `vxlan`, `gre`, `patch`; empty or `system` for a network device of the host.
        kind: String = "type",
        /// What the type asks for, such as `remote_ip`.
        options: StringMap = "options",
        /// The OpenFlow port number: absent until `ovs-vswitchd` has tried, -1 when it failed.
        ofport: Option<i64> = "ofport",
        /// The OpenFlow port number asked for.
        ofport_request: Option<i64> = "ofport_request",
        /// Why `ovs-vswitchd` could not add it.
        error: Option<String> = "error",
        /// The MAC address the interface shall have; for the type `internal` only.
        mac: Option<String> = "mac",
        /// The MAC address it has.
        mac_in_use: Option<String> = "mac_in_use",
        /// `up` or `down`.
        link_state: Option<String> = "link_state",
        /// `up` or `down`.
        admin_state: Option<String> = "admin_state",
        /// The MTU, bytes.
        mtu: Option<i64> = "mtu",
        /// The MTU asked for, bytes.
        mtu_request: Option<i64> = "mtu_request",
        /// The kernel's index of the device.
        ifindex: Option<i64> = "ifindex",
        /// Configuration.
        other_config: StringMap = "other_config",
        /// Keys of other programs.
        external_ids: StringMap = "external_ids",
    }
}

table! {
    /// An OpenFlow controller of a bridge.
    Controller = "Controller" {
        /// Where it listens.
        target: String = "target",
        /// Whether the bridge is connected to it.
        is_connected: bool = "is_connected",
        /// `in-band` or `out-of-band`.
        connection_mode: Option<String> = "connection_mode",
        /// Configuration.
        other_config: StringMap = "other_config",
        /// Keys of other programs.
        external_ids: StringMap = "external_ids",
    }
}

impl OpenVSwitch {
    /// Whether `ovs-vswitchd` has applied everything up to `next_cfg`.
    #[must_use]
    pub const fn has_applied(&self, next_cfg: i64) -> bool {
        self.cur_cfg >= next_cfg
    }
}

#[cfg(test)]
mod tests;
