//! A file of a manifest, from a store to the local disk: bounded, resumed where it stopped, and named only when it is proven.

use crate::content::ContentHash;
use crate::failpoint;
use crate::limits::{DOWNLOAD_TRIES_MAX, RATE_MIN_BYTES_PER_S, SILENCE_MAX, SLOW_START};
use crate::manifest;
use crate::refusal::Refusal;
use crate::store::{Store, StoreError};
use futures_util::StreamExt as _;
use object_store::{GetOptions, GetRange};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store; the next try resumes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bytes; the next try begins anew.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No room.
    #[error("{}: no room for {bytes} bytes: free some space, or keep fewer generations", directory.display())]
    DiskFull {
        /// Where it should have gone.
        directory: PathBuf,
        /// Bytes of the whole file.
        bytes: u64,
    },
    /// The local disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
}

impl FetchError {
    /// The label under which it is counted: a bounded set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Store(_) => "unreachable",
            Self::Refused(refusal) => refusal.label(),
            Self::DiskFull { .. } => "disk_full",
            Self::Disk { .. } => "disk",
        }
    }
}

/// Brings a file into `directory`, under its hash, and returns where it is. A file that is there already was proven before it got
/// its name. What arrived of it before, also in an earlier process, is not fetched again.
///
/// # Errors
/// It did not arrive, or is not what the manifest says. Nothing has its name then.
pub fn fetch(store: &Store, file: &manifest::File, directory: &Path) -> Result<PathBuf, FetchError> {
    let path = directory.join(file.blake3.to_string());
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == file.bytes) {
        return Ok(path);
    }
    let partial = directory.join(format!("{}.partial", file.blake3));
    let disk = |error: io::Error| disk_error(&partial, file.bytes, error);
    let mut download = Download::resume(&partial, file.bytes).map_err(disk)?;
    let mut tries = 1;
    while let Err(error) = download.run(store, file, &partial) {
        let transient = matches!(error, FetchError::Store(_));
        if matches!(error, FetchError::Refused(_)) {
            let _ = fs::remove_file(&partial);
        }
        if !transient || tries == DOWNLOAD_TRIES_MAX {
            return Err(error);
        }
        tries += 1;
    }
    failpoint::reach("fetch-before-verify");
    if ContentHash::from(download.hasher.finalize()) != file.blake3 {
        let _ = fs::remove_file(&partial);
        return Err(Refusal::WrongContent { expected: format!("file {}", file.blake3) }.into());
    }
    download.output.sync_all().map_err(disk)?;
    failpoint::reach("fetch-before-rename");
    fs::rename(&partial, &path).map_err(disk)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(disk)?;
    failpoint::reach("fetch-done");
    Ok(path)
}

/// What has arrived so far.
struct Download {
    output: File,
    arrived: u64,
    hasher: blake3::Hasher,
}

impl Download {
    fn resume(partial: &Path, bytes: u64) -> io::Result<Self> {
        let mut output =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial)?;
        let mut hasher = blake3::Hasher::new();
        let mut arrived = 0;
        if output.metadata()?.len() > bytes {
            output.set_len(0)?;
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = output.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            arrived += read as u64;
        }
        // A disk without room says so before anything is fetched. The length stays what has arrived: it is where to resume.
        if arrived < bytes {
            match fallocate(&output, FallocateFlags::KEEP_SIZE, 0, bytes) {
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        output.seek(SeekFrom::Start(arrived))?;
        Ok(Self { output, arrived, hasher })
    }

    fn run(&mut self, store: &Store, file: &manifest::File, partial: &Path) -> Result<(), FetchError> {
        let left = file.bytes - self.arrived;
        if left == 0 {
            return Ok(());
        }
        let name = format!("file/{}", file.blake3);
        let range = (self.arrived > 0).then_some(GetRange::Bounded(self.arrived..file.bytes));
        let options = GetOptions { range, ..GetOptions::default() };
        let failed = |error: &dyn std::fmt::Display| FetchError::from(store.failed(&name, error));
        store.block_on(async {
            let (began, before) = (Instant::now(), self.arrived);
            let answer =
                tokio::time::timeout(SILENCE_MAX, store.objects().get_opts(&store.path(&name), options))
                    .await;
            let answer = answer.map_err(|_| store.slow(&name))?.map_err(|error| failed(&error))?;
            if answer.meta.size != file.bytes {
                return Err(Refusal::WrongSize { found: answer.meta.size, expected: file.bytes }.into());
            }
            let mut stream = answer.into_stream();
            loop {
                let chunk =
                    tokio::time::timeout(SILENCE_MAX, stream.next()).await.map_err(|_| store.slow(&name))?;
                let Some(chunk) = chunk else { break };
                let chunk = chunk.map_err(|error| failed(&error))?;
                let expected = file.bytes;
                if self.arrived + chunk.len() as u64 > expected {
                    return Err(
                        Refusal::WrongSize { found: self.arrived + chunk.len() as u64, expected }.into()
                    );
                }
                self.output.write_all(&chunk).map_err(|error| disk_error(partial, expected, error))?;
                self.hasher.update(&chunk);
                self.arrived += chunk.len() as u64;
                failpoint::reach("fetch-under-way");
                let took = began.elapsed();
                if took > SLOW_START && (self.arrived - before) / took.as_secs() < RATE_MIN_BYTES_PER_S {
                    return Err(failed(&format!("slower than {RATE_MIN_BYTES_PER_S} bytes per second")));
                }
            }
            // A connection that ends early is no proof of a wrong file: the next try asks for the rest.
            if self.arrived < file.bytes {
                return Err(failed(&format!("ended after {} of {} bytes", self.arrived, file.bytes)));
            }
            Ok(())
        })
    }
}

fn disk_error(path: &Path, bytes: u64, error: io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            let directory = path.parent().unwrap_or(Path::new(".")).into();
            FetchError::DiskFull { directory, bytes }
        }
        _ => FetchError::Disk { path: path.into(), error },
    }
}
