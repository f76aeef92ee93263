//! What the operator tells the node: the file as written, and the settings it settles to.
//!
//! Modules in reading order: the settled values, the table of keys, what a mistake looks like, how values and files are
//! read, how they are checked against each other, and the documents made from the table.

pub mod settings;

mod keys;

pub mod problem;

mod value;

mod list;

mod file;

mod settle;

mod settle_acme;

mod settle_clicks;

pub mod reference;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use file::VERSION;
pub use problem::{LoadError, Problem, Problems};
pub use settings::Settings;

use crate::limits::CONFIGURATION_BYTES_MAX;

/// Reads the configuration at `path`.
///
/// # Errors
///
/// The file cannot be read, is too long, or has mistakes: then all of them are named.
pub fn load(path: &Path) -> Result<Settings, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(CONFIGURATION_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > CONFIGURATION_BYTES_MAX {
        return Err(LoadError::TooLong { path: path.to_owned() });
    }
    Ok(parse(path, &text, &host_name())?)
}

/// Reads a configuration from `text`; messages name it `file`, and a node without a name is called `host_name`.
///
/// # Errors
///
/// Every mistake of the text.
pub fn parse(file: &Path, text: &str, host_name: &str) -> Result<Settings, Problems> {
    let mut reader = file::Reader::new(text, keys::SECTIONS).map_err(|problems| named(file, problems))?;
    let written = keys::File::read(&mut reader);
    let (mut problems, lines) = reader.finish();
    let settings = settle::settle(written, &lines, host_name, &mut problems);
    if problems.is_empty() { Ok(settings) } else { Err(named(file, problems)) }
}

fn named(file: &Path, problems: Vec<Problem>) -> Problems {
    Problems::new(file, problems)
}

/// The kernel's name of this machine.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".into() } else { name.into() }
}

/// The candidate that `name` is most likely a slip of; `None` if all are far.
fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    // A prefix or a part is a likely slip ("header_timeout" for "header_timeout_ms") that edit distance alone finds far.
    let likeness = |candidate: &str| {
        let part = name.len() >= 3 && (candidate.contains(&name) || name.contains(candidate));
        strsim::normalized_damerau_levenshtein(&name, candidate) + if part { 0.5 } else { 0.0 }
    };
    candidates
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
