//! Any text as a configuration: no panic; and what is read is read again when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rocketmq_operator::properties::{parse, write};

fuzz_target!(|text: &str| {
    let read = parse(text);
    let written = write(read.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    assert_eq!(parse(&written), read);
});
