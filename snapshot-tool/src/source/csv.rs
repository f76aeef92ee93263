//! CSV (RFC 4180) with true line numbers: rows are found and split here, so that a stray quote costs one line and no
//! more, and a row that is never closed does not take the rest of the input with it.

use super::{Fault, Frame, Row};
use crate::column::Column;
use crate::nearest::suggestion;
use crate::refusal::{Reason, Refusal};
use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;

/// Finds the end of the first row of `bytes`; `None` if more bytes are needed. `last`: nothing follows `bytes`.
///
/// A row at fault ends with its first line, so that what follows is looked at on its own.
pub(super) fn frame(bytes: &[u8], last: bool) -> Option<Frame> {
    match memchr2(b'"', b'\n', bytes) {
        Some(place) if bytes[place] == b'"' => {}
        None if !last => return None,
        line_feed => return Some(Frame::to_line_feed(bytes, line_feed, None)),
    }
    let mut at = 0;
    let fault = loop {
        if bytes.get(at) == Some(&b'"') {
            match end_of_quoted(bytes, at) {
                Some(end) => at = end,
                None if last => break Fault::QuoteNotClosed,
                None => return None,
            }
            match &bytes[at..] {
                [b',', ..] => at += 1,
                [b'\n', ..] => return Some(Frame::to_line_feed(bytes, Some(at), None)),
                [b'\r', b'\n', ..] => return Some(Frame::to_line_feed(bytes, Some(at + 1), None)),
                [] | [b'\r'] if last => return Some(Frame::to_line_feed(bytes, None, None)),
                [] | [b'\r'] => return None,
                _ => break Fault::StrayQuote,
            }
        } else {
            match memchr3(b',', b'\n', b'"', &bytes[at..]).map(|place| (at + place, bytes[at + place])) {
                Some((place, b',')) => at = place + 1,
                Some((place, b'\n')) => return Some(Frame::to_line_feed(bytes, Some(place), None)),
                Some(_) => break Fault::StrayQuote,
                None if last => return Some(Frame::to_line_feed(bytes, None, None)),
                None => return None,
            }
        }
    };
    match memchr(b'\n', bytes) {
        None if !last => None,
        line_feed => Some(Frame::to_line_feed(bytes, line_feed, Some(fault))),
    }
}

/// The byte behind the quote that closes the one at `open`. A doubled quote at the very end of `bytes` counts as
/// closing; then the caller sees that nothing follows it.
fn end_of_quoted(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// Hands every value of a row to `each`, with its place. The row came from [`frame`] without a fault.
fn each_value<'a>(row: &'a str, mut each: impl FnMut(usize, Cow<'a, str>)) -> usize {
    let mut place = 0;
    let mut rest = row;
    loop {
        let (value, after) = if rest.starts_with('"') {
            let end = end_of_quoted(rest.as_bytes(), 0).unwrap_or(rest.len());
            let inner = rest.get(1..end.saturating_sub(1)).unwrap_or_default();
            let value = match memchr(b'"', inner.as_bytes()) {
                Some(_) => Cow::Owned(inner.replace("\"\"", "\"")),
                None => Cow::Borrowed(inner),
            };
            (value, rest.get(end + 1..))
        } else {
            match memchr(b',', rest.as_bytes()) {
                Some(comma) => (Cow::Borrowed(&rest[..comma]), Some(&rest[comma + 1..])),
                None => (Cow::Borrowed(rest), None),
            }
        };
        each(place, value);
        place += 1;
        match after {
            Some(after) => rest = after,
            None => return place,
        }
    }
}

/// The header line: which value of a row belongs to which column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `None`: the value is ignored.
    columns: Vec<Option<Column>>,
}

impl Header {
    /// Reads a header line. Names are taken in any case, with spaces around them; `ignored` may be any names.
    ///
    /// # Errors
    /// Says what is wrong with the line.
    pub fn parse(line: &[u8], ignored: &[String]) -> Result<Self, String> {
        let text = str::from_utf8(line).map_err(|_| "the header is not UTF-8".to_owned())?;
        if text.contains('\r') {
            return Err("lines end with a carriage return alone; end them with a line feed".to_owned());
        }
        let mut names = Vec::new();
        each_value(text, |_, name| names.push(name.trim().to_lowercase()));
        if let ([name], Some(other)) =
            (names.as_slice(), text.chars().find(|it| matches!(it, ';' | '\t' | '|')))
        {
            return Err(format!("the header is the one name {name:?}; write commas instead of {other:?}"));
        }
        let known = Column::ALL.map(Column::name);
        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            let column = if ignored.iter().any(|other| other.trim().to_lowercase() == *name) {
                None
            } else {
                let unknown = || {
                    format!(
                        "unknown column '{name}', {} (--ignore-column '{name}' leaves it out; \
                         the first line must name the columns)",
                        suggestion(name, &known)
                    )
                };
                Some(Column::from_name(name).ok_or_else(unknown)?)
            };
            if column.is_some() && columns.contains(&column) {
                return Err(format!("column '{name}' occurs twice"));
            }
            columns.push(column);
        }
        match Column::REQUIRED.into_iter().find(|&column| !columns.contains(&Some(column))) {
            Some(missing) => Err(format!("column '{missing}' is missing")),
            None => Ok(Self { columns }),
        }
    }

    /// Splits a row without faults.
    pub(super) fn split<'a>(&self, row: &'a str) -> Result<Row<'a>, Refusal> {
        let mut split = Row::default();
        let count = each_value(row, |place, value| {
            if let Some(&Some(column)) = self.columns.get(place) {
                split.put(column, value);
            }
        });
        if count == self.columns.len() {
            return Ok(split);
        }
        let explanation = format!("{count} values, and the header names {} columns", self.columns.len());
        Err(Refusal::of_row(Reason::MalformedRow, explanation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows and faults of a text, by frames.
    fn frames(text: &[u8]) -> Vec<(Vec<u8>, Option<Fault>)> {
        let mut found = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let frame = frame(rest, true).unwrap();
            assert!(frame.bytes > 0 && frame.row_bytes <= frame.bytes);
            found.push((rest[..frame.row_bytes].to_vec(), frame.fault));
            rest = &rest[frame.bytes..];
        }
        found
    }

    fn values(row: &[u8]) -> Vec<String> {
        let mut values = Vec::new();
        each_value(str::from_utf8(row).unwrap(), |_, value| values.push(value.into_owned()));
        values
    }

    fn check(text: &str, expected: &[(&str, Option<Fault>)]) {
        let found = frames(text.as_bytes());
        let expected: Vec<_> =
            expected.iter().map(|(row, fault)| (row.as_bytes().to_vec(), *fault)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn rows_end_at_line_feeds_outside_quotes() {
        check("a,b\nc,d", &[("a,b", None), ("c,d", None)]);
        check("a,b\r\n\r\nc\r\n", &[("a,b", None), ("", None), ("c", None)]);
        check("\"a\nb\",c\r\nd\n", &[("\"a\nb\",c", None), ("d", None)]);
        check("\"a\"\"\n\",b\n", &[("\"a\"\"\n\",b", None)]);
        check("a,\"b\"", &[("a,\"b\"", None)]);
        check("a,\"b\"\r", &[("a,\"b\"", None)]);
    }

    #[test]
    fn a_misplaced_quote_costs_one_line() {
        check("a,\"b\nc,d\ne", &[("a,\"b", Some(Fault::QuoteNotClosed)), ("c,d", None), ("e", None)]);
        check("a\"b\nc\n", &[("a\"b", Some(Fault::StrayQuote)), ("c", None)]);
        check("\"a\"b\nc\n", &[("\"a\"b", Some(Fault::StrayQuote)), ("c", None)]);
        check("\"a\nb,\"c\"\nd\n", &[("\"a", Some(Fault::StrayQuote)), ("b,\"c\"", None), ("d", None)]);
    }

    #[test]
    fn headers_are_checked_by_name() {
        let check = |line: &str, expected: &str| {
            let found = Header::parse(line.as_bytes(), &["title".to_owned()]).unwrap_err();
            assert!(found.starts_with(expected), "{line:?}: {found}");
        };
        check("domain,code,destinaton", "unknown column 'destinaton', did you mean 'destination'?");
        check("domain,code", "column 'destination' is missing");
        check("domain,code,destination,code", "column 'code' occurs twice");
        check("domain;code;destination", "the header is the one name");
        check("domain,code,destination\rgo.example,a,b", "lines end with a carriage return alone");
        check("go.example,a,https://a.example/", "unknown column 'go.example'");
        let header =
            Header::parse(b"\" Domain\",TITLE,destination,code,title", &["title".to_owned()]).unwrap();
        assert_eq!(header.columns.iter().flatten().count(), 3);
        let row = header.split("a,\"x,y\",c,d,").unwrap();
        assert_eq!(
            [Column::Domain, Column::Destination, Column::Code].map(|it| row.get(it)),
            [Some("a"), Some("c"), Some("d")]
        );
        assert_eq!(header.split("a,b").unwrap_err().reason, Reason::MalformedRow);
    }

    proptest! {
        #[test]
        fn any_bytes_are_framed_alike_whether_they_arrive_at_once_or_not(
            text in "[a,\"\n\r ]{0,40}", cut in 0_usize..40
        ) {
            let bytes = text.as_bytes();
            if let Some(early) = frame(&bytes[..cut.min(bytes.len())], false) {
                prop_assert_eq!(Some(early), frame(bytes, true));
            }
            frames(bytes);
        }

        #[test]
        fn what_the_csv_crate_writes_is_read_back(rows in proptest::collection::vec(
            proptest::collection::vec("[a,\"\n\r é;]{0,6}", 2..4), 1..6
        )) {
            let mut writer = ::csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let read: Vec<_> = frames(&text)
                .into_iter()
                .map(|(row, fault)| { assert_eq!(fault, None); values(&row) })
                .collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn where_no_row_is_at_fault_the_csv_crate_reads_the_same(text in "[a,\"\n]{0,40}") {
            let found = frames(text.as_bytes());
            if found.iter().all(|(_, fault)| fault.is_none()) {
                let ours: Vec<_> =
                    found.iter().filter(|(row, _)| !row.is_empty()).map(|(row, _)| values(row)).collect();
                let mut reader =
                    ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
                let theirs: Vec<Vec<String>> =
                    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
