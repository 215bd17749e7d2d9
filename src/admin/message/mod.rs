//! Requests, and how answers are read: leniently, because fields come and go with versions.

pub(super) mod broker;
pub(super) mod cluster;
pub(super) mod codes;
pub(super) mod groups;
pub(super) mod offsets;
pub(super) mod topics;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

pub(super) use self::codes::{Code, Pace, Server};

use super::DataVersion;
use super::json::{self, Key, Value};

/// A request: what is asked, its named values, its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) code: Code,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

impl Code {
    /// A request without fields or body.
    pub(super) fn request(self) -> Request {
        Request {
            code: self,
            fields: BTreeMap::new(),
            body: Bytes::new(),
        }
    }
}

impl Request {
    /// As it is, with one more field.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a number, a truth or a borrowed text"
    )]
    pub(super) fn with(mut self, field: &str, value: impl ToString) -> Self {
        self.fields.insert(field.to_owned(), value.to_string());
        self
    }

    /// As it is, with this body.
    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

fn parse(body: &[u8]) -> Result<Value, String> {
    json::parse(body)
}

/// The entries of the object under `name`, which must be there.
fn table<'a>(value: &'a Value, name: &str) -> Result<&'a [(Key, Value)], String> {
    match value.get(name) {
        Some(Value::Object(entries)) => Ok(entries),
        _ => Err(format!("there is no {name}")),
    }
}

/// The text under `name`; empty if there is none.
fn text(value: &Value, name: &str) -> String {
    let found = value.get(name).and_then(Value::text);
    found.unwrap_or_default().to_owned()
}

/// The number under `name`, or the default if there is none.
fn integer<N: std::str::FromStr + Default>(value: &Value, name: &str) -> N {
    value.get(name).and_then(Value::integer).unwrap_or_default()
}

fn truth(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::truth).unwrap_or_default()
}

/// The keys and values of an object that are text or numbers.
fn pairs(entries: &[(Key, Value)]) -> BTreeMap<String, String> {
    let pairs = entries.iter();
    pairs
        .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())))
        .collect()
}

/// The texts of the list under `name`.
fn texts<C: FromIterator<String>>(value: &Value, name: &str) -> C {
    let items = value.get(name).map(Value::items).unwrap_or_default();
    let texts = items.iter().filter_map(Value::text);
    texts.map(ToOwned::to_owned).collect()
}

/// A map of numbers by number. Numbers as keys stand unquoted.
fn numbers(entries: &[(Key, Value)]) -> Result<BTreeMap<i32, i64>, String> {
    let numbers = entries.iter().map(|(key, value)| {
        let key = key.text().and_then(|key| key.trim().parse().ok());
        let both = key.zip(value.integer());
        both.ok_or_else(|| "an offset is no number".to_owned())
    });
    numbers.collect()
}

/// `"dataVersion":{"counter":3,"timestamp":1553836698000}`
fn data_version(value: &Value) -> DataVersion {
    let version = value.get("dataVersion").unwrap_or(&Value::Null);
    DataVersion {
        counter: integer(version, "counter"),
        timestamp_ms: integer(version, "timestamp"),
    }
}
