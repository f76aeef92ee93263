//! The real `snapshot-tool`, run to its end.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries;
use crate::links::{Domains, Row, csv};
use crate::process::{Finished, run};

/// Runs the tool.
pub fn tool<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Finished {
    run(&binaries::snapshot_tool(), arguments)
}

/// Builds a snapshot of `rows` in `directory` and returns its path; every row must be accepted.
#[track_caller]
pub fn build(directory: &Path, generation: u64, domains: &Domains, rows: &[Row]) -> PathBuf {
    let input = directory.join(format!("{generation}.csv"));
    let domains_file = directory.join(format!("{generation}.toml"));
    let output = directory.join(format!("{generation}.snapshot"));
    fs::write(&input, csv(rows)).unwrap();
    fs::write(&domains_file, domains.text()).unwrap();
    let generation = generation.to_string();
    let finished = tool([
        "build".as_ref(),
        "--generation".as_ref(),
        OsStr::new(&generation),
        "--domains".as_ref(),
        domains_file.as_os_str(),
        "--output".as_ref(),
        output.as_os_str(),
        input.as_os_str(),
    ]);
    assert_eq!(finished.code, Some(0), "snapshot-tool build: {}{}", finished.output, finished.errors);
    output
}
