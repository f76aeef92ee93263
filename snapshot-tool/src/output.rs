//! Standard output, which may be a pipe that somebody closes.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line. Whoever closed the other end of a pipe has seen enough, which is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
