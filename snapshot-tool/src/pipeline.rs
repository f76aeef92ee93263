//! Inputs read by one thread, rows checked by several, results handed over in the order of the input.

use crate::check::{Checked, Rules, check};
use crate::limits::{BATCHES_QUEUED_MAX, CHECKING_THREADS_MAX};
use crate::source::{Batch, Format, Input, ReadError, read_inputs};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Which rows to read, and how.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Where they come from, in order.
    pub inputs: Vec<Input>,
    /// How all inputs are written; `None`: told for each.
    pub format: Option<Format>,
    /// Names of columns that are left out.
    pub ignored: Vec<String>,
    /// What they are checked against.
    pub rules: Rules,
}

impl Rows {
    /// Reads and checks all rows; `each` sees them in the order of the inputs and may stop the reading by an error.
    ///
    /// # Errors
    /// The error of `each`, or that of an input, when everything before it has been seen.
    pub fn check_all<E: From<ReadError>>(
        &self,
        mut each: impl FnMut(Checked) -> Result<(), E>,
    ) -> Result<(), E> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(CHECKING_THREADS_MAX);
        thread::scope(|scope| {
            let mut to_checkers = Vec::with_capacity(threads);
            let mut from_checkers = Vec::with_capacity(threads);
            for _ in 0..threads {
                let (batches_in, batches_out) = sync_channel(BATCHES_QUEUED_MAX);
                let (checked_in, checked_out) = sync_channel(BATCHES_QUEUED_MAX);
                scope.spawn(move || self.check_batches(&batches_out, &checked_in));
                to_checkers.push(batches_in);
                from_checkers.push(checked_out);
            }
            scope.spawn(move || self.read(&to_checkers));
            // Batch n goes through thread n modulo their number, on both sides: so the order is kept without a sort.
            for turn in 0.. {
                match from_checkers[turn % threads].recv() {
                    Ok(checked) => each(checked?)?,
                    Err(_) => break,
                }
            }
            Ok(())
        })
    }

    fn read(&self, to_checkers: &[SyncSender<Result<Batch, ReadError>>]) {
        let mut turns = to_checkers.iter().cycle();
        let mut send = |batch| {
            let sent = turns.next().map(|checker| checker.send(batch));
            // A closed queue means that nobody wants to know more.
            if matches!(sent, Some(Ok(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let read = read_inputs(&self.inputs, self.format, &self.ignored, |batch| send(Ok(batch)));
        if let Err(error) = read {
            let _ = send(Err(error));
        }
    }

    fn check_batches(
        &self,
        batches: &Receiver<Result<Batch, ReadError>>,
        checked: &SyncSender<Result<Checked, ReadError>>,
    ) {
        for batch in batches {
            if checked.send(batch.map(|batch| check(batch, &self.rules))).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn rows(text: &str) -> (tempfile::NamedTempFile, Rows) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let inputs = vec![Input::File(file.path().to_owned())];
        let rows = Rows { inputs, format: Some(Format::Csv), ignored: Vec::new(), rules: Rules::default() };
        (file, rows)
    }

    #[test]
    fn rows_come_in_the_order_of_the_input_whatever_the_threads_do() {
        let mut text = "domain,code,destination\n".to_owned();
        for line in 2..100_000 {
            writeln!(text, "go.example,{line},https://a.example/{}", "x".repeat(line % 97)).unwrap();
        }
        let (_file, rows) = rows(&text);
        let mut expected = 2;
        let all: Result<(), ReadError> = rows.check_all(|checked| {
            for (line, link) in checked.links() {
                assert_eq!((line, link.code), (expected, expected.to_string().as_bytes()));
                expected += 1;
            }
            Ok(())
        });
        all.unwrap();
        assert_eq!(expected, 100_000);
    }

    #[test]
    fn an_input_that_fails_ends_the_reading_after_what_came_before_it() {
        let (_file, mut rows) = rows("domain,code,destination\ngo.example,a,https://a.example/\n");
        rows.inputs.push(Input::File("/no/such/input.csv".into()));
        let mut seen = 0;
        let error: ReadError = rows
            .check_all(|checked| {
                seen += checked.accepted();
                Ok(())
            })
            .unwrap_err();
        assert_eq!(seen, 1);
        assert!(error.to_string().contains("/no/such/input.csv"));
    }

    #[test]
    fn whoever_sees_the_rows_can_stop_the_reading() {
        let row = "go.example,a,https://a.example/\n";
        let (_file, rows) = rows(&format!("domain,code,destination\n{}", row.repeat(200_000)));
        let stopped = rows.check_all(|_| Err(ReadError::TooMany(7)));
        assert!(matches!(stopped, Err(ReadError::TooMany(7))));
    }

    /// Every row is accepted or refused, none is lost and none is invented.
    fn check_any_bytes(format: Format, bytes: &[u8]) {
        let (file, mut rows) = rows("");
        std::fs::write(file.path(), bytes).unwrap();
        rows.format = Some(format);
        let read: Result<(), ReadError> = rows.check_all(|checked| {
            let refused = checked.refused.len() as u64;
            assert_eq!(checked.batch.rows.len() as u64, checked.accepted() + refused);
            assert_eq!(checked.links().count() as u64, checked.accepted());
            Ok(())
        });
        let _ = read;
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_that_are_accepted_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            likely in proptest::collection::vec("(go\\.example|\\*\\.a|https://a\\.example/|,|\"|\n|\r|%2|\\PC)", 0..60),
        ) {
            let likely = likely.concat();
            for rows in [bytes.as_slice(), likely.as_bytes()] {
                check_any_bytes(Format::Csv, &[b"domain,code,destination,expires\n", rows].concat());
                check_any_bytes(Format::Csv, rows);
                check_any_bytes(Format::Jsonl, rows);
                check_any_bytes(Format::Jsonl, &[b"{\"code\":\"", rows, b"\"}"].concat());
            }
        }
    }
}
