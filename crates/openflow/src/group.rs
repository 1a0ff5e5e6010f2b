//! Groups: sets of buckets of actions.

mod display;
mod modify;
mod stats;

pub use self::modify::{BucketPosition, GroupCommand, GroupMod};
pub use self::stats::{BucketStats, GroupFeatures, GroupStats};

use crate::action::{Action, decode_list, encode_list};
use crate::field::Field;
use crate::matching::read_tlv;
use crate::port::PortNo;
use crate::property::{EXPERIMENTER, Property, properties, put_property};
use crate::vendor::NETRONOME;
use crate::wire::{DecodeError, Reader, Writer};

/// "Any group" or "all groups", and "any port".
pub(crate) const ANY: u32 = 0xffff_ffff;
/// "All groups" in a deletion.
pub(crate) const ALL: u32 = 0xffff_fffc;

/// A group (OpenFlow 1.5.1 section 5.10).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Group {
    /// Its number, at most 0xffffff00.
    pub id: u32,
    /// Which of the buckets a packet goes to.
    pub kind: GroupType,
    /// How a select group chooses; `None`: as the switch likes, which is [`SelectionMethod::dp_hash`] in Open
    /// vSwitch.
    pub selection: Option<SelectionMethod>,
    /// The buckets.
    pub buckets: Vec<Bucket>,
}

/// Which of its buckets a group executes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum GroupType {
    /// All of them, each with its own copy of the packet.
    All,
    /// One of them, by weight.
    Select,
    /// The only one.
    Indirect,
    /// The first live one.
    FastFailover,
}

impl GroupType {
    fn code(self) -> u8 {
        match self {
            Self::All => 0,
            Self::Select => 1,
            Self::Indirect => 2,
            Self::FastFailover => 3,
        }
    }

    fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::All),
            1 => Ok(Self::Select),
            2 => Ok(Self::Indirect),
            3 => Ok(Self::FastFailover),
            other => Err(DecodeError::Unknown { what: "group", code: u64::from(other) }),
        }
    }

    /// The weight of buckets that say nothing of it.
    fn default_weight(self) -> u16 {
        u16::from(self == Self::Select)
    }
}

/// A bucket of a group.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Bucket {
    /// Its number within the group, at most 0xffffff00.
    pub id: u32,
    /// In select groups, its share of the packets, 0 for none of them; 0 in other groups.
    pub weight: u16,
    /// The port that must be up for the bucket to be live.
    pub watch_port: Option<PortNo>,
    /// The group that must be live for the bucket to be live.
    pub watch_group: Option<u32>,
    /// What happens to packets.
    pub actions: Vec<Action>,
}

/// How a select group chooses among its buckets (an extension of Netronome's).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SelectionMethod {
    /// `hash` or `dp_hash`; at most 15 bytes.
    pub method: String,
    /// A number that changes the choice.
    pub param: u64,
    /// The fields to hash, each with the bits that count, in the order of [`Field`].
    pub fields: Vec<(Field, u128)>,
}

impl SelectionMethod {
    /// The data path's own hash of the packet.
    #[must_use]
    pub fn dp_hash() -> Self {
        Self { method: "dp_hash".to_owned(), param: 0, fields: Vec::new() }
    }

    /// A hash of these fields, whole.
    #[must_use]
    pub fn hash(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().map(|field| (field, field.wire_ones())).collect();
        fields.sort_unstable();
        fields.dedup();
        Self { method: "hash".to_owned(), param: 0, fields }
    }

    /// Sets the number that changes the choice.
    #[must_use]
    pub fn param(mut self, param: u64) -> Self {
        self.param = param;
        self
    }
}

impl Group {
    /// A group of this type without buckets.
    #[must_use]
    pub fn new(id: u32, kind: GroupType) -> Self {
        Self { id, kind, selection: None, buckets: Vec::new() }
    }

    /// A group that chooses one of its buckets.
    #[must_use]
    pub fn select(id: u32, selection: Option<SelectionMethod>) -> Self {
        Self { selection, ..Self::new(id, GroupType::Select) }
    }

    /// Adds a bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: Bucket) -> Self {
        self.buckets.push(bucket);
        self
    }
}

impl Bucket {
    /// A bucket without weight, for groups that do not choose by it.
    #[must_use]
    pub fn new(id: u32, actions: impl Into<Vec<Action>>) -> Self {
        Self { id, weight: 0, watch_port: None, watch_group: None, actions: actions.into() }
    }

    /// A bucket of a select group.
    #[must_use]
    pub fn weighted(id: u32, weight: u16, actions: impl Into<Vec<Action>>) -> Self {
        Self { weight, ..Self::new(id, actions) }
    }
}

/// Types of the properties of buckets.
mod prop {
    pub(super) const WEIGHT: u16 = 0;
    pub(super) const WATCH_PORT: u16 = 1;
    pub(super) const WATCH_GROUP: u16 = 2;
}

impl Bucket {
    fn decode(r: &mut Reader<'_>, kind: GroupType) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("bucket", 0, 8)?;
        r.skip(2)?;
        let actions_len = usize::from(r.u16()?);
        let id = r.u32()?;
        let actions = decode_list(&mut r.sub("actions of a bucket", actions_len)?, 0)?;
        let mut this = Self { weight: kind.default_weight(), ..Self::new(id, actions) };
        for property in properties(r) {
            let Property { code, mut body } = property?;
            match code {
                prop::WEIGHT => this.weight = body.u16()?,
                prop::WATCH_PORT => {
                    this.watch_port = Some(PortNo::new(body.u32()?)).filter(|port| *port != PortNo::ANY);
                }
                prop::WATCH_GROUP => this.watch_group = Some(body.u32()?).filter(|group| *group != ANY),
                other => {
                    return Err(DecodeError::Unknown { what: "bucket property", code: u64::from(other) });
                }
            }
        }
        Ok(this)
    }

    fn encode(&self, w: &mut Writer<'_>, kind: GroupType) {
        let start = w.position();
        w.zeros(4);
        w.u32(self.id);
        let actions = w.position();
        encode_list(&self.actions, w);
        w.patch_length("actions of a bucket", start + 2, actions);
        if kind == GroupType::Select || self.weight != 0 {
            put_property(w, prop::WEIGHT, |w| w.u16(self.weight));
        }
        if let Some(port) = self.watch_port {
            put_property(w, prop::WATCH_PORT, |w| w.u32(port.get()));
        }
        if let Some(group) = self.watch_group {
            put_property(w, prop::WATCH_GROUP, |w| w.u32(group));
        }
        w.patch_length("bucket", start, start);
    }
}

impl SelectionMethod {
    const TYPE: u32 = 1;
    const NAME_BYTES: usize = 16;

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (vendor, kind) = (r.u32()?, r.u32()?);
        if (vendor, kind) != (NETRONOME, Self::TYPE) {
            return Err(DecodeError::Unknown {
                what: "group property of experimenter",
                code: u64::from(vendor),
            });
        }
        r.skip(4)?;
        let mut this = Self { method: r.text(Self::NAME_BYTES)?, param: r.u64()?, fields: Vec::new() };
        while !r.is_empty() {
            let (field, value, mask) =
                read_tlv(r)?.wire_field().ok_or(DecodeError::Unknown { what: "field to hash", code: 0 })?;
            this.fields.push((field, mask.unwrap_or(u128::MAX) & value));
        }
        this.fields.sort_unstable();
        Ok(this)
    }

    fn encode(&self, w: &mut Writer<'_>) {
        put_property(w, EXPERIMENTER, |w| {
            w.u32(NETRONOME);
            w.u32(Self::TYPE);
            w.zeros(4);
            w.text(&self.method, Self::NAME_BYTES);
            w.u64(self.param);
            for (field, bits) in &self.fields {
                w.u32(field.oxm_header(false));
                w.uint(*bits, field.n_bytes());
            }
        });
    }
}

impl Group {
    /// Reads buckets and properties, which fill the rest of a structure.
    fn decode_body(
        id: u32,
        kind: GroupType,
        buckets_len: usize,
        r: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let mut this = Self::new(id, kind);
        let mut buckets = r.sub("buckets", buckets_len)?;
        while !buckets.is_empty() {
            this.buckets.push(Bucket::decode(&mut buckets, kind)?);
        }
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            match code {
                EXPERIMENTER => this.selection = Some(SelectionMethod::decode(&mut body)?),
                other => return Err(DecodeError::Unknown { what: "group property", code: u64::from(other) }),
            }
        }
        Ok(this)
    }

    /// Writes buckets and properties; the length of the buckets goes into the field at `length_at`.
    fn encode_body(&self, w: &mut Writer<'_>, length_at: usize) {
        let start = w.position();
        for bucket in &self.buckets {
            bucket.encode(w, self.kind);
        }
        w.patch_length("buckets", length_at, start);
        if let Some(selection) = &self.selection {
            selection.encode(w);
        }
    }

    /// Reads an entry of the reply to `OFPMP_GROUP_DESC`.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("group description", 0, 16)?;
        r.skip(2)?;
        let kind = GroupType::from_code(r.u8()?)?;
        r.skip(1)?;
        let (id, buckets_len) = (r.u32()?, usize::from(r.u16()?));
        r.skip(6)?;
        Self::decode_body(id, kind, buckets_len, &mut r)
    }

    /// The inverse of [`Self::decode`].
    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.zeros(2);
        w.u8(self.kind.code());
        w.zeros(1);
        w.u32(self.id);
        w.zeros(8);
        self.encode_body(w, start + 8);
        w.patch_length("group description", start, start);
    }
}
