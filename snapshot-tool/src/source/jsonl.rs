//! JSON Lines: one object per line, the keys named like columns.

use super::{Frame, Row};
use crate::column::Column;
use crate::nearest::suggestion;
use crate::refusal::{Reason, Refusal, shortened};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Finds the end of the first line of `bytes`; `None` if more bytes are needed. `last`: nothing follows `bytes`.
pub(super) fn frame(bytes: &[u8], last: bool) -> Option<Frame> {
    match memchr::memchr(b'\n', bytes) {
        None if !last => None,
        line_feed => Some(Frame::to_line_feed(bytes, line_feed, None)),
    }
}

/// Splits one object into columns. Numbers and truth values become their text; `null` is no value.
pub(super) fn split<'a>(line: &'a str, ignored: &[String]) -> Result<Row<'a>, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let mut complaint = None;
    let reader = ObjectReader { ignored, complaint: &mut complaint };
    let read = reader.deserialize(&mut deserializer).and_then(|row| deserializer.end().map(|()| row));
    read.map_err(|error| {
        complaint.unwrap_or_else(|| Refusal::of_row(Reason::MalformedRow, without_line(&error.to_string())))
    })
}

/// The parser sees one line only, so the line in its message is always 1.
fn without_line(message: &str) -> String {
    message.replace(" at line 1 column ", " at column ")
}

struct ObjectReader<'r> {
    ignored: &'r [String],
    /// Where a complaint of our own goes past the parser's error type.
    complaint: &'r mut Option<Refusal>,
}

impl<'a> DeserializeSeed<'a> for ObjectReader<'_> {
    type Value = Row<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Row<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for ObjectReader<'_> {
    type Value = Row<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Row<'a>, M::Error> {
        let mut row = Row::default();
        while let Some(Text(key)) = map.next_key()? {
            if self.ignored.iter().any(|ignored| *ignored == key) {
                let IgnoredAny = map.next_value()?;
                continue;
            }
            let Some(column) = Column::from_name(&key) else {
                // Whatever the key holds goes to somebody's terminal.
                let key = shortened(&key);
                let explanation = format!(
                    "unknown key '{key}', {} (--ignore-column '{key}' leaves it out)",
                    suggestion(&key, &Column::ALL.map(Column::name))
                );
                *self.complaint = Some(Refusal::of_row(Reason::UnknownColumn, explanation));
                return Err(de::Error::custom("unknown key"));
            };
            let Value(value) = map.next_value()?;
            if row.0[column as usize].is_some() {
                return Err(de::Error::custom(format_args!("key '{column}' occurs twice")));
            }
            // An empty text stands for a null, so that a repeated key is noticed all the same.
            row.put(column, value.unwrap_or_default());
        }
        Ok(row)
    }
}

/// A text, borrowed where nothing in it was escaped.
struct Text<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Text<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_str(ValueReader)?.0;
        Ok(Self(value.expect("a JSON key is a text")))
    }
}

/// A text, number or truth value as text; `None`: null.
struct Value<'a>(Option<Cow<'a, str>>);

impl<'a> Deserialize<'a> for Value<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueReader)
    }
}

struct ValueReader;

impl<'a> Visitor<'a> for ValueReader {
    type Value = Value<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, a number, true, false or null")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'a>, E> {
        Ok(Value(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_refused(line: &str, reason: Reason, expected: &str) {
        let refusal = split(line, &["title".to_owned()]).unwrap_err();
        assert_eq!(refusal.reason, reason, "{line}");
        assert!(refusal.explanation.starts_with(expected), "{line}: {}", refusal.explanation);
    }

    #[test]
    fn values_of_any_simple_type_become_text() {
        let line =
            r#" {"domain":"a","code":"\u00e9/","status":301,"disabled":true,"expires":null,"title":[1,{}]} "#;
        let row = split(line, &["title".to_owned()]).unwrap();
        assert_eq!(row.get(Column::Domain), Some("a"));
        assert_eq!(row.get(Column::Code), Some("é/"));
        assert_eq!(row.get(Column::Status), Some("301"));
        assert_eq!(row.get(Column::Disabled), Some("true"));
        assert_eq!(row.get(Column::Expires), None);
        assert!(matches!(row.0[Column::Domain as usize], Some(Cow::Borrowed(_))));
    }

    #[test]
    fn what_is_no_row_says_why() {
        check_refused(
            r#"{"destnation":"x"}"#,
            Reason::UnknownColumn,
            "unknown key 'destnation', did you mean 'des",
        );
        check_refused(r#"{"\u001b[2J":"x"}"#, Reason::UnknownColumn, r"unknown key '\u{1b}[2J'");
        check_refused(r#"{"code":"a","code":"b"}"#, Reason::MalformedRow, "key 'code' occurs twice");
        check_refused(r#"{"code":null,"code":"b"}"#, Reason::MalformedRow, "key 'code' occurs twice");
        check_refused(r#"{"code":["a"]}"#, Reason::MalformedRow, "invalid type: sequence, expected a text");
        check_refused(r#"{"code":"a"} x"#, Reason::MalformedRow, "trailing characters at column");
        check_refused(r#"{"code":"a""#, Reason::MalformedRow, "EOF");
        check_refused("[]", Reason::MalformedRow, "invalid type: sequence, expected an object");
        check_refused(r#"{"code":"\ud800"}"#, Reason::MalformedRow, "");
        check_refused(&"[".repeat(10_000), Reason::MalformedRow, "");
    }

    proptest! {
        #[test]
        fn any_text_is_a_row_or_a_refusal(line in "\\PC{0,60}", object in "\\{(\"code\"|:|,|\"|[\\\\a1]|\\[|\\]){0,20}\\}") {
            let _ = split(&line, &[]);
            let _ = split(&object, &[]);
        }
    }
}
