//! A file that grows: each block is appended and synced before it counts as shipped.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
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
        let mut file =
            OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path).map_err(later)?;
        let before = file.metadata().map_err(later)?.len();
        let written = file.write_all(&batch.lines).and_then(|()| file.sync_data());
        written.map_err(|error| {
            // Half a block would be sent again behind its own beginning.
            let _ = file.set_len(before);
            later(error)
        })
    }
}
