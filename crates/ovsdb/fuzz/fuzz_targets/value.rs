//! A value or operation that is understood is written in one form, which is understood as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::{Operation, Value};

fuzz_target!(|data: &[u8]| {
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        let text = serde_json::to_vec(&value).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
    }
    if let Ok(operation) = serde_json::from_slice::<Operation>(data) {
        let text = serde_json::to_vec(&operation).unwrap();
        assert_eq!(serde_json::from_slice::<Operation>(&text).unwrap(), operation);
    }
});
