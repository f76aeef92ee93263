//! From the file under the configured name to a mapped, proven snapshot, or a reason why not.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use snapshot_format::layout::{self, Header};
use snapshot_format::{Mapping, Snapshot};

use crate::config::settings;
use crate::limits::{MEMORY_SPARE_BYTES, SNAPSHOT_RETRY};
use crate::metrics::Swap;

use super::copies::{Copies, Kept};

/// Looks after the configured name and the node's copies. It blocks on the disk: never to be used on a shard, nor on the
/// control thread.
pub struct Store {
    settings: settings::Snapshot,
    copies: Copies,
    /// Header of what was handed out last.
    serving: Option<Header>,
    /// What was seen under the name last.
    seen: Option<Seen>,
    lock_complained: bool,
}

/// A snapshot that is ready to be served: copied, mapped, proven, in memory.
pub struct Served {
    /// Maps the node's own copy.
    pub snapshot: Snapshot<Mapping>,
    /// Whether it is locked in memory.
    pub locked: bool,
    /// The copy.
    pub path: PathBuf,
    /// How long it took to get there.
    pub took: Duration,
}

/// What came of a look at the configured name.
pub enum Attempt {
    /// The file is the one that was looked at before.
    Nothing,
    /// It is another file with the content that is served already.
    Unchanged,
    /// A new snapshot is ready.
    New(Box<Served>),
    /// The file cannot be served.
    Refused(Refused),
}

/// Why a file is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As it is counted.
    pub reason: Swap,
    /// As an operator should read it: names the file.
    pub error: String,
}

/// A store with what it found at its start.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What to serve first.
    pub served: Served,
    /// What is wrong with the file under the configured name, if a copy is served instead.
    pub complaint: Option<Refused>,
}

/// Why a node has nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory for copies.
    #[error(
        "cannot keep copies of snapshots below {}: {error}; make the directory writable for this user, or set \
         node.state_dir", state_dir.display()
    )]
    StateDirectory {
        /// As configured.
        state_dir: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// Neither the file nor a copy.
    #[error("no snapshot to serve: {error}, and there is no good copy of an earlier one in {}; {fix}", copies.display())]
    Nothing {
        /// What is wrong with the configured file.
        error: String,
        /// Where copies would be.
        copies: PathBuf,
        /// What an operator can do about it.
        fix: String,
    },
}

/// The file under the name, as far as it can be known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Missing,
    Unreadable(i32),
    /// The time of change (ctime) cannot be set: build systems give every file one modification time, `cp -p` and `rsync -t`
    /// copy it, and a file system soon uses an inode again.
    File {
        device: u64,
        inode: u64,
        bytes: u64,
        modified_s: i64,
        modified_ns: i64,
        changed_s: i64,
        changed_ns: i64,
    },
}

struct Seen {
    identity: Identity,
    /// When to try again, if the fault may have been the machine's.
    retry_at: Option<Instant>,
}

/// A fault on the way, before it is told with the file's name.
struct Fault {
    reason: Swap,
    message: String,
}

impl Fault {
    fn invalid(error: &dyn std::error::Error) -> Self {
        Self { reason: Swap::Invalid, message: error.to_string() }
    }

    fn io(doing: &str, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::OutOfMemory => Swap::NoRoom,
            _ => Swap::Unreadable,
        };
        Self { reason, message: format!("cannot {doing}: {error}") }
    }
}

impl Store {
    /// Opens the store, and finds what to serve first: the configured file, unless it is bad, missing or older than what the
    /// node has served before; then the newest good copy.
    ///
    /// # Errors
    ///
    /// There is nothing to serve, or no place for copies; the message names the fix.
    pub fn open(settings: settings::Snapshot, state_dir: &Path) -> Result<Opened, StartError> {
        Self::open_with(settings, state_dir, None)
    }

    /// The same for a process that got the `lock` of its predecessor.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open_with(
        settings: settings::Snapshot,
        state_dir: &Path,
        lock: Option<OwnedFd>,
    ) -> Result<Opened, StartError> {
        let copies = Copies::open_with(state_dir, lock)
            .map_err(|error| StartError::StateDirectory { state_dir: state_dir.to_owned(), error })?;
        let mut store = Self { settings, copies, serving: None, seen: None, lock_complained: false };
        let kept = store.copies.list().unwrap_or_default();
        let published = store.peek().map(|header| header.generation).unwrap_or(0);

        // A generation that was served is never taken back by a file that happens to lie there after a restart.
        let (newer, older): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.generation > published);
        if let Some(served) = store.open_first(newer) {
            let complaint = match store.look(Instant::now(), true) {
                Attempt::Refused(refused) => Some(refused),
                Attempt::Nothing | Attempt::Unchanged | Attempt::New(_) => None,
            };
            return Ok(Opened { store, served, complaint });
        }
        let refused = match store.look(Instant::now(), true) {
            Attempt::New(served) => return Ok(Opened { store, served: *served, complaint: None }),
            Attempt::Refused(refused) => refused,
            Attempt::Nothing | Attempt::Unchanged => unreachable!("nothing is served yet"),
        };
        match store.open_first(older) {
            Some(served) => Ok(Opened { store, served, complaint: Some(refused) }),
            None => Err(StartError::Nothing {
                error: refused.error,
                copies: store.copies.directory().to_owned(),
                fix: format!(
                    "build one with `snapshot-tool build --output {}`",
                    store.settings.path.display()
                ),
            }),
        }
    }

    /// The lock on the state directory, to be handed to a successor.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        self.copies.lock()
    }

    /// Looks at the configured name. A file that was looked at before is not read again, unless the fault may have been the
    /// machine's and it was `asked` for or some time has passed.
    pub fn look(&mut self, now: Instant, asked: bool) -> Attempt {
        let (identity, file) = match open(&self.settings.path) {
            Ok((identity, file)) => (identity, Ok(file)),
            Err((identity, error)) => (identity, Err(error)),
        };
        let is_new = self.seen.as_ref().is_none_or(|seen| seen.identity != identity);
        let is_due = self.seen.as_ref().and_then(|seen| seen.retry_at).is_some_and(|at| asked || at <= now);
        if !is_new && !is_due {
            return Attempt::Nothing;
        }
        let result = match file {
            Ok(file) => self.take(&file),
            Err(error) if identity == Identity::Missing => {
                Err(Fault { reason: Swap::Missing, message: error.to_string() })
            }
            Err(error) => Err(Fault::io("read the snapshot", &error)),
        };
        let retry_at = match &result {
            Err(Fault { reason: Swap::Unreadable | Swap::NoRoom, .. }) => Some(now + SNAPSHOT_RETRY),
            _ => None,
        };
        self.seen = Some(Seen { identity, retry_at });
        match result {
            Ok(Some(served)) => Attempt::New(Box::new(served)),
            Ok(None) => Attempt::Unchanged,
            Err(Fault { reason, message }) => {
                let error = format!("{}: {message}", self.settings.path.display());
                Attempt::Refused(Refused { reason, error })
            }
        }
    }

    /// Copies, maps and proves a file; nothing if it is what is served already.
    fn take(&mut self, file: &File) -> Result<Option<Served>, Fault> {
        let began = Instant::now();
        let bytes = file.metadata().map_err(|error| Fault::io("read the snapshot", &error))?.len();
        // The first page tells the cheap cases apart before gigabytes are copied. What counts is the copy.
        let header = read_header(file)?;
        if self.judge(&header)? == Judged::Serving {
            return Ok(None);
        }
        if let Some(kept) = self.copies.find(&header)
            && let Some(served) = self.open_first(vec![kept])
        {
            return Ok(Some(served));
        }
        self.check_memory(bytes)?;
        let copy = self.copies.copy(file, bytes).map_err(|error| Fault::io("copy the snapshot", &error))?;
        let (snapshot, locked) = self.prove(copy.file())?;
        let header = *snapshot.header();
        if self.judge(&header)? == Judged::Serving {
            return Ok(None);
        }
        let path = self
            .copies
            .name(&copy, header.generation, header.content_checksum)
            .map_err(|error| Fault::io("name the copy of the snapshot", &error))?;
        Ok(Some(self.hand_out(snapshot, locked, path, began)))
    }

    /// Opens the first copy that is good.
    fn open_first(&mut self, candidates: Vec<Kept>) -> Option<Served> {
        candidates.into_iter().find_map(|kept| {
            let began = Instant::now();
            let opened = File::open(&kept.path)
                .map_err(|error| Fault::io("read the copy", &error))
                .and_then(|file| self.prove(&file));
            match opened {
                Ok((snapshot, locked)) => Some(self.hand_out(snapshot, locked, kept.path, began)),
                Err(fault) => {
                    tracing::warn!(copy = %kept.path.display(), error = fault.message, "copy is not usable");
                    None
                }
            }
        })
    }

    /// Maps a copy, brings it into memory, locks it there if that is wanted, and checks every byte.
    fn prove(&mut self, file: &File) -> Result<(Snapshot<Mapping>, bool), Fault> {
        if file.metadata().map_err(|error| Fault::io("read the copy", &error))?.len() == 0 {
            return Err(Fault { reason: Swap::Invalid, message: "the file is empty".into() });
        }
        let mapping = Mapping::new(file).map_err(|error| Fault::io("map the copy", &error))?;
        mapping.populate().map_err(|error| Fault::io("read the copy into memory", &error))?;
        // Locked before it is checked: no page can go between the check and the last answer.
        let locked = self.settings.lock_memory
            && match mapping.lock() {
                Ok(()) => true,
                Err(error) => {
                    self.complain_about_lock(&error);
                    false
                }
            };
        let snapshot = Snapshot::open(mapping).map_err(|error| Fault::invalid(&error))?;
        Ok((snapshot, locked))
    }

    fn hand_out(
        &mut self,
        snapshot: Snapshot<Mapping>,
        locked: bool,
        path: PathBuf,
        began: Instant,
    ) -> Served {
        self.serving = Some(*snapshot.header());
        if let Err(error) = self.copies.prune(self.settings.keep, &path) {
            tracing::warn!(%error, directory = %self.copies.directory().display(), "cannot remove old copies");
        }
        Served { snapshot, locked, path, took: began.elapsed() }
    }

    /// Whether a snapshot may follow the one that is served.
    fn judge(&self, header: &Header) -> Result<Judged, Fault> {
        let Some(serving) = &self.serving else { return Ok(Judged::New) };
        let (generation, served) = (header.generation, serving.generation);
        if generation > served {
            return Ok(Judged::New);
        }
        if generation == served && header.content_checksum == serving.content_checksum {
            return Ok(Judged::Serving);
        }
        let message = if generation < served {
            format!(
                "its generation {generation} is older than {served}, which is served: publish it with a newer one \
                 (`snapshot-tool build --generation`)"
            )
        } else {
            format!("its generation {generation} is served already, with other content: give it a new number")
        };
        Err(Fault { reason: Swap::Older, message })
    }

    /// A locked snapshot that does not fit beside the old one would make the kernel kill somebody.
    fn check_memory(&self, bytes: u64) -> Result<(), Fault> {
        let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_bytes(&text));
        match available {
            Some(available) if self.settings.lock_memory && available < bytes + MEMORY_SPARE_BYTES => {
                Err(Fault {
                    reason: Swap::NoRoom,
                    message: format!(
                        "it needs {bytes} bytes of memory and {available} are available: add memory, or set \
                     snapshot.lock_memory = false"
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// The header of the file under the name, if it has one.
    fn peek(&self) -> Option<Header> {
        let (_, file) = open(&self.settings.path).ok()?;
        read_header(&file).ok()
    }

    fn complain_about_lock(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.lock_complained, true) {
            tracing::warn!(
                %error,
                "cannot lock the snapshot in memory, requests may wait for the disk: set LimitMEMLOCK=infinity, or \
                 snapshot.lock_memory = false"
            );
        }
    }
}

/// How a header compares with what is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    New,
    Serving,
}

/// Opens the file under `path` without waiting for anybody, and says which file it is.
fn open(path: &Path) -> Result<(Identity, File), (Identity, io::Error)> {
    let unreadable = |error: io::Error| {
        let identity = match error.kind() {
            io::ErrorKind::NotFound => Identity::Missing,
            _ => Identity::Unreadable(error.raw_os_error().unwrap_or(0)),
        };
        (identity, error)
    };
    // A pipe would make a plain open wait for its writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let identity = Identity::File {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified_s: metadata.mtime(),
        modified_ns: metadata.mtime_nsec(),
        changed_s: metadata.ctime(),
        changed_ns: metadata.ctime_nsec(),
    };
    if !metadata.is_file() {
        return Err((identity, io::Error::other("it is not a regular file")));
    }
    Ok((identity, file))
}

/// Reads the first page; leaves the file at its start.
fn read_header(file: &File) -> Result<Header, Fault> {
    let mut page = Vec::with_capacity(layout::SECTION_ALIGNMENT as usize);
    file.take(layout::SECTION_ALIGNMENT)
        .read_to_end(&mut page)
        .and_then(|_| io::Seek::rewind(&mut &*file))
        .map_err(|error| Fault::io("read the snapshot", &error))?;
    layout::parse_first_page(&page).map(|(header, _)| header).map_err(|error| Fault::invalid(&error))
}

/// `MemAvailable` of /proc/meminfo.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests;
