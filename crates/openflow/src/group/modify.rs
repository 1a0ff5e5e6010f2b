//! Adding, changing and deleting groups.

use super::{ALL, Bucket, Group, GroupType};
use crate::wire::{DecodeError, Reader, Writer};

/// What to do with a group.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum GroupCommand {
    /// Add the group.
    Add,
    /// Replace the group.
    Modify,
    /// Replace the group, or add it if there is none (an extension of Open vSwitch's).
    AddOrModify,
    /// Delete the group, and with it the flows that use it.
    Delete,
    /// Put more buckets into the group.
    InsertBucket,
    /// Take buckets out of the group.
    RemoveBucket,
}

/// Where buckets are put, or which are taken out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BucketPosition {
    /// After the bucket with this id; or the bucket with this id.
    Id(u32),
    /// The beginning; or the first bucket.
    First,
    /// The end; or the last bucket.
    Last,
    /// All buckets, only for taking out.
    All,
}

impl BucketPosition {
    fn code(self) -> u32 {
        match self {
            Self::Id(id) => id,
            Self::First => 0xffff_fffd,
            Self::Last => 0xffff_fffe,
            Self::All => 0xffff_ffff,
        }
    }

    fn from_code(code: u32) -> Self {
        match code {
            0xffff_fffd => Self::First,
            0xffff_fffe => Self::Last,
            0xffff_ffff => Self::All,
            id => Self::Id(id),
        }
    }
}

/// A group-mod message (OpenFlow 1.5.1 section 7.3.4.3).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupCommand,
    /// Where, for the two commands about buckets; [`BucketPosition::All`] for the others.
    pub position: BucketPosition,
    /// The group, or the buckets to insert into it.
    pub group: Group,
}

impl GroupMod {
    fn new(command: GroupCommand, group: Group) -> Self {
        Self { command, position: BucketPosition::All, group }
    }

    /// Adds a group.
    #[must_use]
    pub fn add(group: Group) -> Self {
        Self::new(GroupCommand::Add, group)
    }

    /// Replaces a group.
    #[must_use]
    pub fn modify(group: Group) -> Self {
        Self::new(GroupCommand::Modify, group)
    }

    /// Adds or replaces a group.
    #[must_use]
    pub fn add_or_modify(group: Group) -> Self {
        Self::new(GroupCommand::AddOrModify, group)
    }

    /// Deletes a group, and with it the flows that use it.
    #[must_use]
    pub fn delete(id: u32) -> Self {
        Self::new(GroupCommand::Delete, Group::new(id, GroupType::All))
    }

    /// Deletes all groups, and with them the flows that use them.
    #[must_use]
    pub fn delete_all() -> Self {
        Self::delete(ALL)
    }

    /// Puts buckets into a group.
    #[must_use]
    pub fn insert_buckets(id: u32, kind: GroupType, position: BucketPosition, buckets: Vec<Bucket>) -> Self {
        let group = Group { buckets, ..Group::new(id, kind) };
        Self { position, ..Self::new(GroupCommand::InsertBucket, group) }
    }

    /// Takes buckets out of a group.
    #[must_use]
    pub fn remove_buckets(id: u32, position: BucketPosition) -> Self {
        let group = Group::new(id, GroupType::All);
        Self { position, ..Self::new(GroupCommand::RemoveBucket, group) }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let command = match r.u16()? {
            0 => GroupCommand::Add,
            1 => GroupCommand::Modify,
            2 => GroupCommand::Delete,
            3 => GroupCommand::InsertBucket,
            5 => GroupCommand::RemoveBucket,
            0x8000 => GroupCommand::AddOrModify,
            other => return Err(DecodeError::Unknown { what: "group command", code: u64::from(other) }),
        };
        let kind = GroupType::from_code(r.u8()?)?;
        r.skip(1)?;
        let (id, buckets_len) = (r.u32()?, usize::from(r.u16()?));
        r.skip(2)?;
        let position = BucketPosition::from_code(r.u32()?);
        Ok(Self { command, position, group: Group::decode_body(id, kind, buckets_len, r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u16(match self.command {
            GroupCommand::Add => 0,
            GroupCommand::Modify => 1,
            GroupCommand::Delete => 2,
            GroupCommand::InsertBucket => 3,
            GroupCommand::RemoveBucket => 5,
            GroupCommand::AddOrModify => 0x8000,
        });
        w.u8(self.group.kind.code());
        w.zeros(1);
        w.u32(self.group.id);
        let length_at = w.position();
        w.zeros(4);
        w.u32(self.position.code());
        self.group.encode_body(w, length_at);
    }
}
