//! The node's own copies of snapshots: files that nobody else writes to, so that a map of one can never lose a page.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;
use snapshot_format::layout::Header;

/// How names of copies end.
const EXTENSION: &str = "snapshot";
/// How names of unfinished copies begin.
const UNFINISHED: &str = ".incoming-";

/// The directory of the copies.
#[derive(Debug)]
pub struct Copies {
    directory: PathBuf,
    /// Locked while this node runs: a second one would remove and truncate what the first is about to map.
    locked: File,
}

/// A copy on disk, as its name tells; whether it is any good is told by opening it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Generation of the snapshot.
    pub generation: u64,
    /// Checksum of its content.
    pub content_checksum: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// A complete copy that has no name yet by which it would be found again.
#[derive(Debug)]
pub struct Unnamed {
    path: PathBuf,
    file: File,
}

impl Copies {
    /// Opens the directory below `state_dir`, makes it if needed, and removes what a crash left unfinished.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, read or cleaned, or another node uses it.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        Self::open_with(state_dir, None)
    }

    /// The same for a process that got the `lock` of its predecessor, which leaves the directory alone from now on.
    ///
    /// # Errors
    ///
    /// As [`Copies::open`].
    pub fn open_with(state_dir: &Path, lock: Option<OwnedFd>) -> io::Result<Self> {
        let directory = state_dir.join("snapshots");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
        let own = File::open(&directory)?;
        let identity = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
        let locked = match lock.map(File::from) {
            // The configuration may name another directory by now.
            Some(inherited) if identity(&inherited)? == identity(&own)? => inherited,
            _ => own,
        };
        match locked.try_lock() {
            // Some network file systems have no locks; there it stays the operator's care.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another node keeps its copies there, and each needs a directory of its own",
                ));
            }
        }
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { directory, locked })
    }

    /// Where the copies are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The lock, to be handed to a successor: it is held as long as either has it.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        Ok(self.locked.try_clone()?.into())
    }

    /// The copies, newest generation first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Kept>> {
        let mut kept: Vec<Kept> =
            fs::read_dir(&self.directory)?.filter_map(|entry| parse_name(&entry.ok()?.path())).collect();
        kept.sort_by(|one, other| other.cmp(one));
        Ok(kept)
    }

    /// The copy of the snapshot with this header, if there is one.
    pub fn find(&self, header: &Header) -> Option<Kept> {
        let kept = Kept {
            generation: header.generation,
            content_checksum: header.content_checksum,
            path: self.path_of(header.generation, header.content_checksum),
        };
        kept.path.exists().then_some(kept)
    }

    /// Copies `source`, which has `bytes` bytes. The copy is on disk when this returns, and read-only.
    ///
    /// # Errors
    ///
    /// ENOSPC, EDQUOT and EFBIG if there is no room, which is found out before anything is copied; else what the disk says.
    pub fn copy(&self, source: &File, bytes: u64) -> io::Result<Unnamed> {
        let path = self.directory.join(format!("{UNFINISHED}{}", std::process::id()));
        let file =
            File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let unnamed = Unnamed { path, file };
        match rustix::fs::fallocate(&unnamed.file, FallocateFlags::empty(), 0, bytes.max(1)) {
            // Some file systems cannot reserve; there the copy itself finds out.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        // One byte more would show that the file grew meanwhile; it is then no longer what was looked at.
        let copied = io::copy(&mut source.take(bytes + 1), &mut &unnamed.file)?;
        if copied != bytes {
            return Err(io::Error::other(format!(
                "the file had {bytes} bytes and changed while it was copied"
            )));
        }
        unnamed.file.set_permissions(Permissions::from_mode(0o400))?;
        unnamed.file.sync_all()?;
        // What was written lies in the page cache in small pages, and would be mapped so. Read again, it comes in huge ones:
        // a third less per lookup in 10 million links. A refusal changes nothing but that.
        let _ = rustix::fs::fadvise(&unnamed.file, 0, None, Advice::DontNeed);
        Ok(unnamed)
    }

    /// Gives a copy the name of the snapshot that it turned out to be, durably.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn name(&self, unnamed: &Unnamed, generation: u64, content_checksum: u64) -> io::Result<PathBuf> {
        let path = self.path_of(generation, content_checksum);
        fs::rename(&unnamed.path, &path)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(path)
    }

    /// Removes all copies but the newest `keep`; `serving` stays in any case.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn prune(&self, keep: u32, serving: &Path) -> io::Result<()> {
        let others = self.list()?.into_iter().filter(|kept| kept.path != serving);
        for kept in others.skip(keep.saturating_sub(1) as usize) {
            tracing::debug!(copy = %kept.path.display(), "old copy removed");
            fs::remove_file(kept.path)?;
        }
        Ok(())
    }

    fn path_of(&self, generation: u64, content_checksum: u64) -> PathBuf {
        self.directory.join(format!("{generation}-{content_checksum:016x}.{EXTENSION}"))
    }
}

impl Unnamed {
    /// The copy, to be mapped.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// What the name of a copy tells: `17-0123456789abcdef.snapshot`.
fn parse_name(path: &Path) -> Option<Kept> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let (generation, checksum) = path.file_stem()?.to_str()?.split_once('-')?;
    if checksum.len() != 16 {
        return None;
    }
    Some(Kept {
        generation: generation.parse().ok()?,
        content_checksum: u64::from_str_radix(checksum, 16).ok()?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn copies() -> (tempfile::TempDir, Copies) {
        let directory = tempfile::tempdir().unwrap();
        let copies = Copies::open(directory.path()).unwrap();
        (directory, copies)
    }

    fn source(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    fn add(copies: &Copies, generation: u64) -> PathBuf {
        let unnamed = copies.copy(&source(b"content"), 7).unwrap();
        copies.name(&unnamed, generation, generation * 2).unwrap()
    }

    #[test]
    fn a_copy_is_whole_read_only_and_named_after_its_content() {
        let (_directory, copies) = copies();
        let path = add(&copies, 17);
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(path.file_name().unwrap(), "17-0000000000000022.snapshot");
        assert_eq!(copies.list().unwrap(), [Kept { generation: 17, content_checksum: 34, path }]);
    }

    #[test]
    fn generations_are_ordered_by_number_and_not_by_text() {
        let (_directory, copies) = copies();
        for generation in [9, 100, 10] {
            add(&copies, generation);
        }
        let listed: Vec<u64> = copies.list().unwrap().iter().map(|kept| kept.generation).collect();
        assert_eq!(listed, [100, 10, 9]);
    }

    #[test]
    fn a_copy_that_is_given_up_leaves_nothing_behind() {
        let (_directory, copies) = copies();
        drop(copies.copy(&source(b"content"), 7).unwrap());
        assert_eq!(fs::read_dir(copies.directory()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_changes_while_it_is_copied_is_no_copy() {
        let (_directory, copies) = copies();
        for bytes in [6, 8] {
            assert!(copies.copy(&source(b"content"), bytes).is_err());
        }
        assert_eq!(fs::read_dir(copies.directory()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_removed_at_the_start() {
        let (directory, copies) = copies();
        fs::write(copies.directory().join(".incoming-4711"), b"half").unwrap();
        let kept = add(&copies, 1);
        drop(copies);
        let copies = Copies::open(directory.path()).unwrap();
        assert_eq!(fs::read_dir(copies.directory()).unwrap().count(), 1);
        assert!(kept.exists());
    }

    #[test]
    fn a_directory_belongs_to_one_node_at_a_time() {
        let (directory, first) = copies();
        let unfinished = first.copy(&source(b"content"), 7).unwrap();
        let error = Copies::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("another node"), "{error}");
        assert_eq!(
            fs::read_dir(first.directory()).unwrap().count(),
            1,
            "what the first writes is left alone"
        );
        drop(unfinished);
        drop(first);
        Copies::open(directory.path()).unwrap();
    }

    #[test]
    fn the_newest_copies_and_the_one_that_serves_are_kept() {
        let (_directory, copies) = copies();
        let paths: Vec<PathBuf> = (1..=5).map(|generation| add(&copies, generation)).collect();
        copies.prune(2, &paths[4]).unwrap();
        let listed: Vec<u64> = copies.list().unwrap().iter().map(|kept| kept.generation).collect();
        assert_eq!(listed, [5, 4]);
        copies.prune(1, &paths[3]).unwrap();
        let listed: Vec<u64> = copies.list().unwrap().iter().map(|kept| kept.generation).collect();
        assert_eq!(listed, [4]);
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let (_directory, copies) = copies();
        for name in ["notes.txt", "x-0123456789abcdef.snapshot", "1-123.snapshot", "1.snapshot"] {
            fs::write(copies.directory().join(name), b"mine").unwrap();
        }
        let path = add(&copies, 1);
        copies.prune(1, &path).unwrap();
        assert_eq!(fs::read_dir(copies.directory()).unwrap().count(), 5);
        assert_eq!(copies.list().unwrap().len(), 1);
    }
}
