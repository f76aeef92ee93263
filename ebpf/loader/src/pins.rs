//! Where the guard lives on a BPF file system, so that it outlives the process.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ebpf_abi::ABI_VERSION;
use rustix::fs::{Mode, OFlags, fstatfs, open};

use crate::GuardError;

const BPFFS_MAGIC: i64 = 0xcafe_4a11;

/// A directory on a BPF file system: links directly in it, tables and program in one directory per version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Pins below `root`, for instance `/sys/fs/bpf/carom`; nothing is touched yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// The place is not on a BPF file system, or may not be written.
    pub(crate) fn create(&self) -> Result<(), GuardError> {
        let existing = self.root.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        if !is_bpffs(existing) {
            let mount = self.root.parent().unwrap_or(&self.root).to_owned();
            return Err(GuardError::NotBpffs { path: self.root.clone(), mount });
        }
        let path = self.versioned();
        fs::create_dir_all(&path).map_err(|error| GuardError::Pins { path, error })
    }

    /// Where a map is pinned.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        self.versioned().join(name)
    }

    /// Where the program is pinned that answers probes.
    pub(crate) fn program(&self) -> PathBuf {
        self.versioned().join("program")
    }

    /// Where the link of an interface is pinned; it survives changes of the version.
    pub(crate) fn link(&self, interface: &str) -> PathBuf {
        self.root.join(format!("link-{interface}"))
    }

    /// Where earlier versions have pinned this map, the newest first.
    pub(crate) fn earlier(&self, name: &str) -> Vec<PathBuf> {
        let paths = (1..ABI_VERSION).rev().map(|version| self.of_version(version).join(name));
        paths.filter(|path| path.exists()).collect()
    }

    /// Lets go of the tables of earlier versions: no attached program uses them any more.
    pub(crate) fn forget_earlier(&self) {
        for version in 1..ABI_VERSION {
            let directory = self.of_version(version);
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            // What cannot be removed takes memory, and harms nobody.
            entries.flatten().for_each(|entry| drop(fs::remove_file(entry.path())));
            drop(fs::remove_dir(&directory));
        }
    }

    fn versioned(&self) -> PathBuf {
        self.of_version(ABI_VERSION)
    }

    fn of_version(&self, version: u32) -> PathBuf {
        self.root.join(format!("v{version}"))
    }
}

fn is_bpffs(path: &Path) -> bool {
    let Ok(directory) = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return false };
    #[allow(clippy::unnecessary_cast, reason = "the width of the field differs between architectures")]
    fstatfs(directory.as_fd()).is_ok_and(|status| status.f_type as i64 == BPFFS_MAGIC)
}
