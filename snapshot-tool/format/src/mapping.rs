//! A file as memory: the only unsafe code of this crate.
#![allow(unsafe_code)]

use crate::reader::{OpenError, Snapshot};
use memmap2::{Advice, Mmap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A read-only map of a whole file.
///
/// A mapped file must not be rewritten in place: a page that vanishes under a reader is a SIGBUS. Snapshots are
/// published under a temporary name and renamed, and a node maps a copy in a directory of its own.
#[derive(Debug)]
pub struct Mapping(Mmap);

impl Mapping {
    /// Maps `file` whole.
    ///
    /// # Errors
    /// What the kernel says; an empty file cannot be mapped (EINVAL).
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only, and by the contract above nobody writes to or truncates the file under it:
        // builders write a new inode and rename, nodes map their own copy with mode 0400.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// Brings every page into memory, with huge pages where the file system has them.
    ///
    /// A truncated file is an error here (EFAULT), where a plain read would be a SIGBUS.
    ///
    /// # Errors
    /// What the kernel says (`MADV_POPULATE_READ`, Linux 5.14).
    pub fn populate(&self) -> io::Result<()> {
        // A refusal only means 4 KiB pages.
        let _ = self.0.advise(Advice::HugePage);
        self.0.advise(Advice::PopulateRead)
    }

    /// Keeps every page in memory until the map is dropped.
    ///
    /// # Errors
    /// What the kernel says: ENOMEM when the memlock limit is too low.
    pub fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Why a file could not be mapped and opened.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file could not be opened, mapped or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is no good snapshot.
    #[error("{}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
}

/// Maps and populates the file at `path`, and opens it.
///
/// # Errors
/// Names the file and what is wrong.
pub fn open_mapped(path: &Path) -> Result<Snapshot<Mapping>, MapError> {
    let failed = |source| MapError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        let source = OpenError::FirstPage(crate::layout::FirstPageError::TooShort(0));
        return Err(MapError::Open { path: path.to_owned(), source });
    }
    let mapping = Mapping::new(&file).map_err(failed)?;
    mapping.populate().map_err(failed)?;
    Snapshot::open(mapping).map_err(|source| MapError::Open { path: path.to_owned(), source })
}
