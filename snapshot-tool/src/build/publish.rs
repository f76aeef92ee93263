//! A file gets its name when it is finished, and not before.

use crate::interrupt::Unfinished;
use anyhow::{Context, anyhow};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempPath;

/// Tells apart the temporary files of one process.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A file that vanishes unless it is published.
#[derive(Debug)]
pub struct Draft {
    path: TempPath,
    /// Declared behind the path: a signal between the two drops finds no file, which does no harm.
    _unfinished: Unfinished,
}

impl Draft {
    /// A name beside `output` that no file has.
    ///
    /// # Errors
    /// If the directory is not there.
    pub fn beside(output: &Path) -> anyhow::Result<Self> {
        let name = output.file_name().with_context(|| format!("{} names no file", output.display()))?;
        let directory = directory_of(output);
        if !directory.is_dir() {
            return Err(anyhow!("{} is no directory; create it first", directory.display()));
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
        let id = std::process::id();
        let path = directory.join(format!(".{}.{id}-{number}-{nanoseconds}.partial", name.display()));
        let _unfinished = Unfinished::new(path.clone());
        let path = TempPath::try_from_path(path).with_context(|| output.display().to_string())?;
        Ok(Self { path, _unfinished })
    }

    /// Where the file is meanwhile.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name; on return the name is on disk as well. The content was synced by who wrote it.
    ///
    /// # Errors
    /// If the file cannot be renamed; it is removed then.
    pub fn publish(self, output: &Path) -> anyhow::Result<()> {
        self.path.persist(output).map_err(|error| explain(output, error.error))?;
        let directory = directory_of(output);
        let synced = File::open(&directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| explain(&directory, error))
    }
}

/// The directory in which a file lies or will lie.
pub fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// An error of the disk with the path and, where there is one, the way out.
pub fn explain(path: &Path, error: io::Error) -> anyhow::Error {
    let way_out = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space, or name a larger disk with --output and --temp-dir"
        }
        ErrorKind::PermissionDenied => "; run as a user who may write there, or name another directory",
        ErrorKind::ReadOnlyFilesystem => "; name a directory that can be written",
        ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    anyhow!("{}: {error}{way_out}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_draft_vanishes_unless_it_is_published() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("links.snapshot");
        let draft = Draft::beside(&output).unwrap();
        fs::write(draft.path(), "one").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let draft = Draft::beside(&output).unwrap();
        fs::write(draft.path(), "two").unwrap();
        draft.publish(&output).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&output).unwrap(), "two");
    }

    #[test]
    fn errors_of_the_disk_name_the_path_and_the_way_out() {
        let check = |error: io::Error, expected: &str| {
            let text = explain(Path::new("/links"), error).to_string();
            assert!(text.starts_with("/links: ") && text.contains(expected), "{text}");
        };
        check(ErrorKind::StorageFull.into(), "free some space");
        check(ErrorKind::PermissionDenied.into(), "run as a user");
        let missing = Draft::beside(Path::new("/no/such/directory/links")).unwrap_err().to_string();
        assert_eq!(missing, "/no/such/directory is no directory; create it first");
    }
}
