use ipam::PodPort;
use ovsdb::RowChange;
use ovsdb::tables::Interface;

use super::*;
use crate::view::{ClusterPod, Part, ViewEvent};

const GRACE: Grace = Grace { link: Duration::from_secs(10), pod: Duration::from_secs(60) };

fn uuid() -> Uuid {
    Uuid::from_bytes([1; 16])
}

fn port() -> PodPort {
    PodPort {
        namespace: "default".into(),
        name: "web".into(),
        uid: Some("u".into()),
        container_id: "c".into(),
        ifname: "eth0".into(),
        netns: "/run/netns/x".into(),
        mac: [2; 6],
        ipv4: Some([10, 0, 1, 2].into()),
        ipv6: None,
        mtu: None,
    }
}

fn state() -> State {
    let mut state = State::new("node-1");
    let row = Interface { name: port().port_name(), external_ids: port().write(), ..Interface::default() };
    state.interface(&RowChange::Inserted { uuid: uuid(), row: row.into() });
    state
}

fn pod() -> ClusterPod {
    ClusterPod {
        pod: PodRef { namespace: "default".into(), name: "web".into() },
        uids: vec!["u".into()],
        node: "node-1".into(),
        ..ClusterPod::default()
    }
}

fn links() -> HashSet<String> {
    HashSet::from([port().port_name()])
}

#[test]
fn a_port_without_its_veth_pair_goes_after_the_grace() {
    let (state, mut sweeper, start) = (state(), Sweeper::default(), Instant::now());
    let none = HashSet::new();
    assert_eq!(sweeper.look(&state, &none, GRACE, start), vec![]);
    assert_eq!(sweeper.look(&state, &none, GRACE, start + Duration::from_secs(9)), vec![]);
    // It was there after all: the time starts again.
    assert_eq!(sweeper.look(&state, &links(), GRACE, start + Duration::from_secs(10)), vec![]);
    assert_eq!(sweeper.look(&state, &none, GRACE, start + Duration::from_secs(11)), vec![]);
    let gone = sweeper.look(&state, &none, GRACE, start + Duration::from_secs(21));
    assert_eq!(gone, vec![(uuid(), "its veth pair is gone")]);
}

#[test]
fn a_pod_that_was_seen_and_is_gone_goes_after_the_grace() {
    let (mut state, mut sweeper, start) = (state(), Sweeper::default(), Instant::now());
    state.view(ViewEvent::Pod(Box::new(pod())));
    state.view(ViewEvent::Synced(Part::Pods));
    assert_eq!(sweeper.look(&state, &links(), GRACE, start), vec![]);
    state.view(ViewEvent::PodGone(pod().pod));
    assert_eq!(sweeper.look(&state, &links(), GRACE, start), vec![]);
    assert_eq!(sweeper.look(&state, &links(), GRACE, start + Duration::from_secs(59)), vec![]);
    assert_eq!(sweeper.look(&state, &links(), GRACE, start + Duration::from_secs(60)).len(), 1);
}

#[test]
fn a_pod_that_was_never_seen_proves_nothing() {
    let (mut state, mut sweeper, start) = (state(), Sweeper::default(), Instant::now());
    // Not even while pods are not listed at all.
    assert_eq!(sweeper.look(&state, &links(), GRACE, start), vec![]);
    state.view(ViewEvent::Synced(Part::Pods));
    for minutes in 0..60 {
        let now = start + Duration::from_secs(60 * minutes);
        assert_eq!(sweeper.look(&state, &links(), GRACE, now), vec![], "a static pod without its mirror");
    }
}
