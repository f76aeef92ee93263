//! A file that grows: each block is appended and synced before it counts as shipped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use clicks::wire::Batch;

use super::Failure;
use crate::config::settings::Ship;

pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(ship: &Ship) -> Self {
        Self { path: ship.address.clone().into() }
    }

    /// Opens the file by its name each time, so that it can be rotated at any moment.
    pub(super) fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let later = |error| Failure::Later(format!("cannot append to {}: {error}", self.path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)
            .map_err(later)?;
        let before = file.metadata().map_err(later)?.len();
        // A node that died while it wrote has left half a line: what comes must not be its end.
        let written = end_line(&mut file, before)
            .and_then(|()| file.write_all(&batch.lines))
            .and_then(|()| file.sync_data());
        written.map_err(|error| {
            // Half a block would be sent again behind its own beginning.
            let _ = file.set_len(before);
            later(error)
        })
    }
}

/// Ends a last line that has no end.
fn end_line(file: &mut fs::File, bytes: u64) -> io::Result<()> {
    let mut last = [b'\n'];
    if bytes > 0 {
        file.read_exact_at(&mut last, bytes - 1)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}
