//! JSON as fastjson writes it, which is not JSON: integer keys stand unquoted, and bean keys stand as objects.
//!
//! `{"brokerAddrs":{0:"ip:port"}}`, `{{"brokerName":"b","queueId":0,"topic":"T"}:{"maxOffset":5}}` — every release from
//! 4.0 to 5.5 (fastjson 1.2).

/// The deepest nesting that is read; RocketMQ's own bodies have six levels.
const DEPTH: usize = 64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written: Java's `long` does not fit a float.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, in the order it was written.
    Object(Vec<(Key, Value)>),
}

/// The key of an object's entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// A quoted key, or an unquoted number, as text.
    Text(String),
    /// A bean as a key, such as a message queue.
    Object(Vec<(Key, Value)>),
}

impl Value {
    /// The value under a text key of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()
            .iter()
            .find(|(name, _)| matches!(name, Key::Text(text) if text == key))
            .map(|(_, value)| value)
    }

    /// The entries of an object; none of anything else.
    #[must_use]
    pub fn entries(&self) -> &[(Key, Value)] {
        match self {
            Self::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The text of a text or a number.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The number of a number without fraction, or of a text that is one.
    #[must_use]
    pub fn integer<N: std::str::FromStr>(&self) -> Option<N> {
        self.text()?.trim().parse().ok()
    }

    /// The truth of a `true` or `false`, or of a text that is one.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => self.text()?.trim().parse().ok(),
        }
    }

    /// The same as standard JSON: a bean as a key becomes text, and of equal keys the last one stays.
    #[must_use]
    pub fn to_standard(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone())),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(items) => items.iter().map(Self::to_standard).collect(),
            Self::Object(entries) => standard(entries),
        }
    }
}

fn standard(entries: &[(Key, Value)]) -> serde_json::Value {
    let entries = entries.iter().map(|(key, value)| {
        let key = match key {
            Key::Text(text) => text.clone(),
            Key::Object(bean) => standard(bean).to_string(),
        };
        (key, value.to_standard())
    });
    entries.collect()
}

impl Key {
    /// The text of a text key.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object(_) => None,
        }
    }
}

/// Reads one value and nothing after it. Errors tell the byte at which reading stopped.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at == bytes.len() {
        Ok(value)
    } else {
        Err(reader.error("something after the value"))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.error("no value"))
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Key, Value)>, String> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.eat(b'}') {
            return Ok(entries);
        }
        loop {
            let key = self.key(depth)?;
            if !self.eat(b':') {
                return Err(self.error("no colon"));
            }
            let value = self.value(depth + 1)?;
            if matches!((&key, &value), (Key::Text(key), Value::Text(text)) if key == "$ref" && text.starts_with('$'))
            {
                return Err(self.error("a reference to another part of the body"));
            }
            entries.push((key, value));
            if self.eat(b'}') {
                return Ok(entries);
            }
            if !self.eat(b',') {
                return Err(self.error("neither a comma nor the end of an object"));
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<Key, String> {
        if depth >= DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.space();
        match self.peek() {
            Some(b'"') => self.string().map(Key::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Key::Text),
            Some(b'{') => self.object(depth + 1).map(Key::Object),
            _ => Err(self.error("no key")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Ok(Value::List(items));
            }
            if !self.eat(b',') {
                return Err(self.error("neither a comma nor the end of a list"));
            }
        }
    }

    fn number(&mut self) -> Result<String, String> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        {
            self.at += 1;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        let text = String::from_utf8_lossy(digits).into_owned();
        if text.parse::<f64>().is_ok() {
            Ok(text)
        } else {
            Err(self.error("no number"))
        }
    }

    /// A quoted text. Its end is found here, its escapes are read by `serde_json`.
    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.error("a text without end")),
            }
        }
        self.at += 1;
        let quoted = self.bytes.get(start..self.at).unwrap_or_default();
        serde_json::from_slice(quoted).map_err(|err| format!("{err}, in the text at byte {start}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn integer_keys_may_stand_unquoted_and_be_negative() {
        let value = parse(br#"{"brokerAddrs":{0:"a:1",-1:"b:2","2":"c:3"}}"#).unwrap();
        let addresses = value.get("brokerAddrs").unwrap();
        for (id, address) in [("0", "a:1"), ("-1", "b:2"), ("2", "c:3")] {
            assert_eq!(addresses.get(id), Some(&text(address)));
        }
    }

    #[test]
    fn a_bean_may_be_a_key() {
        let value = parse(br#"{"offsetTable":{{"brokerName":"b","queueId":0}:{"maxOffset":5}}}"#).unwrap();
        let (key, offset) = &value.get("offsetTable").unwrap().entries()[0];
        assert!(matches!(key, Key::Object(bean) if bean.len() == 2));
        assert_eq!(offset.get("maxOffset").and_then(Value::text), Some("5"));
    }

    #[test]
    fn a_long_keeps_every_digit() {
        assert_eq!(
            parse(b"9223372036854775807").unwrap().text(),
            Some("9223372036854775807")
        );
    }

    #[test]
    fn what_is_cut_off_deep_or_refers_elsewhere_is_an_error() {
        for bad in [
            "",
            "{",
            r#"{"a""#,
            r#"{"a":1"#,
            r#""a"#,
            "\"\\",
            "[1,",
            "1 2",
            r#"{"a":{"$ref":"$.b"}}"#,
            "-",
            "nul",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse("{".repeat(100_000).as_bytes()).is_err());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Value::Null, serde_json::Value::Null) => true,
            (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Value::Number(a), serde_json::Value::Number(b)) => *a == b.to_string(),
            (Value::Text(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && b.iter().all(|(key, b)| ours.get(key).is_some_and(|a| same(a, b)))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn standard_json_is_read_as_it_stands(value in json()) {
            let read = parse(value.to_string().as_bytes()).unwrap();
            prop_assert!(same(&read, &value), "{read:?} {value}");
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
