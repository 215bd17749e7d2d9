//! Any bytes as an answer's body: no panic; and what is read is standard JSON when it is made so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_operator::admin::json;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = json::parse(bytes) {
        let standard = read.to_standard().to_string();
        assert!(json::parse(standard.as_bytes()).is_ok(), "{standard}");
    }
});
