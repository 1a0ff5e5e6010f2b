use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{MonitorRequest, MonitorRequests, Operation, Request, Row, RowUpdate};

fn sent(request: &Request) -> serde_json::Value {
    serde_json::from_slice(&request.encode(7).unwrap()).unwrap()
}

fn received(message: &serde_json::Value) -> Message {
    Message::decode(message.to_string().as_bytes()).unwrap()
}

#[test]
fn requests_have_the_notation_of_the_rfc() {
    assert_eq!(sent(&Request::ListDbs), json!({"id": 7, "method": "list_dbs", "params": []}));
    assert_eq!(sent(&Request::Echo), json!({"id": 7, "method": "echo", "params": []}));
    assert_eq!(sent(&Request::Lock("l".into())), json!({"id": 7, "method": "lock", "params": ["l"]}));
    assert_eq!(
        sent(&Request::transact([Operation::comment("hello"), Operation::Abort])),
        json!({"id": 7, "method": "transact",
            "params": ["Open_vSwitch", {"op": "comment", "comment": "hello"}, {"op": "abort"}]})
    );
    let requests = MonitorRequests::new().with("Bridge", MonitorRequest::columns(["name"]));
    assert_eq!(
        sent(&Request::MonitorCondSince {
            database: "Open_vSwitch".into(),
            monitor: 3,
            requests: requests.clone(),
            last_transaction: Uuid::ZERO
        }),
        json!({"id": 7, "method": "monitor_cond_since", "params": ["Open_vSwitch", 3,
            {"Bridge": [{"columns": ["name"]}]}, "00000000-0000-0000-0000-000000000000"]})
    );
    assert_eq!(
        sent(&Request::MonitorCondChange { monitor: 3, requests }),
        json!({"id": 7, "method": "monitor_cond_change", "params": [3, 3, {"Bridge": [{"columns": ["name"]}]}]})
    );
}

#[test]
fn an_echo_is_answered_with_its_own_id_and_parameters() {
    let message = received(&json!({"id": "echo", "method": "echo", "params": [1, "x"]}));
    let Message::Request { id, method, params } = message else { panic!("{message:?}") };
    assert_eq!(method, "echo");
    let reply: serde_json::Value = serde_json::from_slice(&Message::encode_echo_reply(&id, &params)).unwrap();
    assert_eq!(reply, json!({"id": "echo", "result": [1, "x"], "error": null}));
}

#[test]
fn updates_and_lock_notifications_are_understood() {
    let id = "f63a4d75-0f9c-4f7f-b800-2c982cf26f7a";
    let message = received(&json!({"id": null, "method": "update3", "params": [3, Uuid::ZERO,
        {"Bridge": {id: {"modify": {"name": "br0"}}, Uuid::ZERO.to_string(): {"delete": null}}}]}));
    let Message::Notification(Notification::Update { monitor: 3, updates, .. }) = message else {
        panic!("{message:?}")
    };
    let expected = [
        (Uuid::ZERO, RowUpdate::Delete),
        (id.parse().unwrap(), RowUpdate::Modify(Row::new().with("name", "br0"))),
    ];
    assert!(updates.table("Bridge").iter().cloned().eq(expected));

    for (method, expected) in
        [("locked", Notification::Locked("l".into())), ("stolen", Notification::Stolen("l".into()))]
    {
        let message = received(&json!({"id": null, "method": method, "params": ["l"]}));
        assert!(matches!(&message, Message::Notification(n) if *n == expected), "{message:?}");
    }
    let message = received(&json!({"id": null, "method": "monitor_canceled", "params": [3]}));
    assert!(matches!(message, Message::Notification(Notification::MonitorCanceled { monitor: 3 })));
}

#[test]
fn refusals_come_as_objects_and_as_strings() {
    for (error, kind) in [
        (json!({"error": "unknown database", "details": "x", "syntax": "y"}), ErrorKind::UnknownDatabase),
        (json!("unknown method"), ErrorKind::UnknownMethod),
        (json!(42), ErrorKind::Other("42".into())),
    ] {
        let message = received(&json!({"id": 7, "error": error}));
        let Message::Response { id: Some(7), result: Err(RpcError(error)) } = message else {
            panic!("{message:?}")
        };
        assert_eq!(error.kind, kind);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for text in ["", "{", "[]", "{\"method\":1}", r#"{"id":null,"method":"update3","params":[]}"#] {
        assert!(Message::decode(text.as_bytes()).is_err(), "{text}");
    }
    // Deep nesting must not end the process.
    let deep = format!(r#"{{"id":null,"method":"update3","params":{}"#, "[".repeat(1 << 20));
    assert!(Message::decode(deep.as_bytes()).is_err());
    let nested = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let deep = format!(r#"{{"id":null,"method":"update3","params":[1,"{}",{nested}]}}"#, Uuid::ZERO);
    assert!(Message::decode(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(at in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = br#"{"id":null,"method":"update3","params":[3,"f63a4d75-0f9c-4f7f-b800-2c982cf26f7a",{"T":{"f63a4d75-0f9c-4f7f-b800-2c982cf26f7a":{"modify":{"n":["map",[["a",1]]],"s":["set",[]]}}}}]}"#.to_vec();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = Message::decode(&bytes);
    }
}
