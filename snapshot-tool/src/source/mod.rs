//! From bytes of inputs to rows of text: rows are found here, in order, and split by whoever checks them.

mod csv;
mod jsonl;
mod reader;
mod window;

pub use csv::Header;
pub use reader::{Input, ReadError, read_inputs};

use crate::column::Column;
use crate::limits::ROW_BYTES_MAX;
use crate::refusal::{Reason, Refusal};
use std::borrow::Cow;
use std::sync::Arc;

/// How an input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// One row as text: a value for each column that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row<'a>([Option<Cow<'a, str>>; Column::COUNT]);

impl<'a> Row<'a> {
    /// The value of a column; an empty text is no value.
    pub fn get(&self, column: Column) -> Option<&str> {
        self.0[column as usize].as_deref().filter(|value| !value.is_empty())
    }

    /// Gives a column its value.
    pub fn put(&mut self, column: Column, value: Cow<'a, str>) {
        self.0[column as usize] = Some(value);
    }
}

/// What the rows of one input have in common.
#[derive(Debug)]
pub struct Source {
    /// Its place among the inputs, counted from 0.
    pub index: u16,
    /// Its name in reports.
    pub name: String,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Csv(Header),
    Jsonl { ignored: Vec<String> },
}

impl Source {
    /// Splits a row of this input into columns.
    ///
    /// # Errors
    /// Says why the row is none.
    pub fn split<'a>(&self, row: &RawRow, bytes: &'a [u8]) -> Result<Row<'a>, Refusal> {
        if let Some(fault) = row.fault {
            return Err(fault.refusal());
        }
        let text = str::from_utf8(bytes).map_err(|error| {
            let explanation = format!("byte {} of the row is not UTF-8", error.valid_up_to() + 1);
            Refusal::of_row(Reason::InvalidUtf8, explanation)
        })?;
        match &self.layout {
            Layout::Csv(header) => header.split(text),
            Layout::Jsonl { ignored } => jsonl::split(text, ignored),
        }
    }
}

/// Rows of one input, in order.
#[derive(Debug)]
pub struct Batch {
    /// Where they come from.
    pub source: Arc<Source>,
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Where each of them lies.
    pub rows: Vec<RawRow>,
    /// Bytes of the input that this batch stands for, line ends and blank lines included.
    pub input_bytes: u64,
}

impl Batch {
    /// The bytes of one of its rows, without the line end.
    pub fn row_bytes(&self, row: &RawRow) -> &[u8] {
        &self.bytes[row.start..row.end]
    }
}

/// Where a row lies in its batch and in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// First byte in the batch.
    pub start: usize,
    /// First byte behind the row.
    pub end: usize,
    /// Line of the input on which it begins, counted from 1.
    pub line: u64,
    /// What is wrong with it as a row.
    pub fault: Option<Fault>,
}

/// Why bytes are no row, seen before they are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Longer than [`ROW_BYTES_MAX`]; the rest of the line is skipped.
    TooLong,
    /// A quote opens a value and nothing closes it.
    QuoteNotClosed,
    /// A quote stands where none may.
    StrayQuote,
}

impl Fault {
    fn refusal(self) -> Refusal {
        match self {
            Self::TooLong => {
                Refusal::of_row(Reason::RowTooLong, format!("the row is longer than {ROW_BYTES_MAX} bytes"))
            }
            Self::QuoteNotClosed => Refusal::of_row(
                Reason::MalformedRow,
                "a quote is never closed; only this line is refused, reading goes on with the next one",
            ),
            Self::StrayQuote => Refusal::of_row(
                Reason::MalformedRow,
                "a quote within a value; such a value must stand in quotes, its own quotes doubled",
            ),
        }
    }
}

/// Where the first row of some bytes ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    /// Bytes of the row, without the line end.
    row_bytes: usize,
    /// Bytes up to the next row.
    bytes: usize,
    fault: Option<Fault>,
}

impl Frame {
    /// The row is what stands before the line feed at `line_feed`, or everything if there is none.
    fn to_line_feed(bytes: &[u8], line_feed: Option<usize>, fault: Option<Fault>) -> Self {
        let end = line_feed.unwrap_or(bytes.len());
        let carriage_return = usize::from(end > 0 && bytes[end - 1] == b'\r');
        Self { row_bytes: end - carriage_return, bytes: line_feed.map_or(end, |place| place + 1), fault }
    }
}
