use proptest::prelude::*;

use super::*;

fn messages(framer: &mut Framer) -> Result<Vec<String>, FrameError> {
    let mut messages = Vec::new();
    while let Some(message) = framer.next_message()? {
        messages.push(String::from_utf8_lossy(message).into_owned());
    }
    Ok(messages)
}

#[test]
fn messages_need_no_separator() {
    let mut framer = Framer::default();
    framer.push(br#"{"a":[1,{}]}{"b":"}\"]\\"} {}"#);
    framer.push(b"\n");
    assert_eq!(messages(&mut framer).unwrap(), [r#"{"a":[1,{}]}"#, r#"{"b":"}\"]\\"}"#, "{}"]);
}

#[test]
fn a_message_cut_anywhere_is_put_together() {
    let text = r#"{"a":"\\\"{[","b":[[],{"c":1}]}"#;
    for cut in 0..text.len() {
        let mut framer = Framer::default();
        framer.push(&text.as_bytes()[..cut]);
        assert_eq!(framer.next_message().unwrap(), None, "cut at {cut}");
        framer.push(&text.as_bytes()[cut..]);
        assert_eq!(messages(&mut framer).unwrap(), [text], "cut at {cut}");
    }
}

#[test]
fn a_stream_of_something_else_is_refused() {
    let mut framer = Framer::default();
    framer.push(b" HTTP/1.1 400 Bad Request");
    assert_eq!(framer.next_message(), Err(FrameError::NotAnObject(b'H')));
    assert_eq!(framer.next_message(), Err(FrameError::NotAnObject(b'H')));
}

#[test]
fn a_message_without_end_is_refused_at_the_limit() {
    let mut framer = Framer::new(8);
    framer.push(b"{\"a\":10}");
    assert_eq!(messages(&mut framer).unwrap().len(), 1);
    framer.push(b"{\"a\":100");
    assert_eq!(framer.next_message().unwrap(), None);
    framer.push(b"}");
    assert_eq!(framer.next_message(), Err(FrameError::TooLarge(8)));
    assert_eq!(framer.next_message(), Err(FrameError::TooLarge(8)));
}

#[test]
fn memory_does_not_grow_with_the_length_of_the_stream() {
    let mut framer = Framer::default();
    let message = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
    let half = message.len() / 2;
    framer.push(&message.as_bytes()[..half]);
    for _ in 0..10_000 {
        framer.push(&message.as_bytes()[half..]);
        framer.push(&message.as_bytes()[..half]);
        assert_eq!(messages(&mut framer).unwrap(), [message.as_str()]);
    }
    assert!(framer.buffer.capacity() < 4 * COMPACT, "{}", framer.buffer.capacity());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20)) {
        let mut framer = Framer::new(64);
        for chunk in chunks {
            framer.push(&chunk);
            let _ = messages(&mut framer);
        }
    }

    #[test]
    fn the_cut_of_the_stream_does_not_matter(texts in proptest::collection::vec("[\\[\\]{}\"\\\\a]{0,12}", 1..6), cut in 1_usize..9) {
        let stream: String = texts
            .iter()
            .map(|text| serde_json::to_string(&serde_json::json!({"t": text, "n": [{"x": [text]}]})).unwrap())
            .collect();
        let mut whole = Framer::default();
        whole.push(stream.as_bytes());
        let mut pieces = Framer::default();
        let mut found = Vec::new();
        for chunk in stream.as_bytes().chunks(cut) {
            pieces.push(chunk);
            found.extend(messages(&mut pieces).unwrap());
        }
        prop_assert_eq!(messages(&mut whole).unwrap(), found.clone());
        prop_assert_eq!(found.concat(), stream);
    }
}
