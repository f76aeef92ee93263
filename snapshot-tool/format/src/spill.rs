//! Index entries on their way to the index: in memory while they are few, in partition files when they are many.
//!
//! Entries are partitioned by the top bits of their hash. The home bucket grows with the hash, so partitions are
//! sorted one at a time and the index is written from front to back, whatever the number of links.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Partitions on disk. A billion links make partitions of four million entries, 94 MB each.
const PARTITIONS: usize = 256;

/// Bytes of an entry in a partition file.
const ENTRY_BYTES: usize = 24;

/// Buffer of each partition file: 16 MiB in all.
const BUFFER_BYTES: usize = 64 * 1024;

/// What the index must know of a record, and where its row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    /// Offset within the section of records, in units of the record alignment.
    pub(crate) position: u64,
    /// Whatever the caller of the writer wants to know of a row again.
    pub(crate) place: u64,
}

/// Entries in no particular order, drained in the order of hashes.
#[derive(Debug)]
pub(crate) struct Spill {
    directory: PathBuf,
    entries: Vec<Entry>,
    in_memory_max: usize,
    files: Vec<BufWriter<File>>,
}

impl Spill {
    /// Keeps up to `in_memory_max` entries in memory; beyond that, unnamed files in `directory` take them.
    pub(crate) fn new(directory: &Path, in_memory_max: usize) -> Self {
        Self { directory: directory.to_owned(), entries: Vec::new(), in_memory_max, files: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<()> {
        if self.files.is_empty() {
            self.entries.push(entry);
            if self.entries.len() > self.in_memory_max {
                self.open_files()?;
                for entry in std::mem::take(&mut self.entries) {
                    self.write(entry)?;
                }
            }
            return Ok(());
        }
        self.write(entry)
    }

    /// Hands every entry to `each`, sorted by hash and then position, and forgets them.
    pub(crate) fn drain_sorted<E: From<io::Error>>(
        self,
        mut each: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { directory: _, mut entries, in_memory_max: _, files } = self;
        if files.is_empty() {
            entries.sort_unstable();
            return each(&entries);
        }
        for file in files {
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            let bytes = file.stream_position()? as usize;
            file.seek(SeekFrom::Start(0))?;
            let mut raw = vec![0; bytes];
            file.read_exact(&mut raw)?;
            entries.clear();
            let (chunks, _) = raw.as_chunks::<8>();
            entries.extend(chunks.chunks_exact(3).map(|words| Entry {
                hash: u64::from_le_bytes(words[0]),
                position: u64::from_le_bytes(words[1]),
                place: u64::from_le_bytes(words[2]),
            }));
            drop((raw, file));
            entries.sort_unstable();
            each(&entries)?;
        }
        Ok(())
    }

    fn open_files(&mut self) -> io::Result<()> {
        for _ in 0..PARTITIONS {
            self.files.push(BufWriter::with_capacity(BUFFER_BYTES, unnamed_file(&self.directory)?));
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) -> io::Result<()> {
        let partition = (entry.hash >> (64 - PARTITIONS.trailing_zeros())) as usize;
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&entry.hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&entry.position.to_le_bytes());
        bytes[16..].copy_from_slice(&entry.place.to_le_bytes());
        self.files[partition].write_all(&bytes)
    }
}

/// A file without a name: it vanishes with its descriptor, also when the process is killed.
fn unnamed_file(directory: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_memory_drain_in_the_same_order() {
        let directory = tempfile::tempdir().unwrap();
        let (mut in_memory, mut on_disk) =
            (Spill::new(directory.path(), usize::MAX), Spill::new(directory.path(), 100));
        let mut hash = 1_u64;
        for position in 0..5_000 {
            hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
            let entry = Entry { hash, position, place: position * 2 };
            in_memory.push(entry).unwrap();
            on_disk.push(entry).unwrap();
        }
        let collect = |spill: Spill| {
            let mut all = Vec::new();
            let drained: io::Result<()> = spill.drain_sorted(|entries| {
                all.extend_from_slice(entries);
                Ok(())
            });
            drained.unwrap();
            all
        };
        let (in_memory, on_disk) = (collect(in_memory), collect(on_disk));
        assert_eq!(in_memory.len(), 5_000);
        assert_eq!(in_memory, on_disk);
    }
}
