//! Groups as `ovs-ofctl` writes them.

use std::fmt;

use super::{Bucket, BucketPosition, Group, GroupCommand, GroupMod, GroupStats, GroupType, SelectionMethod};
use crate::action::List;
use crate::field::Formatted;
use crate::flow::Seconds;

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Select => "select",
            Self::Indirect => "indirect",
            Self::FastFailover => "ff",
        })
    }
}

impl fmt::Display for SelectionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "selection_method={}", self.method)?;
        if self.param != 0 {
            write!(f, ",selection_method_param={}", self.param)?;
        }
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(field, bits)| match *bits {
                bits if bits == field.wire_ones() => field.name().to_owned(),
                value => format!("{}={}", field.name(), Formatted { field: *field, value, mask: None }),
            })
            .collect();
        match fields.as_slice() {
            [] => Ok(()),
            [field] => write!(f, ",fields={field}"),
            fields => write!(f, ",fields({})", fields.join(",")),
        }
    }
}

impl Bucket {
    fn write(&self, f: &mut fmt::Formatter<'_>, kind: GroupType) -> fmt::Result {
        write!(f, "bucket=bucket_id:{},", self.id)?;
        if self.weight != kind.default_weight() {
            write!(f, "weight:{},", self.weight)?;
        }
        if let Some(port) = self.watch_port {
            write!(f, "watch_port:{port},")?;
        }
        if let Some(group) = self.watch_group {
            write!(f, "watch_group:{group},")?;
        }
        write!(f, "actions={}", List(&self.actions))
    }
}

impl Group {
    fn write(&self, f: &mut fmt::Formatter<'_>, with_type: bool) -> fmt::Result {
        write!(f, "group_id={}", self.id)?;
        if with_type {
            write!(f, ",type={}", self.kind)?;
        }
        if let Some(selection) = &self.selection {
            write!(f, ",{selection}")?;
        }
        for bucket in &self.buckets {
            f.write_str(",")?;
            bucket.write(f, self.kind)?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    /// The group as `ovs-ofctl dump-groups` prints it, which `ovs-ofctl add-group` understands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, true)
    }
}

impl fmt::Display for BucketPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::First => f.write_str("first"),
            Self::Last => f.write_str("last"),
            Self::All => f.write_str("all"),
        }
    }
}

impl fmt::Display for GroupMod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, buckets_only) = match self.command {
            GroupCommand::Add => ("ADD", false),
            GroupCommand::Modify => ("MOD", false),
            GroupCommand::AddOrModify => ("ADD_OR_MOD", false),
            GroupCommand::Delete => ("DEL", false),
            GroupCommand::InsertBucket => ("INSERT_BUCKET", true),
            GroupCommand::RemoveBucket => ("REMOVE_BUCKET", true),
        };
        write!(f, "{name} ")?;
        if buckets_only {
            write!(f, "command_bucket_id:{},", self.position)?;
        }
        self.group.write(f, !buckets_only)
    }
}

impl fmt::Display for GroupStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, ref_count, packets, bytes, .. } = self;
        write!(f, "group_id={id},")?;
        if let Some(duration) = self.duration {
            write!(f, "duration={},", Seconds(duration))?;
        }
        write!(f, "ref_count={ref_count},packet_count={packets},byte_count={bytes}")?;
        for (i, bucket) in self.buckets.iter().enumerate().filter(|(_, bucket)| bucket.packets != u64::MAX) {
            write!(f, ",bucket{i}:packet_count={},byte_count={}", bucket.packets, bucket.bytes)?;
        }
        Ok(())
    }
}
