//! Adds up the summary lines of all test binaries while they pass by, and reads what the tests left undone.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::workspace::{NotRun, spoken};

/// The sum over all test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs `cargo test`, shows every line of it, and returns the sum and whether it succeeded.
pub(crate) fn watched(command: &mut Command, shown: &mut impl Write) -> Result<(Tally, bool)> {
    writeln!(shown, "$ {}", spoken(command))?;
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo test")?;
    let output = child.stdout.take().expect("standard output was just piped");
    let mut tally = Tally::default();
    // Bytes, not text: a test may print anything.
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what cargo test prints")?;
        shown.write_all(&line)?;
        shown.write_all(b"\n")?;
        tally.add(&String::from_utf8_lossy(&line));
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    Ok((tally, status.success()))
}

/// The tests that named themselves as not run, one `name<TAB>reason` a line.
pub(crate) fn not_run(noted: &str) -> Vec<NotRun> {
    noted
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match line.split_once('\t') {
            Some((what, why)) => NotRun::new(what, why),
            None => NotRun::new(line, "no reason given"),
        })
        .collect()
}

impl Tally {
    fn add(&mut self, line: &str) {
        let Some((_, counts)) =
            line.trim().strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_lines_of_all_test_binaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test tests::a_name_with_1_failed ... ok",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.25s",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 13, failed: 2, skipped: 1 });
        assert_eq!(tally.to_string(), "13 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_test_that_did_not_run_gives_its_reason() {
        let noted = "lab::a_route_is_withdrawn\tnot root\n\nlab::bare\n";
        assert_eq!(
            not_run(noted),
            [
                NotRun::new("lab::a_route_is_withdrawn", "not root"),
                NotRun::new("lab::bare", "no reason given")
            ]
        );
    }

    #[test]
    fn a_failing_run_is_watched_to_its_end() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured'; exit 101"]);
        // Into a buffer: this line must not be added up by the `cargo xtask test` that may run this test.
        let mut shown = Vec::new();
        let (tally, succeeded) = watched(&mut command, &mut shown).unwrap();
        assert!(String::from_utf8(shown).unwrap().ends_with("0 measured\n"));
        assert_eq!((tally.passed, tally.failed, succeeded), (1, 1, false));
    }
}
