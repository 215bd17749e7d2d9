//! Java properties, as `java.util.Properties` reads and writes them: the format of `broker.conf` and of a change to a running broker's
//! configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The keys and values of a text, the last of equal keys winning.
#[must_use]
pub fn parse(text: &str) -> BTreeMap<String, String> {
    logical_lines(text)
        .iter()
        .map(|line| key_and_value(line))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

/// One line per pair, in the order of the keys, ASCII only: what `load` reads back is what was written.
#[must_use]
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    pairs.into_iter().fold(String::new(), |mut text, (key, value)| {
        escape(&mut text, key, " :=#!");
        text.push('=');
        escape(&mut text, value, "");
        text.push('\n');
        text
    })
}

/// Lines without comments, blank lines and indentation, continued ones joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.split(['\n', '\r']) {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let mut whole = open.take().unwrap_or_default();
        let continued = line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
        if continued {
            whole.push_str(line.strip_suffix('\\').unwrap_or(line));
            open = Some(whole);
        } else {
            whole.push_str(line);
            lines.push(whole);
        }
    }
    lines.extend(open);
    lines
}

fn key_and_value(line: &str) -> (String, String) {
    let mut chars = line.chars().peekable();
    let mut key = String::new();
    while let Some(c) = chars.next_if(|c| !matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}')) {
        unescape(c, &mut chars, &mut key);
    }
    while chars.next_if(|c| matches!(c, ' ' | '\t' | '\u{c}')).is_some() {}
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while chars.next_if(|c| matches!(c, ' ' | '\t' | '\u{c}')).is_some() {}
    }
    let mut value = String::new();
    while let Some(c) = chars.next() {
        unescape(c, &mut chars, &mut value);
    }
    (key, value)
}

fn unescape(c: char, rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    if c != '\\' {
        out.push(c);
        return;
    }
    match rest.next() {
        Some('t') => out.push('\t'),
        Some('n') => out.push('\n'),
        Some('r') => out.push('\r'),
        Some('f') => out.push('\u{c}'),
        Some('u') => {
            let mut units = vec![utf16_unit(rest)];
            // What is beyond 16 bits stands as two of them.
            let mut ahead = rest.clone();
            if (ahead.next(), ahead.next()) == (Some('\\'), Some('u')) {
                units.push(utf16_unit(&mut ahead));
            }
            match char::decode_utf16(units).next() {
                Some(Ok(c)) => {
                    if c.len_utf16() == 2 {
                        *rest = ahead;
                    }
                    out.push(c);
                }
                _ => out.push(char::REPLACEMENT_CHARACTER),
            }
        }
        Some(other) => out.push(other),
        None => {}
    }
}

fn utf16_unit(rest: &mut Peekable<Chars<'_>>) -> u16 {
    let digits: String = rest.by_ref().take(4).collect();
    u16::from_str_radix(&digits, 16).unwrap_or(0xfffd)
}

fn escape(out: &mut String, text: &str, special: &str) {
    for (index, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if index == 0 => out.push_str("\\ "),
            c if special.contains(c) => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_java_reads() {
        let text = "# note\n! note\n a = 1\nb:2\nc 3\nd=a\\\n   b\n\ne=\nf=x\\u0041\\ty\na=last\ng = trailing \\\\\nh";
        let read = parse(text);
        let expected = [
            ("a", "last"),
            ("b", "2"),
            ("c", "3"),
            ("d", "ab"),
            ("e", ""),
            ("f", "xA\ty"),
            ("g", "trailing \\"),
            ("h", ""),
        ];
        assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_continuation_at_the_end_of_a_part_swallows_only_the_blank_line_after_it() {
        let joined = format!("{}\n\nnext=kept\n", "last=open\\");
        assert_eq!(parse(&joined).get("next").map(String::as_str), Some("kept"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pairs in prop::collection::btree_map("[ -~\u{e4}\u{6587}\u{1f600}\t]{1,12}", "[ -~\u{e4}\u{6587}\u{1f600}\n\t]{0,20}", 0..6)) {
            let text = write(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            prop_assert!(text.is_ascii());
            prop_assert_eq!(parse(&text), pairs);
        }

        #[test]
        fn no_text_is_too_odd_to_read(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
