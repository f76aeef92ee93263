//! What is wrong with a configuration file: where, what was found, what was expected, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::limits::{CONFIGURATION_BYTES_MAX, PROBLEMS_MAX};

/// One mistake in a configuration file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands; `None` for something that is missing.
    pub line: Option<usize>,
    /// Section and key, joined by a dot; empty where the text is no TOML.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What was expected instead, or why it cannot be so.
    pub expected: String,
    /// What to write.
    pub fix: String,
}

/// Every mistake of one file, in order of their lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The file as it was named.
    pub file: PathBuf,
    /// The first [`PROBLEMS_MAX`] of them.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl Problems {
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        debug_assert!(!problems.is_empty(), "a file without problems has settings instead");
        problems.sort_by_key(|problem| problem.line);
        let more = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        Self { file: file.to_owned(), problems, more }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, problems, more } = self;
        for (index, Problem { line, key, found, expected, fix }) in problems.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{}:", file.display())?;
            if let Some(line) = line {
                write!(formatter, "{line}:")?;
            }
            if !key.is_empty() {
                write!(formatter, " {key}:")?;
            }
            write!(formatter, " {found}: {expected}; {fix}")?;
        }
        if *more > 0 {
            write!(formatter, "\n{}: and {more} more", file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Why a configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: {source}; `carom-bgp config` prints one to start from", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too long to be a configuration.
    #[error("{} has more than {CONFIGURATION_BYTES_MAX} bytes, so it is no configuration; check the name", path.display())]
    TooLong {
        /// The file as it was named.
        path: PathBuf,
    },
    /// The file was read and is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}
