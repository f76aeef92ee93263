//! Inputs one after the other: what each is, where its rows begin and end, and batches of them.

use super::window::Window;
use super::{Batch, Fault, Format, Frame, Header, Layout, RawRow, Source, csv, jsonl};
use crate::limits::{BATCH_BYTES, INPUTS_MAX, ROW_BYTES_MAX};
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// The input that people mean by an argument: `-` is standard input.
    pub fn from_argument(argument: &Path) -> Self {
        if argument.as_os_str() == "-" { Self::Stdin } else { Self::File(argument.to_owned()) }
    }

    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Stdin => Box::new(io::stdin()),
        })
    }

    fn format_by_extension(&self) -> Option<Format> {
        let Self::File(path) = self else { return None };
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

/// Why an input cannot be read at all; single rows that are wrong do not get here.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{name}: {source}")]
    Io {
        /// Which input.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is none of the formats.
    #[error("{name}: {what}")]
    Content {
        /// Which input.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// More inputs than there are numbers for them.
    #[error("{0} inputs, at most {INPUTS_MAX} are possible; join some of them")]
    TooMany(usize),
}

/// Reads `inputs` in order and hands batches of their rows to `each`, until it breaks.
///
/// `format`: how all of them are written; `None`: told by the name, else by the first byte. `ignored`: names of
/// columns that are left out.
///
/// # Errors
/// Names the input and what is wrong.
pub fn read_inputs(
    inputs: &[Input],
    format: Option<Format>,
    ignored: &[String],
    mut each: impl FnMut(Batch) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    if inputs.len() > INPUTS_MAX {
        return Err(ReadError::TooMany(inputs.len()));
    }
    for (index, input) in inputs.iter().enumerate() {
        let failed = |source| ReadError::Io { name: input.name(), source };
        let mut window = Window::new(input.open().map_err(failed)?);
        window.fill().map_err(failed)?;
        let format = format.or_else(|| input.format_by_extension());
        let layout = begin(&mut window, format, ignored)
            .map_err(|what| ReadError::Content { name: input.name(), what })?;
        let source = Source { index: index as u16, name: input.name(), layout };
        let flow = read_batches(&mut window, &Arc::new(source), &mut each).map_err(failed)?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Looks at the first bytes, and reads the header if there must be one.
fn begin<R: Read>(
    window: &mut Window<R>,
    format: Option<Format>,
    ignored: &[String],
) -> Result<Layout, String> {
    const KNOWN: [(&[u8], &str); 5] = [
        (b"\xff\xfe", "is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"),
        (b"\xfe\xff", "is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"),
        (b"\x1f\x8b", "is compressed; pipe it in (zcat FILE | snapshot-tool build … -)"),
        (b"\x28\xb5\x2f\xfd", "is compressed; pipe it in (zstdcat FILE | snapshot-tool build … -)"),
        (b"PK\x03\x04", "is a ZIP archive or a spreadsheet; export it as CSV"),
    ];
    if let Some((_, what)) = KNOWN.iter().find(|(start, _)| window.bytes().starts_with(start)) {
        return Err((*what).to_owned());
    }
    if window.bytes().starts_with(b"\xef\xbb\xbf") {
        window.advance(3);
    }
    let blank = window.bytes().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let first = window.bytes().get(blank).copied();
    let looks_like_json = matches!(first, Some(b'{' | b'['));
    let format = format.unwrap_or(if looks_like_json { Format::Jsonl } else { Format::Csv });
    match (format, first) {
        (Format::Jsonl, Some(b'[')) => {
            Err("is one JSON array; write one object per line (jq -c '.[]')".to_owned())
        }
        (Format::Jsonl, _) => Ok(Layout::Jsonl { ignored: ignored.to_vec() }),
        (Format::Csv, None) => Err("is empty, and CSV begins with a line that names the columns".to_owned()),
        (Format::Csv, Some(_)) => {
            window.advance(blank);
            let bytes = &window.bytes()[..window.bytes().len().min(ROW_BYTES_MAX)];
            let last = window.ended() && bytes.len() == window.bytes().len();
            let frame = csv::frame(bytes, last).filter(|frame| frame.fault.is_none());
            let Some(Frame { row_bytes, bytes, .. }) = frame else {
                return Err("the header line has a quote that is not closed, or never ends".to_owned());
            };
            let header = Header::parse(&window.bytes()[..row_bytes], ignored)?;
            window.advance(bytes);
            Ok(Layout::Csv(header))
        }
    }
}

fn read_batches<R: Read>(
    window: &mut Window<R>,
    source: &Arc<Source>,
    each: &mut impl FnMut(Batch) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let mut handed_over = 0;
    loop {
        let mut batch =
            Batch { source: Arc::clone(source), bytes: Vec::new(), rows: Vec::new(), input_bytes: 0 };
        while batch.bytes.len() < BATCH_BYTES {
            if !read_row(window, &mut batch)? {
                break;
            }
        }
        let ended = window.ended() && window.bytes().is_empty();
        batch.input_bytes = window.used() - handed_over;
        handed_over = window.used();
        if (!batch.rows.is_empty() || batch.input_bytes > 0) && each(batch).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if ended {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

/// Copies the next row into `batch`, unless it is blank; false at the end of the input.
fn read_row<R: Read>(window: &mut Window<R>, batch: &mut Batch) -> io::Result<bool> {
    if window.bytes().len() < ROW_BYTES_MAX && !window.ended() {
        window.fill()?;
    }
    let bytes = &window.bytes()[..window.bytes().len().min(ROW_BYTES_MAX)];
    let last = window.ended() && bytes.len() == window.bytes().len();
    if bytes.is_empty() {
        return Ok(false);
    }
    let frame = match &batch.source.layout {
        Layout::Csv(_) => csv::frame(bytes, last),
        Layout::Jsonl { .. } => jsonl::frame(bytes, last),
    };
    let frame = frame.unwrap_or_else(|| match memchr::memchr(b'\n', bytes) {
        Some(line_feed) => Frame::to_line_feed(bytes, Some(line_feed), Some(Fault::QuoteNotClosed)),
        None => Frame { row_bytes: bytes.len(), bytes: bytes.len(), fault: Some(Fault::TooLong) },
    });
    if frame.row_bytes > 0 {
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(&bytes[..frame.row_bytes]);
        let end = batch.bytes.len();
        batch.rows.push(RawRow { start, end, line: window.line(), fault: frame.fault });
    }
    window.advance(frame.bytes);
    if frame.fault == Some(Fault::TooLong) {
        skip_line(window)?;
    }
    Ok(true)
}

fn skip_line<R: Read>(window: &mut Window<R>) -> io::Result<()> {
    loop {
        if let Some(line_feed) = memchr::memchr(b'\n', window.bytes()) {
            window.advance(line_feed + 1);
            return Ok(());
        }
        window.advance(window.bytes().len());
        if window.ended() {
            return Ok(());
        }
        window.fill()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn read(name: &str, content: &[u8]) -> Result<Vec<(u64, String, Option<Fault>)>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        let mut rows = Vec::new();
        let read = read_inputs(&[Input::File(path)], None, &[], |batch| {
            for row in &batch.rows {
                let text = String::from_utf8_lossy(batch.row_bytes(row)).into_owned();
                rows.push((row.line, text, row.fault));
            }
            ControlFlow::Continue(())
        });
        read.map(|()| rows).map_err(|error| error.to_string())
    }

    fn check_lines(name: &str, content: &str, expected: &[(u64, &str)]) {
        let rows = read(name, content.as_bytes()).unwrap();
        let found: Vec<_> = rows.iter().map(|(line, text, _)| (*line, text.as_str())).collect();
        assert_eq!(found, expected, "{content:?}");
    }

    const HEADER: &str = "domain,code,destination";

    #[test]
    fn rows_carry_the_line_on_which_they_begin() {
        check_lines(
            "a.csv",
            &format!("{HEADER}\na,b,c\n\n\r\nd,\"e\nf\",g\nh,i,j"),
            &[(2, "a,b,c"), (5, "d,\"e\nf\",g"), (7, "h,i,j")],
        );
        check_lines(
            "a.csv",
            &format!("\u{feff}\r\n{HEADER}\r\na,b,c\r\nd,e,f\r\n"),
            &[(3, "a,b,c"), (4, "d,e,f")],
        );
        check_lines("a.jsonl", "\n{\"a\":1}\r\n\n{}\n", &[(2, "{\"a\":1}"), (4, "{}")]);
    }

    #[test]
    fn the_format_is_told_by_the_name_and_else_by_the_first_byte() {
        check_lines("a.txt", " {}\n{}", &[(1, " {}"), (2, "{}")]);
        check_lines("a", &format!("{HEADER}\n{{}}"), &[(2, "{}")]);
        check_lines("a.NDJSON", "x\n", &[(1, "x")]);
    }

    #[test]
    fn what_is_no_input_says_what_to_do() {
        let check = |name: &str, content: &[u8], expected: &str| {
            let error = read(name, content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("a.csv", b"", "is empty");
        check("a", b"\x1f\x8b....", "zcat");
        check("a.csv", b"\xff\xfed\0", "UTF-16");
        check("a.json", b"[{}]", "one JSON array");
        check("a.csv", b"domain,code,\"destination", "never ends");
        let missing = read_inputs(&[Input::File("/no/such.csv".into())], None, &[], |_| unreachable!());
        assert!(missing.unwrap_err().to_string().starts_with("/no/such.csv: No such file"));
    }

    #[test]
    fn a_row_without_end_is_refused_and_the_next_one_is_read() {
        let long = "x".repeat(ROW_BYTES_MAX * 5);
        let rows = read("a.csv", format!("{HEADER}\n{long}\na,b,c\n").as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].0, rows[0].1.len(), rows[0].2), (2, ROW_BYTES_MAX, Some(Fault::TooLong)));
        assert_eq!(rows[1], (3, "a,b,c".to_owned(), None));
        let many = "a,b,c\n".repeat(ROW_BYTES_MAX / 2);
        let rows = read("a.csv", format!("{HEADER}\na,\"b,c\n{many}").as_bytes()).unwrap();
        assert_eq!(rows.len(), ROW_BYTES_MAX / 2 + 1);
        assert_eq!(rows[0].2, Some(Fault::QuoteNotClosed));
        assert!(rows[1..].iter().all(|(_, _, fault)| fault.is_none()));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read("a", &content);
            let _ = read("a.jsonl", &content);
            let mut with_header = format!("{HEADER}\n").into_bytes();
            with_header.extend_from_slice(&content);
            prop_assert!(read("a.csv", &with_header).is_ok());
        }
    }
}
