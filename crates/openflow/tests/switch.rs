//! A real switch takes what is sent, gives it back equal, and `ovs-ofctl` sees the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::samples;
use common::vswitch::{Client, Vswitch};
use openflow::{
    Action, BundleAdd, BundleControl, BundleControlType, BundleFlags, CtFlush, ErrorReason, Field, Flow,
    FlowFlags, FlowKey, FlowMod, FlowRequest, Frame, Group, GroupMod, Match, Message, MeterMod,
    MultipartReply, MultipartRequest, PacketInReason, PacketOut, PortNo, Role, RoleRequest, SwitchConfig,
};

const FLAGS: BundleFlags = BundleFlags::ATOMIC.union(BundleFlags::ORDERED);

fn control(client: &mut Client, id: u32, kind: BundleControlType) -> Frame {
    let xid = client.send(&Message::BundleControl(BundleControl { id, kind, flags: FLAGS }));
    let frame = client.receive();
    assert_eq!(frame.xid, xid, "{frame}");
    frame
}

/// Applies messages in one bundle.
fn bundle(client: &mut Client, messages: impl IntoIterator<Item = Message>) {
    let reply = control(client, 1, BundleControlType::OpenRequest);
    assert!(reply.to_string().contains("OPEN_REPLY"), "{reply}");
    for message in messages {
        client.send(&Message::BundleAdd(BundleAdd { id: 1, flags: FLAGS, message: Box::new(message) }));
    }
    let reply = control(client, 1, BundleControlType::CommitRequest);
    assert!(reply.to_string().contains("COMMIT_REPLY"), "{reply}");
}

fn flows(client: &mut Client) -> BTreeMap<FlowKey, Flow> {
    let MultipartReply::Flows(flows) = client.ask(MultipartRequest::Flows(FlowRequest::default())) else {
        panic!("a reply of another kind")
    };
    flows.into_iter().map(|entry| (entry.flow.key(), entry.flow)).collect()
}

fn groups(client: &mut Client) -> Vec<Group> {
    let MultipartReply::Groups(mut groups) = client.ask(MultipartRequest::Groups(None)) else {
        panic!("a reply of another kind")
    };
    groups.sort_by_key(|group| group.id);
    groups
}

/// Compares texts line by line, in any order and without the title that the program may print.
#[track_caller]
fn assert_same_lines(ours: &[String], theirs: &str) {
    let ours: BTreeSet<_> = ours.iter().map(String::as_str).collect();
    let theirs: BTreeSet<_> =
        theirs.lines().map(str::trim).filter(|line| !line.starts_with("OFPST_")).collect();
    let only =
        |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).copied().collect::<Vec<_>>().join("\n");
    assert!(ours == theirs, "ours:\n{}\ntheirs:\n{}", only(&ours, &theirs), only(&theirs, &ours));
}

#[test]
fn what_is_read_back_equals_what_was_sent() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    let sent: BTreeMap<_, _> = samples::flows().into_iter().map(|flow| (flow.key(), flow)).collect();
    let sent_groups = samples::groups();
    let messages = samples::groups().into_iter().map(|group| Message::GroupMod(GroupMod::add(group)));
    let messages = messages.chain(sent.values().cloned().map(|flow| Message::FlowMod(FlowMod::add(flow))));
    bundle(&mut client, messages);

    let read = flows(&mut client);
    for (key, flow) in &sent {
        assert_eq!(read.get(key), Some(flow), "{flow}");
    }
    assert_eq!(read.len(), sent.len());
    assert_eq!(groups(&mut client), sent_groups);

    let ours: Vec<_> = sent.values().map(ToString::to_string).collect();
    let theirs = switch.ofctl(&["--no-stats", "dump-flows"], &[]);
    assert_same_lines(&ours, &theirs);
    let ours: Vec<_> = sent_groups.iter().map(ToString::to_string).collect();
    let theirs = switch.ofctl(&["dump-groups"], &[]);
    assert_same_lines(&ours, &theirs);
}

#[test]
fn ovs_ofctl_understands_what_is_printed() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    let kept = |flow: &Flow| {
        // The program prints `no` and `later` for two different masks each, and reads them as the full one.
        let frag = flow.matching.get(Field::IpFrag);
        frag.is_none_or(|frag| frag.mask == 3 || !matches!((frag.value, frag.mask), (0, 1) | (2, 2)))
    };
    let flows_sent: Vec<_> = samples::flows().into_iter().filter(kept).collect();
    let text: Vec<_> = flows_sent.iter().map(ToString::to_string).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.join("\n")).unwrap();
    switch.ofctl(&["add-flows"], &[file.path().to_str().unwrap()]);
    let read = flows(&mut client);
    for flow in &flows_sent {
        let read = read.get(&flow.key()).unwrap_or_else(|| panic!("missing: {flow}"));
        assert_eq!(read.to_string(), flow.to_string());
    }
    assert_eq!(read.len(), flows_sent.len());
}

#[test]
fn meters_read_back_and_are_used_by_flows() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    for meter in samples::meters() {
        client.send(&Message::MeterMod(MeterMod::add(meter)));
    }
    let metered = Flow::new(0, 1, Match::new()).action(Action::Meter(1)).action(Action::output(1));
    client.send(&Message::FlowMod(FlowMod::add(metered.clone())));
    client.barrier();
    let MultipartReply::Meters(mut meters) = client.ask(MultipartRequest::Meters(None)) else { panic!() };
    meters.sort_by_key(|meter| meter.id);
    assert_eq!(meters.iter().map(|meter| meter.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(meters[1], samples::meters()[1]);
    assert_eq!(flows(&mut client).into_values().collect::<Vec<_>>(), [metered]);
    let MultipartReply::MeterStats(stats) = client.ask(MultipartRequest::MeterStats(None)) else { panic!() };
    assert_eq!(stats.len(), 2);
}

#[test]
fn an_error_carries_the_header_of_the_message_it_is_about() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    let bad = Flow::new(0, 1, Match::new().set(Field::TcpDst, 80u8));
    let xid = client.send(&Message::FlowMod(FlowMod::add(bad)));
    let frame = client.receive();
    assert_eq!(frame.xid, xid);
    let Message::Error(error) = &frame.message else { panic!("{frame}") };
    assert_eq!(error.reason.name(), Some("OFPBMC_BAD_PREREQ"));
    let offender = error.offender().unwrap();
    assert_eq!((offender.xid, offender.kind), (xid, 14));
}

#[test]
fn a_bundle_with_a_bad_message_changes_nothing() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    control(&mut client, 9, BundleControlType::OpenRequest);
    let add = |flow| {
        let message = Box::new(Message::FlowMod(FlowMod::add(flow)));
        Message::BundleAdd(BundleAdd { id: 9, flags: FLAGS, message })
    };
    client.send(&add(Flow::new(0, 1, Match::new())));
    let bad = client.send(&add(Flow::new(0, 2, Match::new()).action(Action::Group(77))));
    let commit = client.send(&Message::BundleControl(BundleControl {
        id: 9,
        kind: BundleControlType::CommitRequest,
        flags: FLAGS,
    }));
    let errors = [client.receive(), client.receive()];
    let reasons = errors.each_ref().map(|frame| match &frame.message {
        Message::Error(error) => (frame.xid, error.reason),
        _ => panic!("{frame}"),
    });
    assert_eq!(reasons[0], (bad, ErrorReason::Standard { kind: 2, code: 9 }));
    assert_eq!(reasons[1], (commit, ErrorReason::BUNDLE_MSG_FAILED));
    assert!(flows(&mut client).is_empty());
}

#[test]
fn the_switch_answers_every_request() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    let MultipartReply::Desc(desc) = client.ask(MultipartRequest::Desc) else { panic!() };
    assert_eq!(desc.hardware, "Open vSwitch");
    let MultipartReply::Ports(ports) = client.ask(MultipartRequest::Ports(PortNo::ANY)) else { panic!() };
    assert!(ports.iter().any(|port| port.number == PortNo::LOCAL && port.name == "br0"));
    let MultipartReply::PortStats(stats) = client.ask(MultipartRequest::PortStats(PortNo::ANY)) else {
        panic!()
    };
    assert_eq!(stats.len(), ports.len());
    let MultipartReply::GroupFeatures(features) = client.ask(MultipartRequest::GroupFeatures) else {
        panic!()
    };
    assert_eq!(features.types, 0xf);
    let sums = client.ask(MultipartRequest::Aggregate(FlowRequest::default()));
    assert!(matches!(sums, MultipartReply::Aggregate(sums) if sums.flows == 0));
    let MultipartReply::GroupStats(stats) = client.ask(MultipartRequest::GroupStats(None)) else { panic!() };
    assert!(stats.is_empty());

    let requests = [
        (Message::FeaturesRequest, "OFPT_FEATURES_REPLY"),
        (Message::GetConfigRequest, "OFPT_GET_CONFIG_REPLY"),
        (Message::GetAsyncRequest, "OFPT_GET_ASYNC_REPLY"),
        (Message::RoleRequest(RoleRequest { role: Role::NoChange, generation_id: None }), "OFPT_ROLE_REPLY"),
        (Message::EchoRequest(vec![1, 2]), "OFPT_ECHO_REPLY"),
    ];
    for (request, reply) in requests {
        let xid = client.send(&request);
        let frame = client.receive();
        assert_eq!((frame.message.name(), frame.xid), (reply, xid), "{frame}");
    }
    client.send(&Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: 128 }));
    client.send(&Message::CtFlushZone(7));
    client.send(&Message::CtFlush(CtFlush { zone: Some(3), ..CtFlush::default() }));
    client.barrier();
}

#[test]
fn packets_travel_both_ways_and_flows_report_their_end() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    client.send(&Message::SetPacketInFormat(2));
    client.send(&Message::SetConfig(SwitchConfig { flags: 0, miss_send_len: 0xffff }));
    let flow = Flow::new(0, 7, Match::new().in_port(PortNo::CONTROLLER))
        .cookie(0x77)
        .flags(FlowFlags::SEND_FLOW_REM)
        .action(Action::load(Field::Reg3, 5u8))
        .action(openflow::Controller { userdata: vec![1, 2, 3], ..openflow::Controller::default() });
    client.send(&Message::FlowMod(FlowMod::add(flow)));
    client.barrier();

    let mut packet = vec![0xff; 6];
    packet.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    packet.resize(64, 7);
    let out = PacketOut::new(PortNo::CONTROLLER, vec![Action::output(PortNo::TABLE)], packet.clone());
    client.send(&Message::PacketOut(out));
    let frame = client.receive();
    let Message::PacketIn2(packet_in) = &frame.message else { panic!("{frame}") };
    assert_eq!(packet_in.packet, packet);
    assert_eq!(packet_in.cookie, Some(0x77));
    assert_eq!(packet_in.userdata, [1, 2, 3]);
    assert_eq!(packet_in.reason, PacketInReason::ACTION);
    assert_eq!(packet_in.in_port(), Some(PortNo::CONTROLLER));
    assert_eq!(packet_in.metadata.get(Field::Reg3).unwrap().value, 5);

    client.send(&Message::FlowMod(FlowMod::delete(0xff, Match::new())));
    let frame = client.receive();
    let Message::FlowRemoved(removed) = &frame.message else { panic!("{frame}") };
    assert_eq!((removed.cookie, removed.priority), (0x77, 7));
    assert_eq!(removed.matching, Match::new().in_port(PortNo::CONTROLLER));
}

#[test]
fn ten_thousand_flows_go_in_and_come_back() {
    let Some(switch) = Vswitch::start() else { return };
    let mut client = switch.connect();
    let flow = |n: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
        Flow::new(10, 100, Match::new().ipv4_dst(address))
            .cookie(u64::from(n))
            .action(Action::load(Field::Reg1, n))
            .goto_table(11)
    };
    // The switch answers nothing while it takes the bundle, so there is nothing to read meanwhile.
    bundle(&mut client, (0..10_000).map(|n| Message::FlowMod(FlowMod::add(flow(n)))));
    let read = flows(&mut client);
    assert_eq!(read.len(), 10_000);
    for n in 0..10_000 {
        assert_eq!(read.get(&flow(n).key()), Some(&flow(n)));
    }
    bundle(&mut client, [Message::FlowMod(FlowMod::delete(0xff, Match::new()))]);
    assert!(flows(&mut client).is_empty());
}
