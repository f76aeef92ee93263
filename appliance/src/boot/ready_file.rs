//! The file by which others learn that a node serves, and under which addresses.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The file; it is removed when this is dropped, unless it is another process's by then.
pub(super) struct ReadyFile(PathBuf);

#[derive(Serialize)]
struct Content<'a> {
    pid: u32,
    http: &'a [SocketAddr],
    https: &'a [SocketAddr],
    admin: &'a str,
    generation: u64,
}

/// What tells whose file it is.
#[derive(Deserialize)]
struct Owner {
    pid: u32,
}

impl ReadyFile {
    /// Removes the file of a node that did not end in order, so that nobody takes this start for ready.
    pub(super) fn remove_stale(path: &Path) {
        // What keeps it from being removed keeps it from being written, too, and is told then.
        let _ = fs::remove_file(path);
    }

    /// Writes the file under a temporary name and renames it, so that whoever sees it sees all of it.
    pub(super) fn write(
        path: &Path,
        http: &[SocketAddr],
        https: &[SocketAddr],
        admin: &str,
        generation: u64,
    ) -> anyhow::Result<Self> {
        let content = Content { pid: std::process::id(), http, https, admin, generation };
        let mut text = serde_json::to_string(&content).expect("numbers and strings are JSON");
        text.push('\n');
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, path))
            .with_context(|| format!("cannot write the ready file {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Somebody may have cleaned up before us, or a successor has written its own.
        let pid = fs::read(&self.0).ok().and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
        if pid.is_some_and(|owner| owner.pid == std::process::id()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_appears_whole_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        let http = ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()];
        let file = ReadyFile::write(&path, &http, &http[..1], "unix:/run/carom.sock", 7).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "pid": std::process::id(),
                "http": ["127.0.0.1:8080", "[::1]:8080"],
                "https": ["127.0.0.1:8080"],
                "admin": "unix:/run/carom.sock",
                "generation": 7,
            })
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_node_that_was_killed_goes_and_a_missing_one_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        std::mem::forget(ReadyFile::write(&path, &[], &[], "", 1).unwrap());
        ReadyFile::remove_stale(&path);
        assert!(!path.exists());
        ReadyFile::remove_stale(&path);
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        let file = ReadyFile::write(&path, &[], &[], "", 1).unwrap();
        fs::write(&path, r#"{"pid": 1, "http": []}"#).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = ReadyFile::write(Path::new("/nonexistent/ready"), &[], &[], "", 0).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/ready"), "{error}");
    }
}
