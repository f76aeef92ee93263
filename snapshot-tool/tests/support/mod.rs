//! A directory of its own for each test, and the binary run in it.
#![allow(dead_code)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a run of the tool said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Checks the exit code, and shows everything if it is another one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error holds a text.
    #[track_caller]
    pub(crate) fn complains(self, expected: &str) -> Self {
        assert!(self.stderr.contains(expected), "{expected:?} is not in stderr: {}", self.stderr);
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A directory that goes away, and the tool run in it.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names of all files, hidden ones too.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The tool with these arguments, separated by spaces, as a command.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapshot-tool"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command.env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Said {
        said(&mut self.command(arguments))
    }

    /// Runs with a text on standard input.
    pub(crate) fn run_with_input(&self, arguments: &str, input: &str) -> Said {
        let file = self.write(".stdin", input);
        let said = said(self.command(arguments).stdin(fs::File::open(&file).unwrap()));
        fs::remove_file(file).unwrap();
        said
    }

    /// Builds `output` from CSV rows of domain, code and destination, and returns the summary.
    #[track_caller]
    pub(crate) fn build(&self, output: &str, rows: &str) -> Value {
        self.write("rows.csv", csv(rows));
        self.run(&format!("build --json --allow-change --output {output} rows.csv")).exits(0).json()
    }
}

/// Rows behind the shortest header.
pub(crate) fn csv(rows: &str) -> String {
    format!("domain,code,destination\n{rows}")
}

pub(crate) fn said(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}
