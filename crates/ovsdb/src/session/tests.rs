use proptest::prelude::*;

use super::*;
use crate::{ErrorKind, Operation};

fn poll_all(session: &mut Session, bytes: &[u8]) -> Vec<Event> {
    session.receive(bytes);
    std::iter::from_fn(|| session.poll().unwrap()).collect()
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let mut session = Session::default();
    let dbs = session.send(&Request::ListDbs).unwrap();
    let transact = session.send(&Request::transact([Operation::comment("x"), Operation::Abort])).unwrap();
    let sent = session.take_output();
    assert_eq!(sent.iter().filter(|b| **b == b'{').count(), 4, "both requests are written at once");
    assert!(!session.has_output());

    let answers = format!(
        r#"{{"id":{transact},"result":[{{}},{{"error":"aborted"}}],"error":null}}{{"id":{dbs},"result":["a"],"error":null}}"#
    );
    let mut events = poll_all(&mut session, answers.as_bytes()).into_iter();
    let Some(Event::Reply(id, reply)) = events.next() else { panic!() };
    assert_eq!(id, transact);
    let ReplyError::Transact(error) = reply.transact().unwrap_err() else { panic!() };
    assert_eq!((error.index, error.error.kind), (Some(1), ErrorKind::Aborted));
    let Some(Event::Reply(id, reply)) = events.next() else { panic!() };
    assert_eq!((id, reply.databases().unwrap()), (dbs, vec!["a".to_owned()]));
    assert_eq!(session.pending(), 0);
}

#[test]
fn echo_requests_are_answered_inside() {
    let mut session = Session::default();
    assert!(poll_all(&mut session, br#"{"id":"echo","method":"echo","params":[]}"#).is_empty());
    assert_eq!(session.take_output(), br#"{"id":"echo","result":[],"error":null}"#);
}

#[test]
fn answers_to_nothing_are_passed_over() {
    let mut session = Session::default();
    let bytes =
        br#"{"id":9,"result":{},"error":null}{"id":"x","result":{},"error":null}{"id":null,"error":"x"}"#;
    assert!(poll_all(&mut session, bytes).is_empty());
}

#[test]
fn a_refusal_is_the_answer_of_its_request_alone() {
    let mut session = Session::default();
    let id = session.send(&Request::Lock("l".into())).unwrap();
    let answer = format!(r#"{{"id":{id},"error":"unknown method"}}"#);
    let Some(Event::Reply(_, reply)) = poll_all(&mut session, answer.as_bytes()).pop() else { panic!() };
    assert!(
        matches!(reply.locked(), Err(ReplyError::Refused(RpcError(e))) if e.kind == ErrorKind::UnknownMethod)
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut session = Session::default();
        session.send(&Request::ListDbs).unwrap();
        session.receive(&bytes);
        while let Ok(Some(_)) = session.poll() {}
    }
}
