//! What a store holds.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use openflow::{Flow, FlowKey, FlowMod, Frame, Group, GroupMod, Message};

/// What a switch can be made to have: flows and groups.
pub trait Item: Clone + Debug + Eq {
    /// What there is one of in the switch.
    type Key: Clone + Debug + Eq + Hash;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// Stands for everything of it but its key. Eight bytes per item of the switch, instead of a copy of it.
    fn fingerprint(&self) -> u64;

    /// Adds it, in place of one with the same key if there is any.
    fn put(&self) -> Message;

    /// Deletes exactly the one of this key.
    fn delete(key: &Self::Key) -> Message;
}

impl Item for Flow {
    type Key = FlowKey;

    fn key(&self) -> FlowKey {
        Self::key(self)
    }

    fn fingerprint(&self) -> u64 {
        print(&(self.cookie, &self.instructions, self.idle_timeout, self.hard_timeout, self.flags))
    }

    fn put(&self) -> Message {
        Message::FlowMod(FlowMod::add(self.clone()))
    }

    fn delete(key: &FlowKey) -> Message {
        Message::FlowMod(FlowMod::delete_strict(key.table, key.priority, key.matching.clone()))
    }
}

/// A group as it is sent to the switch: a quarter of its size in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedGroup {
    id: u32,
    fingerprint: u64,
    /// The message that puts it into the switch.
    message: Box<[u8]>,
}

impl From<Group> for PackedGroup {
    fn from(group: Group) -> Self {
        let (id, fingerprint) = (group.id, print(&group));
        let mut message = Vec::new();
        let put = Message::GroupMod(GroupMod::add_or_modify(group));
        if let Err(error) = put.encode(0, &mut message) {
            // Groups of this crate are of bounded size.
            debug_assert!(false, "group {id}: {error}");
        }
        Self { id, fingerprint, message: message.into() }
    }
}

impl Item for PackedGroup {
    type Key = u32;

    fn key(&self) -> u32 {
        self.id
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn put(&self) -> Message {
        // What was encoded here can be decoded.
        Frame::decode(&self.message).map_or(Message::BarrierRequest, |frame| frame.message)
    }

    fn delete(key: &u32) -> Message {
        Message::GroupMod(GroupMod::delete(*key))
    }
}

fn print(content: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
