//! What holds for all values and all bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::{
    Action, Bucket, Controller, Ct, CtZone, Decoder, Field, Flow, FlowCommand, FlowFlags, FlowMod, FlowStats,
    Frame, Group, GroupMod, GroupType, Learn, LearnFlags, LearnSpec, Match, Message, MultipartReply, Nat,
    NatDirection, NatFlags, NatRange, PacketInReason, PortNo, SelectionMethod, Stats, Subfield,
    WriteMetadata,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn field() -> impl Strategy<Value = Field> {
    proptest::sample::select(Field::ALL)
}

fn range() -> impl Strategy<Value = Subfield> {
    // Some Nicira actions have six bits for the length and ten for the offset.
    (field(), any::<u16>(), any::<u16>()).prop_map(|(field, ofs, n_bits)| {
        let n_bits = n_bits % field.n_bits().min(64) + 1;
        Subfield::new(field, ofs % (field.n_bits() - n_bits + 1), n_bits)
    })
}

fn matching() -> impl Strategy<Value = Match> {
    vec((field(), any::<u128>(), prop_oneof![Just(u128::MAX), any::<u128>(), 0..16u128]), 0..12).prop_map(
        |entries| {
            entries
                .into_iter()
                .fold(Match::new(), |matching, (field, value, mask)| matching.masked(field, value, mask))
        },
    )
}

fn port() -> impl Strategy<Value = PortNo> {
    any::<u16>().prop_map(PortNo::from)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

fn nat() -> impl Strategy<Value = Nat> {
    let direction = prop_oneof![Just(None), Just(Some(NatDirection::Src)), Just(Some(NatDirection::Dst))];
    let range = (address(), any::<bool>(), any::<u16>(), any::<u16>()).prop_map(
        |(min, with_max, port_min, port_max)| NatRange {
            min,
            max: with_max.then_some(min),
            port_min,
            port_max,
        },
    );
    (direction, 0..8u16, option::of(range)).prop_map(|(direction, flags, range)| Nat {
        direction,
        flags: NatFlags::from_bits(flags << 2),
        range,
    })
}

fn spec() -> impl Strategy<Value = LearnSpec> {
    prop_oneof![
        (range(), any::<u128>()).prop_map(|(dst, value)| match LearnSpec::load(dst, value) {
            LearnSpec::LoadValue { dst, value } => LearnSpec::MatchValue { dst, value },
            other => other,
        }),
        (range(), any::<u128>()).prop_map(|(dst, value)| LearnSpec::load(dst, value)),
        (range(), field())
            .prop_map(|(dst, src)| LearnSpec::MatchField { dst, src: Subfield::new(src, 0, dst.n_bits) }),
        (range(), field())
            .prop_map(|(dst, src)| LearnSpec::LoadField { dst, src: Subfield::new(src, 0, dst.n_bits) }),
        range().prop_map(|src| LearnSpec::Output { src }),
    ]
}

fn learn() -> impl Strategy<Value = Learn> {
    let times = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>());
    let result = option::of(range().prop_map(|range| Subfield { n_bits: 1, ..range }));
    (any::<u8>(), any::<u16>(), any::<u64>(), times, 0..4u16, any::<u32>(), result, vec(spec(), 0..5))
        .prop_map(|(table, priority, cookie, times, flags, limit, result, specs)| Learn {
            table,
            priority,
            cookie,
            idle_timeout: times.0,
            hard_timeout: times.1,
            fin_idle_timeout: times.2,
            fin_hard_timeout: times.3,
            flags: LearnFlags::from_bits(flags),
            limit,
            result,
            specs,
        })
}

fn controller() -> impl Strategy<Value = Controller> {
    (
        any::<u16>(),
        any::<u16>(),
        any::<u8>(),
        vec(any::<u8>(), 0..20),
        any::<bool>(),
        option::of(any::<u32>()),
    )
        .prop_map(|(max_len, id, reason, userdata, pause, meter)| Controller {
            max_len,
            id,
            reason: PacketInReason(reason),
            userdata,
            pause,
            meter,
        })
}

fn plain_action() -> impl Strategy<Value = Action> {
    let resubmit = (option::of(1..0xff00u16), option::of(0..255u8), any::<bool>());
    prop_oneof![
        (any::<u32>(), any::<u16>())
            .prop_map(|(port, max_len)| Action::Output { port: PortNo::new(port), max_len }),
        (range(), any::<u16>()).prop_map(|(src, max_len)| Action::OutputReg { src, max_len }),
        (port(), any::<u32>()).prop_map(|(port, max_len)| Action::OutputTrunc { port, max_len }),
        any::<u32>().prop_map(Action::Group),
        any::<u32>().prop_map(Action::Meter),
        any::<u32>().prop_map(Action::SetQueue),
        Just(Action::PopQueue),
        controller().prop_map(Action::Controller),
        (field(), any::<u128>(), any::<u128>())
            .prop_map(|(field, value, mask)| Action::set_field_masked(field, value, mask)),
        (range(), any::<u128>()).prop_map(|(dst, value)| Action::load(dst, value)),
        (range(), field()).prop_map(|(src, dst)| Action::move_field(src, Subfield::new(dst, 0, src.n_bits))),
        range().prop_map(Action::Push),
        range().prop_map(Action::Pop),
        any::<u16>().prop_map(Action::PushVlan),
        Just(Action::PopVlan),
        any::<u16>().prop_map(Action::PushMpls),
        any::<u16>().prop_map(Action::PopMpls),
        any::<u8>().prop_map(Action::SetMplsTtl),
        Just(Action::DecMplsTtl),
        any::<u8>().prop_map(Action::SetTtl),
        Just(Action::DecTtl),
        vec(any::<u16>(), 0..9).prop_map(Action::DecTtlTo),
        resubmit.prop_map(|(port, table, ct)| Action::Resubmit { port: port.map(PortNo::from), table, ct }),
        Just(Action::CtClear),
        (any::<u32>(), 1..=64u8, any::<u8>()).prop_map(|(id, clause, n_clauses)| Action::Conjunction {
            id,
            clause,
            n_clauses
        }),
        learn().prop_map(Action::Learn),
        vec(any::<u8>(), 0..40).prop_map(Action::note),
        (any::<u16>(), range())
            .prop_map(|(length, dst)| Action::CheckPktLarger { length, dst: Subfield { n_bits: 1, ..dst } }),
        Just(Action::Exit),
        (any::<u16>(), any::<u16>()).prop_map(|(idle, hard)| Action::FinTimeout { idle, hard }),
        nat().prop_map(Action::Nat),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    plain_action().prop_recursive(3, 12, 4, |inner| {
        let zone = prop_oneof![any::<u16>().prop_map(CtZone::from), range().prop_map(CtZone::from)];
        let ct = (
            any::<bool>(),
            any::<bool>(),
            zone,
            option::of(0..255u8),
            any::<u16>(),
            vec(inner.clone(), 0..4),
        )
            .prop_map(|(commit, force, zone, table, alg, actions)| {
                Action::Ct(Ct { commit, force, zone, table, alg, actions })
            });
        prop_oneof![vec(inner, 0..4).prop_map(Action::Clone), ct]
    })
}

fn flow() -> impl Strategy<Value = Flow> {
    let metadata = option::of((any::<u64>(), any::<u64>()))
        .prop_map(|metadata| metadata.map(|(value, mask)| WriteMetadata { value: value & mask, mask }));
    let instructions =
        (vec(action(), 0..5), any::<bool>(), vec(action(), 0..3), metadata, option::of(any::<u8>()));
    let rest = (any::<u64>(), any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>());
    (any::<u8>(), any::<u16>(), matching(), instructions, rest).prop_map(
        |(table, priority, matching, instructions, rest)| {
            let mut flow = Flow::new(table, priority, matching).cookie(rest.0).timeouts(rest.1, rest.2);
            flow.importance = rest.3;
            flow.flags = FlowFlags::from_bits(rest.4);
            let (apply, clear, write, metadata, goto_table) = instructions;
            flow.instructions = openflow::Instructions { apply, clear, write, metadata, goto_table };
            flow
        },
    )
}

fn bucket() -> impl Strategy<Value = Bucket> {
    (any::<u32>(), any::<u16>(), option::of(1..0xff00u16), option::of(0..99u32), vec(action(), 0..3))
        .prop_map(|(id, weight, port, group, actions)| {
            let mut bucket = Bucket::weighted(id, weight, actions);
            bucket.watch_port = port.map(PortNo::from);
            bucket.watch_group = group;
            bucket
        })
}

fn group() -> impl Strategy<Value = Group> {
    let kind = proptest::sample::select(&[
        GroupType::All,
        GroupType::Select,
        GroupType::Indirect,
        GroupType::FastFailover,
    ]);
    let selection = option::of((vec(field(), 0..5), any::<u64>()));
    (any::<u32>(), kind, selection, vec(bucket(), 0..4)).prop_map(|(id, kind, selection, buckets)| {
        let selection = selection.map(|(fields, param)| SelectionMethod::hash(fields).param(param));
        Group { id, kind, selection, buckets }
    })
}

fn message() -> impl Strategy<Value = Message> {
    let command = proptest::sample::select(&[
        FlowCommand::Add,
        FlowCommand::Modify,
        FlowCommand::ModifyStrict,
        FlowCommand::Delete,
        FlowCommand::DeleteStrict,
    ]);
    let stats = |(packets, bytes)| Stats { packets, bytes, ..Stats::default() };
    let counts = (option::of(any::<u64>()), option::of(any::<u64>())).prop_map(stats);
    let entry = (flow(), counts).prop_map(|(flow, stats)| FlowStats { flow, stats });
    prop_oneof![
        (command, flow(), any::<u64>()).prop_map(|(command, flow, cookie_mask)| {
            Message::FlowMod(FlowMod { cookie_mask, ..FlowMod::new(command, flow) })
        }),
        group().prop_map(|group| Message::GroupMod(GroupMod::add(group))),
        (vec(entry, 0..4), any::<bool>())
            .prop_map(|(flows, more)| Message::MultipartReply { more, body: MultipartReply::Flows(flows) }),
        vec(group(), 0..3)
            .prop_map(|groups| Message::MultipartReply { more: false, body: MultipartReply::Groups(groups) }),
    ]
}

fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(7, &mut bytes).unwrap();
    bytes
}

/// Whatever decodes can be written, and reads back as itself.
fn check_decoded(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let _ = frame.to_string();
    let mut again = Vec::new();
    if frame.message.encode(frame.xid, &mut again).is_ok() {
        assert_eq!(Frame::decode(&again), Ok(frame));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_read_back_as_they_were(message in message()) {
        let bytes = encode(&message);
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!(Frame::decode(&bytes), Ok(Frame { xid: 7, message }));
    }

    #[test]
    fn the_order_of_conditions_does_not_matter(
        entries in vec((field(), any::<u128>(), any::<u128>()), 0..12)
    ) {
        let mut seen = Vec::new();
        // Of conditions on one field, or on registers that overlap, the last one counts.
        let entries: Vec<_> = entries
            .into_iter()
            .filter(|(field, ..)| {
                let new = !seen.contains(field) && !field.name().contains("xreg");
                seen.push(*field);
                new
            })
            .collect();
        let build = |entries: &mut dyn Iterator<Item = &(Field, u128, u128)>| {
            entries.fold(Match::new(), |matching, (field, value, mask)| matching.masked(*field, *value, *mask))
        };
        let (forward, backward) = (build(&mut entries.iter()), build(&mut entries.iter().rev()));
        prop_assert_eq!(&forward, &backward);
        prop_assert!(forward.fields().is_sorted_by_key(|entry| entry.field));
        for entry in forward.fields() {
            prop_assert_ne!(entry.mask, 0);
            prop_assert_eq!(entry.value & !entry.mask, 0);
            prop_assert_eq!(forward.get(entry.field), Some(entry));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind in 0..40u8, mut bytes in vec(any::<u8>(), 8..200)) {
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[..2].copy_from_slice(&[6, kind]);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        check_decoded(&bytes);
    }

    #[test]
    fn arbitrary_streams_never_panic(pieces in vec(vec(any::<u8>(), 0..64), 0..16)) {
        let mut decoder = Decoder::new();
        for piece in pieces {
            decoder.feed(&piece);
            while let Ok(Some((header, _))) = decoder.poll() {
                prop_assert!(header.length >= 8);
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        which in any::<proptest::sample::Index>(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..5),
    ) {
        thread_local! {
            static SAMPLES: Vec<Vec<u8>> = common::samples::messages()
                .iter()
                .chain(&common::samples::unprintable_messages())
                .filter(|message| !matches!(message, Message::MultipartReply { body: MultipartReply::Flows(_), .. }))
                .map(encode)
                .collect();
        }
        let mut bytes = SAMPLES.with(|samples| which.get(samples).clone());
        for (index, value) in damage {
            let index = index.index(bytes.len());
            // The version and the length of the whole are left alone: what is behind them is of interest.
            if !(index == 0 || index == 2 || index == 3) {
                bytes[index] = value;
            }
        }
        check_decoded(&bytes);
    }
}

#[test]
fn a_message_too_long_for_its_length_field_is_an_error_and_leaves_no_trace() {
    let flow = Flow::new(0, 1, Match::new()).actions(vec![Action::output(1); 5000]);
    let mut out = vec![1, 2, 3];
    let error = Message::FlowMod(FlowMod::add(flow)).encode(1, &mut out).unwrap_err();
    assert_eq!(error.what, "instruction");
    assert_eq!(error.length, 80_008);
    assert_eq!(out, [1, 2, 3]);
    let error = Message::EchoRequest(vec![0; 65_528]).encode(1, &mut out).unwrap_err();
    assert_eq!((error.what, error.length), ("message", 65_536));
    assert!(Message::EchoRequest(vec![0; 65_527]).encode(1, &mut out).is_ok());
}
