//! Where the running demo takes what `cargo xtask lab` asks.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum as _;

use super::Deed;

/// Whoever asks says so at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// A listening socket; its name goes when it is dropped.
pub(crate) struct Desk {
    listener: UnixListener,
    path: PathBuf,
}

/// Somebody who waits for an answer.
pub(crate) struct Asker(UnixStream);

impl Desk {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // A demo that was killed leaves its name behind; that none runs now, the lock of the demo has made sure.
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// What somebody asks, if anybody does.
    pub(crate) fn next(&self) -> Option<(Asker, Deed, String)> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).ok()?;
        let (deed, node) = line.trim().split_once(' ')?;
        let asker = Asker(stream);
        match Deed::from_str(deed, false) {
            Ok(deed) => Some((asker, deed, node.to_owned())),
            Err(error) => {
                asker.answer(&format!("error: {error}"));
                None
            }
        }
    }
}

impl Asker {
    pub(crate) fn answer(mut self, text: &str) {
        // Somebody who went away needs no answer.
        let _ = writeln!(self.0, "{}", text.trim_end());
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
