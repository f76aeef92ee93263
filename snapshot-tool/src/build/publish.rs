//! A file gets its name when it is finished, and not before.

use crate::interrupt::Unfinished;
use anyhow::{Context, anyhow, ensure};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
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
    /// If no file can get that name.
    pub fn beside(output: &Path) -> anyhow::Result<Self> {
        let name = check_output(output)?;
        let directory = directory_of(output);
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
        self.path.persist(output).map_err(|error| explain(output, &error.error))?;
        let directory = directory_of(output);
        let synced = File::open(&directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| explain(&directory, &error))
    }
}

/// Publishes a text under a name, whole or not at all.
///
/// # Errors
/// If it cannot be written; what had the name is as it was.
pub fn publish_text(output: &Path, text: &str) -> anyhow::Result<()> {
    let draft = Draft::beside(output)?;
    let written = File::create_new(draft.path()).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| explain(output, &error))?;
    draft.publish(output)
}

/// Checks that a file could get this name, and returns its last part.
///
/// # Errors
/// If there is no directory for it, or something else than a file has the name.
pub fn check_output(output: &Path) -> anyhow::Result<&OsStr> {
    let directory = directory_of(output);
    ensure!(!output.is_dir(), "{} is a directory; name a file in it", output.display());
    ensure!(directory.is_dir(), "{} is no directory; create it first", directory.display());
    // A rename would replace a device or a link itself, and not what stands behind it.
    let is_special = fs::symlink_metadata(output).is_ok_and(|metadata| !metadata.is_file());
    ensure!(!is_special, "{} is no regular file; name another one", output.display());
    output.file_name().with_context(|| format!("{} names no file", output.display()))
}

/// The directory in which a file lies or will lie.
pub fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// An error of the disk with the path and, where there is one, the way out.
pub fn explain(path: &Path, error: &io::Error) -> anyhow::Error {
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
            let text = explain(Path::new("/links"), &error).to_string();
            assert!(text.starts_with("/links: ") && text.contains(expected), "{text}");
        };
        check(ErrorKind::StorageFull.into(), "free some space");
        check(ErrorKind::PermissionDenied.into(), "run as a user");
        let missing = Draft::beside(Path::new("/no/such/directory/links")).unwrap_err().to_string();
        assert_eq!(missing, "/no/such/directory is no directory; create it first");
        let device = Draft::beside(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(device, "/dev/null is no regular file; name another one");
    }
}
