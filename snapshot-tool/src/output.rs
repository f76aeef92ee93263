//! Standard output, which may be a pipe that somebody closes, and words for reports.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line. Whoever closed the other end of a pipe has seen enough, which is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// The error of the disk or pipe within an error of the CSV writer.
pub fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// An error with its causes, without repeating a cause that the error tells by itself.
pub fn error_text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A number with a comma between each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 link`, `2,000 links`.
pub fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn numbers_are_grouped_by_three() {
        let check = |number, expected: &str| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(u64::MAX, "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "link"), "1 link");
        assert_eq!(counted(1_000, "link"), "1,000 links");
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no such file").context("a.csv: no such file").context("reading");
        assert_eq!(error_text(&error), "reading: a.csv: no such file");
    }

    #[test]
    fn the_csv_writer_does_not_hide_what_the_kernel_said() {
        let error = csv::Error::from(io::Error::from(ErrorKind::StorageFull));
        assert_eq!(io_error(error).kind(), ErrorKind::StorageFull);
    }
}
