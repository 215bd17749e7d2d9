//! Frames of the remoting protocol: `length | serialize type and header length | header | body`, big endian.
//!
//! Requests are written with a JSON header. Responses come in the server's own serialization, told by the mark byte,
//! so both are read. Source: RocketMQ 4.5.0 to 5.5.0 `RemotingCommand`, `NettyDecoder`, `RocketMQSerializable`.

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, Encoder};

/// The longest frame that is read: a broker with tens of thousands of topics answers with more than the 16 MiB that a
/// server reads.
const LONGEST: usize = 64 * 1024 * 1024;
/// Frames up to this length share a buffer with the next one.
const SHORT: usize = 64 * 1024;
/// `MQVersion.V4_9_4`: from this on a server may answer in standard JSON, and up to 5.3.1 none sends `GO_AWAY`.
const VERSION: i32 = 401;
/// Bit 0 of the flag: this is a response.
const RESPONSE: i32 = 1;

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// `RequestCode` or `ResponseCode`.
    pub code: i32,
    /// Which request this is, or answers.
    pub opaque: i32,
    /// Bit 0: response; bit 1: nobody answers this.
    pub flag: i32,
    /// The server's words in a response.
    pub remark: Option<String>,
    /// Named values beside the body.
    pub fields: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Frame {
    /// A request without a body.
    #[must_use]
    pub fn request(code: i32, opaque: i32) -> Self {
        Self {
            code,
            opaque,
            ..Self::default()
        }
    }

    /// As it is, with these fields and this body.
    #[must_use]
    pub fn with(mut self, fields: BTreeMap<String, String>, body: Bytes) -> Self {
        self.fields = fields;
        self.body = body;
        self
    }

    /// Whether this answers a request of ours. Servers send requests of their own on a client's connection.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & RESPONSE != 0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonHeader {
    code: i32,
    #[serde(default)]
    ext_fields: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    flag: i32,
    #[serde(default)]
    language: Option<String>,
    opaque: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(default, rename = "serializeTypeCurrentRPC")]
    serialize_type: Option<String>,
    #[serde(default)]
    version: i32,
}

/// Reads and writes frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codec;

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> io::Result<()> {
        let header = serde_json::to_vec(&JsonHeader {
            code: frame.code,
            // Always sent: several handlers fail on its absence.
            ext_fields: Some(
                frame
                    .fields
                    .into_iter()
                    .map(|(key, value)| (key, Some(value)))
                    .collect(),
            ),
            flag: frame.flag,
            language: Some("OTHER".to_owned()),
            opaque: frame.opaque,
            remark: frame.remark,
            serialize_type: Some("JSON".to_owned()),
            version: VERSION,
        })?;
        let length = 4 + header.len() + frame.body.len();
        if length > LONGEST || header.len() > 0xff_ffff {
            return Err(bad(format!("a frame of {length} bytes is too long")));
        }
        let number = |length: usize| u32::try_from(length).map_err(|_| bad("a frame is too long"));
        out.reserve(4 + length);
        out.put_u32(number(length)?);
        out.put_u32(number(header.len())?);
        out.put_slice(&header);
        out.put_slice(&frame.body);
        Ok(())
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(prefix) = buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if !(4..=LONGEST).contains(&length) {
            return Err(bad(format!("a frame of {length} bytes, outside 4 to {LONGEST}")));
        }
        if buffer.len() < 4 + length {
            buffer.reserve(4 + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(4);
        let mut frame = buffer.split_to(length).freeze();
        if buffer.is_empty() && length > SHORT {
            // The memory of a long frame goes with it, not with the connection.
            *buffer = BytesMut::new();
        }
        let mark = frame.get_u32();
        let header_length = (mark & 0xff_ffff) as usize;
        if header_length > frame.len() {
            return Err(bad(format!(
                "a header of {header_length} bytes in a frame of {length}"
            )));
        }
        let header = frame.split_to(header_length);
        match mark >> 24 {
            0 => json_header(&header, frame).map(Some),
            1 => binary_header(header, frame).map(Some),
            other => Err(bad(format!("serialize type {other}, neither JSON nor ROCKETMQ"))),
        }
    }
}

fn json_header(header: &[u8], body: Bytes) -> io::Result<Frame> {
    let header: JsonHeader = serde_json::from_slice(header).map_err(|err| bad(err.to_string()))?;
    let fields = header.ext_fields.unwrap_or_default();
    Ok(Frame {
        code: header.code,
        opaque: header.opaque,
        flag: header.flag,
        remark: header.remark,
        fields: fields
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
        body,
    })
}

/// `i16 code, i8 language, i16 version, i32 opaque, i32 flag, i32 length + remark, i32 length + fields`, where a field is
/// `i16 length + key, i32 length + value`.
fn binary_header(mut header: Bytes, body: Bytes) -> io::Result<Frame> {
    let short = |_| bad("a header that is cut off");
    let code = header.try_get_i16().map_err(short)?;
    header.try_get_i8().map_err(short)?;
    header.try_get_i16().map_err(short)?;
    let opaque = header.try_get_i32().map_err(short)?;
    let flag = header.try_get_i32().map_err(short)?;
    let length = header.try_get_u32().map_err(short)?;
    let remark = text(&mut header, length)?;
    let length = header.try_get_u32().map_err(short)? as usize;
    if length > header.len() {
        return Err(bad("a header that is cut off"));
    }
    let mut rest = header.split_to(length);
    let mut fields = BTreeMap::new();
    while rest.has_remaining() {
        let length = rest.try_get_u16().map_err(short)?;
        let key = text(&mut rest, u32::from(length))?;
        let length = rest.try_get_u32().map_err(short)?;
        fields.insert(key, text(&mut rest, length)?);
    }
    let remark = Some(remark).filter(|remark| !remark.is_empty());
    Ok(Frame {
        code: i32::from(code),
        opaque,
        flag,
        remark,
        fields,
        body,
    })
}

fn text(bytes: &mut Bytes, length: u32) -> io::Result<String> {
    let length = length as usize;
    if length > bytes.len() {
        return Err(bad("a header that is cut off"));
    }
    Ok(String::from_utf8_lossy(&bytes.split_to(length)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(frame: Frame) -> BytesMut {
        let mut out = BytesMut::new();
        Codec.encode(frame, &mut out).unwrap();
        out
    }

    #[test]
    fn a_request_is_written_to_the_byte() {
        let header = r#"{"code":106,"extFields":{},"flag":0,"language":"OTHER","opaque":1,"serializeTypeCurrentRPC":"JSON","version":401}"#;
        let mut expected = vec![0, 0, 0, 0x75, 0, 0, 0, 0x71];
        expected.extend_from_slice(header.as_bytes());
        assert_eq!(encode(Frame::request(106, 1)), expected);
    }

    #[test]
    fn a_body_follows_its_header() {
        let frame = Frame::request(25, 1).with(BTreeMap::new(), Bytes::from_static(b"brokerPermission=4\n"));
        let bytes = encode(frame);
        assert_eq!(bytes[..8], [0, 0, 0, 0x87, 0, 0, 0, 0x70]);
        assert!(bytes[8..].starts_with(br#"{"code":25,"#) && bytes.ends_with(b"401}brokerPermission=4\n"));
    }

    #[test]
    fn a_binary_header_is_read() {
        let mut header = BytesMut::new();
        header.put_i16(0);
        header.put_i8(0);
        header.put_i16(479);
        header.put_i32(7);
        header.put_i32(1);
        header.put_u32(2);
        header.put_slice(b"ok");
        header.put_u32(9);
        header.put_u16(1);
        header.put_slice(b"k");
        header.put_u32(2);
        header.put_slice(b"vv");
        let mut bytes = BytesMut::new();
        bytes.put_u32(u32::try_from(4 + header.len() + 1).unwrap());
        bytes.put_u32((1 << 24) | u32::try_from(header.len()).unwrap());
        bytes.put_slice(&header);
        bytes.put_slice(b"B");
        let frame = Codec.decode(&mut bytes).unwrap().unwrap();
        assert!(frame.is_response());
        assert_eq!(
            (frame.opaque, frame.remark.as_deref(), &frame.body[..]),
            (7, Some("ok"), &b"B"[..])
        );
        assert_eq!(frame.fields, [("k".to_owned(), "vv".to_owned())].into());
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_kept() {
        for bytes in [[0, 0, 0, 3], [0xff, 0xff, 0xff, 0xff]] {
            assert!(Codec.decode(&mut BytesMut::from(&bytes[..])).is_err());
        }
        assert!(
            Codec
                .decode(&mut BytesMut::from(&[0, 0, 0, 4, 0, 0, 0, 9][..]))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_however_it_is_cut(
            code in any::<i32>(), opaque in any::<i32>(), flag in 0..4, remark in proptest::option::of(".*"),
            fields in prop::collection::btree_map(".{1,8}", ".{0,8}", 0..4), body in prop::collection::vec(any::<u8>(), 0..64),
            cut in any::<prop::sample::Index>(),
        ) {
            let frame = Frame { code, opaque, flag, remark, fields, body: body.into() };
            let bytes = encode(frame.clone());
            let (first, rest) = bytes.split_at(cut.index(bytes.len()));
            let mut buffer = BytesMut::from(first);
            prop_assert_eq!(Codec.decode(&mut buffer).unwrap(), None);
            buffer.extend_from_slice(rest);
            prop_assert_eq!(Codec.decode(&mut buffer).unwrap(), Some(frame));
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Codec.decode(&mut BytesMut::from(&bytes[..]));
        }
    }
}
