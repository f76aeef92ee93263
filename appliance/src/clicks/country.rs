//! The database of countries: read by a thread of its own, exchanged whole when its file changes, used by the writer.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use arc_swap::ArcSwapOption;
use clicks::countries::Countries;

use crate::limits::{COUNTRIES_BYTES_MAX, COUNTRIES_POLL};

/// The file of the configuration and what was last read from it.
pub struct CountryFile {
    path: PathBuf,
    current: ArcSwapOption<Countries>,
    failures: AtomicU64,
}

/// What tells one state of a file from the next: whether it was replaced, or written in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    bytes: u64,
    changed_ns: (i64, i64),
}

impl CountryFile {
    /// A file that is not read yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, current: ArcSwapOption::empty(), failures: AtomicU64::new(0) }
    }

    /// The database of now; `None` before a first good one.
    pub fn current(&self) -> Option<Arc<Countries>> {
        self.current.load_full()
    }

    /// Versions of the file that could not be used.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// When the database was built, in seconds since 1970; 0 without one.
    pub fn built_unix_s(&self) -> u64 {
        self.current().map_or(0, |countries| countries.built_unix_s())
    }

    /// Reads the file whenever it has changed, until `stopped` is closed. Runs on its own thread.
    pub(super) fn watch(&self, stopped: &Receiver<()>) {
        // On Linux this is the priority of the thread: checking a large file can wait for shards.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "cannot lower the priority of the thread for countries");
        }
        let mut last = None;
        loop {
            last = Some(self.look(last.as_ref()));
            if stopped.recv_timeout(COUNTRIES_POLL) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Reads the file if it is not as it was `before`; says how it is now, `None` if it is not there.
    fn look(&self, before: Option<&Option<Seen>>) -> Option<Seen> {
        let seen = fs::metadata(&self.path).map(|metadata| Seen {
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed_ns: (metadata.mtime(), metadata.mtime_nsec()),
        });
        if before == Some(&seen.as_ref().ok().copied()) {
            return seen.ok();
        }
        match seen.as_ref().map_err(ToString::to_string).and_then(|_| read(&self.path)) {
            Ok(countries) => {
                tracing::info!(path = %self.path.display(), built_unix_s = countries.built_unix_s(), "countries of clicks are known");
                self.current.store(Some(Arc::new(countries)));
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(path = %self.path.display(), %error, "clicks.country_database cannot be used: the one before stays, if there was one");
            }
        }
        seen.ok()
    }
}

/// A tenth of a shard's weight on a CPU that both want.
const NICE: i32 = 10;

/// Reads and checks the database at `path`.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(path: &std::path::Path) -> Result<Countries, String> {
    let bytes = read_bounded(path).map_err(|error| error.to_string())?;
    Countries::new(bytes).map_err(|error| error.to_string())
}

fn read_bounded(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COUNTRIES_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > COUNTRIES_BYTES_MAX {
        let text =
            format!("it has more than {COUNTRIES_BYTES_MAX} bytes, which no database of countries needs");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clicks::Address;

    use super::*;

    const DATABASE: &[u8] = include_bytes!("../../clicks/tests/data/countries.mmdb");
    const LATER: &[u8] = include_bytes!("../../clicks/tests/data/countries-later.mmdb");

    fn here(file: &CountryFile) -> Option<[u8; 2]> {
        file.current().map(|countries| countries.of(Address::whole("127.0.0.1".parse().unwrap())))
    }

    #[test]
    fn a_new_file_is_taken_and_a_bad_one_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let file = CountryFile::new(directory.path().join("countries.mmdb"));
        let put = |bytes: &[u8]| {
            let fresh = directory.path().join("fresh");
            fs::write(&fresh, bytes).unwrap();
            fs::rename(fresh, &file.path).unwrap();
        };
        let mut last = file.look(None);
        assert_eq!((here(&file), file.failures(), last), (None, 1, None));
        let mut look = |expected: &[u8; 2], failures| {
            last = file.look(Some(&last));
            assert_eq!((here(&file), file.failures()), (Some(*expected), failures));
        };
        put(DATABASE);
        look(b"DE", 1);
        look(b"DE", 1);
        put(&LATER[..LATER.len() / 2]);
        look(b"DE", 2);
        // It is not read again before it changes.
        look(b"DE", 2);
        put(LATER);
        look(b"FR", 2);
        fs::remove_file(&file.path).unwrap();
        look(b"FR", 3);
        look(b"FR", 3);
    }
}
