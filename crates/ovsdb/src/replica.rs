//! A copy of monitored tables that follows the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tables::{Bridge, Controller, Interface, OpenVSwitch, Port};
use crate::{ColumnError, MonitorRequests, RowUpdate, TableRow, TableUpdates, Uuid};

/// An update cannot be applied. The copy must be filled anew: ask the monitor from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// A column has another type than expected.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A row was modified that the copy has not.
    #[error("row {uuid} of table {table:?} was modified before it was inserted")]
    UnknownRow {
        /// The table.
        table: &'static str,
        /// The row.
        uuid: Uuid,
    },
}

/// Tables that one monitor is about.
pub trait Replica: Default {
    /// What happens to one row.
    type Change;

    /// What to ask a monitor for.
    fn requests() -> MonitorRequests;

    /// Applies an update and appends what changed.
    ///
    /// # Errors
    /// See [`ReplicaError`]. The update may have been applied in part.
    fn apply(&mut self, updates: &TableUpdates, changes: &mut Vec<Self::Change>) -> Result<(), ReplicaError>;
}

/// A copy of one table, by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table<R>(BTreeMap<Uuid, Arc<R>>);

/// What happened to one row. The rows are shared with the [`Table`].
#[derive(Clone, Debug, PartialEq)]
pub enum RowChange<R> {
    /// The row is new, or new to the monitor's conditions.
    Inserted {
        /// Which row.
        uuid: Uuid,
        /// What it holds.
        row: Arc<R>,
    },
    /// Columns of the row have changed.
    Modified {
        /// Which row.
        uuid: Uuid,
        /// What it held.
        old: Arc<R>,
        /// What it holds now.
        row: Arc<R>,
    },
    /// The row is gone, or no longer meets the monitor's conditions.
    Deleted {
        /// Which row.
        uuid: Uuid,
        /// What it held.
        row: Arc<R>,
    },
}

impl<R> RowChange<R> {
    /// Which row.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        match self {
            Self::Inserted { uuid, .. } | Self::Modified { uuid, .. } | Self::Deleted { uuid, .. } => *uuid,
        }
    }

    /// What the row held before; `None` if it is new.
    #[must_use]
    pub fn before(&self) -> Option<&R> {
        match self {
            Self::Inserted { .. } => None,
            Self::Modified { old, .. } => Some(old),
            Self::Deleted { row, .. } => Some(row),
        }
    }

    /// What the row holds now; `None` if it is gone.
    #[must_use]
    pub fn after(&self) -> Option<&R> {
        match self {
            Self::Inserted { row, .. } | Self::Modified { row, .. } => Some(row),
            Self::Deleted { .. } => None,
        }
    }
}

impl<R> Table<R> {
    /// The row.
    #[must_use]
    pub fn get(&self, uuid: Uuid) -> Option<&R> {
        self.0.get(&uuid).map(|row| &**row)
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, &R)> {
        self.0.iter().map(|(uuid, row)| (*uuid, &**row))
    }

    /// All rows, without their identifiers.
    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.0.values().map(|row| &**row)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<R: TableRow> Table<R> {
    fn update(&mut self, uuid: Uuid, update: &RowUpdate) -> Result<Option<RowChange<R>>, ReplicaError> {
        Ok(match update {
            // A row that is there already is replaced: servers may send "insert" for one that meets a monitor's
            // conditions again.
            RowUpdate::Initial(columns) | RowUpdate::Insert(columns) => {
                let row = Arc::new(columns.to::<R>()?);
                match self.0.insert(uuid, row.clone()) {
                    None => Some(RowChange::Inserted { uuid, row }),
                    Some(old) if old == row => None,
                    Some(old) => Some(RowChange::Modified { uuid, old, row }),
                }
            }
            RowUpdate::Modify(difference) => {
                let Some(place) = self.0.get_mut(&uuid) else {
                    return Err(ReplicaError::UnknownRow { table: R::TABLE, uuid });
                };
                let mut row = R::clone(place);
                row.apply_difference(difference)?;
                let row = Arc::new(row);
                let old = std::mem::replace(place, row.clone());
                (old != row).then_some(RowChange::Modified { uuid, old, row })
            }
            RowUpdate::Delete => self.0.remove(&uuid).map(|row| RowChange::Deleted { uuid, row }),
        })
    }

    /// Applies the part of an update that is about this table.
    fn apply_table<C>(
        &mut self,
        updates: &TableUpdates,
        changes: &mut Vec<C>,
        wrap: impl Fn(RowChange<R>) -> C,
    ) -> Result<(), ReplicaError> {
        for (uuid, update) in updates.table(R::TABLE) {
            changes.extend(self.update(*uuid, update)?.map(&wrap));
        }
        Ok(())
    }
}

impl<R: TableRow> Replica for Table<R> {
    type Change = RowChange<R>;

    fn requests() -> MonitorRequests {
        MonitorRequests::new().rows::<R>([])
    }

    fn apply(&mut self, updates: &TableUpdates, changes: &mut Vec<RowChange<R>>) -> Result<(), ReplicaError> {
        self.apply_table(updates, changes, |change| change)
    }
}

/// A copy of the tables that describe a switch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Switch {
    /// The table `Open_vSwitch`, with its one row.
    pub root: Table<OpenVSwitch>,
    /// The bridges.
    pub bridges: Table<Bridge>,
    /// The ports.
    pub ports: Table<Port>,
    /// The interfaces.
    pub interfaces: Table<Interface>,
    /// The controllers.
    pub controllers: Table<Controller>,
}

/// What happens to one row of a [`Switch`].
#[derive(Clone, Debug, PartialEq)]
pub enum SwitchChange {
    /// The one row of the table `Open_vSwitch`.
    Root(RowChange<OpenVSwitch>),
    /// A bridge.
    Bridge(RowChange<Bridge>),
    /// A port.
    Port(RowChange<Port>),
    /// An interface.
    Interface(RowChange<Interface>),
    /// A controller.
    Controller(RowChange<Controller>),
}

impl Switch {
    /// The bridge of this name.
    #[must_use]
    pub fn bridge(&self, name: &str) -> Option<(Uuid, &Bridge)> {
        self.bridges.iter().find(|(_, bridge)| bridge.name == name)
    }

    /// The interfaces of a bridge's ports.
    pub fn interfaces_of<'a>(&'a self, bridge: &'a Bridge) -> impl Iterator<Item = (Uuid, &'a Interface)> {
        let ports = bridge.ports.iter().filter_map(|port| self.ports.get(*port));
        ports.flat_map(|port| &port.interfaces).filter_map(|uuid| Some((*uuid, self.interfaces.get(*uuid)?)))
    }
}

impl Replica for Switch {
    type Change = SwitchChange;

    fn requests() -> MonitorRequests {
        MonitorRequests::new()
            .rows::<OpenVSwitch>([])
            .rows::<Bridge>([])
            .rows::<Port>([])
            .rows::<Interface>([])
            .rows::<Controller>([])
    }

    fn apply(&mut self, updates: &TableUpdates, changes: &mut Vec<SwitchChange>) -> Result<(), ReplicaError> {
        self.root.apply_table(updates, changes, SwitchChange::Root)?;
        self.bridges.apply_table(updates, changes, SwitchChange::Bridge)?;
        self.ports.apply_table(updates, changes, SwitchChange::Port)?;
        self.interfaces.apply_table(updates, changes, SwitchChange::Interface)?;
        self.controllers.apply_table(updates, changes, SwitchChange::Controller)
    }
}

#[cfg(test)]
mod tests;
