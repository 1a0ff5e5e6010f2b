//! Whatever a server sends, in whatever pieces: no panic, and what is understood can be applied.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::{Event, Notification, Operation, Replica as _, Request, Session, Switch};

fuzz_target!(|data: &[u8]| {
    let Some((cut, stream)) = data.split_first() else { return };
    let mut session = Session::default();
    let mut switch = Switch::default();
    let _ = session.send(&Request::transact([Operation::Abort]));
    let _ = session.send(&Request::ListDbs);
    for chunk in stream.chunks(usize::from(*cut).max(1)) {
        session.receive(chunk);
        loop {
            match session.poll() {
                Ok(None) => break,
                Err(_) => return,
                Ok(Some(Event::Reply(1, reply))) => _ = reply.transact(),
                Ok(Some(Event::Reply(_, reply))) => _ = reply.monitor(),
                Ok(Some(Event::Notification(Notification::Update { updates, .. }))) => {
                    let _ = switch.apply(&updates, &mut Vec::new());
                }
                Ok(Some(Event::Notification(_))) => {}
            }
        }
        let _ = session.take_output();
    }
});
