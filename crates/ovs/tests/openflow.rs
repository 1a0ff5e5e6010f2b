//! Sessions with a real switch, in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod switch;

use std::time::Duration;

use openflow::{Action, Flow, FlowMod, FlowRequest, Match, Message, PortNo};
use ovs::Address;
use ovs::openflow::{BundleError, Connected, Session, keep_up};
use switch::Switch;
use tokio::sync::{mpsc, watch};

fn flow(n: u32) -> Flow {
    Flow::new(1, 100, Match::new().ipv4().ipv4_dst(std::net::Ipv4Addr::from(0x0a00_0000 + n)))
        .cookie(7)
        .action(Action::output(PortNo::new(1)))
}

fn add(flow: Flow) -> Message {
    Message::FlowMod(FlowMod::add(flow))
}

#[tokio::test]
async fn a_large_bundle_is_applied_whole_and_read_back_equal() {
    let Some(switch) = Switch::start() else { return };
    let (session, _asynchronous) = Session::connect(&switch.openflow()).await.unwrap();
    session.bundle((0..10_000).map(|n| add(flow(n))).collect()).await.unwrap();
    let mut read: Vec<Flow> =
        session.flows(FlowRequest::default()).await.unwrap().into_iter().map(|f| f.flow).collect();
    assert_eq!(read.len(), 10_000);
    read.sort_by_key(Flow::key);
    let mut sent: Vec<Flow> = (0..10_000).map(flow).collect();
    sent.sort_by_key(Flow::key);
    assert_eq!(read, sent);
}

#[tokio::test]
async fn a_bundle_with_one_bad_message_changes_nothing_and_names_it() {
    let Some(switch) = Switch::start() else { return };
    let (session, _asynchronous) = Session::connect(&switch.openflow()).await.unwrap();
    let mut bad = flow(2);
    bad.instructions.goto_table = Some(0);
    let result = session.bundle(vec![add(flow(1)), add(bad), add(flow(3))]).await;
    match result {
        Err(BundleError::Refused { index, message, .. }) => {
            assert_eq!(index, 1);
            assert!(message.contains("10.0.0.2"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(session.flows(FlowRequest::default()).await.unwrap(), vec![]);
    // A group that is not there is noticed when the bundle is committed.
    let no_group = flow(4).action(Action::Group(77));
    let result = session.bundle(vec![add(flow(1)), add(no_group)]).await;
    assert!(matches!(result, Err(BundleError::Refused { index: 1, .. })), "{result:?}");
    assert_eq!(session.flows(FlowRequest::default()).await.unwrap(), vec![]);
    session.bundle(vec![add(flow(1))]).await.unwrap();
}

#[tokio::test]
async fn a_switch_that_restarts_is_found_again() {
    let Some(mut switch) = Switch::start() else { return };
    let (events_in, mut events) = mpsc::channel(8);
    let (_wanted, wanting) = watch::channel(true);
    let keeping = tokio::spawn(keep_up(switch.openflow(), wanting, events_in));
    let next = async |events: &mut mpsc::Receiver<Connected>| {
        tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap()
    };
    let Connected::Up(session, _asynchronous) = next(&mut events).await else { panic!("not up") };
    session.bundle(vec![add(flow(1))]).await.unwrap();
    switch.restart_vswitchd();
    assert!(matches!(next(&mut events).await, Connected::Down(_)));
    let Connected::Up(session, _asynchronous) = next(&mut events).await else { panic!("not up again") };
    assert_eq!(
        session.flows(FlowRequest::default()).await.unwrap(),
        vec![],
        "a restarted switch has no flows"
    );
    keeping.abort();
}

#[tokio::test]
async fn a_bridge_without_openflow_1_5_says_what_to_do() {
    let Some(switch) = Switch::start() else { return };
    switch.vsctl(&["set", "bridge", "br", "protocols=OpenFlow10,OpenFlow13"]);
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        match Session::connect(&switch.openflow()).await {
            Err(error) if error.to_string().contains("protocols=OpenFlow15") => return,
            // The switch applies the setting a moment later.
            _ if std::time::Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_socket() {
    let address: Address = "unix:/nonexistent/br.mgmt".parse().unwrap();
    let error = Session::connect(&address).await.unwrap_err().to_string();
    assert!(error.contains("unix:/nonexistent/br.mgmt"), "{error}");
}
