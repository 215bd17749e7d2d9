//! Bytes as a connection brings them, in two pieces: no panic; and what is a frame is one again when it is written and read.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rocketmq_operator::admin::frame::{Codec, Frame};
use tokio_util::codec::{Decoder, Encoder};

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let whole = frames(&[bytes]);
    let (first, rest) = bytes.split_at(usize::from(cut).min(bytes.len()));
    assert_eq!(frames(&[first, rest]), whole);
    for frame in whole {
        let mut written = BytesMut::new();
        // What was a binary header may be too long as text.
        if Codec.encode(frame.clone(), &mut written).is_ok() {
            assert_eq!(Codec.decode(&mut written).ok().flatten(), Some(frame));
            assert!(written.is_empty());
        }
    }
});

/// The frames before the first bytes that are none.
fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match Codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}
