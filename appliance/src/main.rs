//! The `carom` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    carom::cli::run()
}
