//! Counters and limits of groups.

use std::time::Duration;

use crate::wire::{DecodeError, Reader, Writer};

/// Counters of a group (OpenFlow 1.5.1 section 7.3.5.9).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GroupStats {
    /// The group.
    pub id: u32,
    /// How many flows and groups use it.
    pub ref_count: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Time since it was added, if the switch knows.
    pub duration: Option<Duration>,
    /// Counters of its buckets, in their order.
    pub buckets: Vec<BucketStats>,
}

/// Counters of a bucket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BucketStats {
    /// Packets; `u64::MAX` where the switch does not know.
    pub packets: u64,
    /// Bytes; `u64::MAX` where the switch does not know.
    pub bytes: u64,
}

impl GroupStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("group counters", 0, 40)?;
        r.skip(4)?;
        let (id, ref_count) = (r.u32()?, r.u32()?);
        r.skip(4)?;
        let (packets, bytes) = (r.u64()?, r.u64()?);
        let duration = r.duration()?;
        let mut buckets = Vec::new();
        while !r.is_empty() {
            buckets.push(BucketStats { packets: r.u64()?, bytes: r.u64()? });
        }
        Ok(Self { id, ref_count, packets, bytes, duration, buckets })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.zeros(4);
        w.u32(self.id);
        w.u32(self.ref_count);
        w.zeros(4);
        w.u64(self.packets);
        w.u64(self.bytes);
        w.duration(self.duration);
        for bucket in &self.buckets {
            w.u64(bucket.packets);
            w.u64(bucket.bytes);
        }
        w.patch_length("group counters", start, start);
    }
}

/// What a switch can do with groups (OpenFlow 1.5.1 section 7.3.5.11). Arrays go by the code of the type: all,
/// select, indirect, fast failover.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct GroupFeatures {
    /// Bitmap of the types.
    pub types: u32,
    /// Bitmap of capabilities: 1 weights, 2 liveness, 4 chaining, 8 checks for loops.
    pub capabilities: u32,
    /// How many groups there may be.
    pub max_groups: [u32; 4],
    /// Bitmap of the actions there may be.
    pub actions: [u32; 4],
}

impl GroupFeatures {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (types, capabilities) = (r.u32()?, r.u32()?);
        let max_groups = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        let actions = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        Ok(Self { types, capabilities, max_groups, actions })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.types);
        w.u32(self.capabilities);
        self.max_groups.iter().chain(&self.actions).for_each(|word| w.u32(*word));
    }
}
