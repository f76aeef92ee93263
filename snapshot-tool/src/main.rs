//! The `snapshot-tool` binary.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    snapshot_tool::cli::run(std::env::args_os()).into()
}
