//! The `carom-bgp` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    carom_bgp::cli::run()
}
