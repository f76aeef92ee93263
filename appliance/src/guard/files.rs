//! The files of networks: read whole, bad lines named, numbered so that events can say which file it was.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ebpf_loader::{Cidr, List, ListKind, Lists};

use crate::config::settings;
use crate::limits::{BAD_LINES_LOGGED_MAX, LIST_FILE_BYTES_MAX};

/// What all files say.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// Allowed and denied networks.
    pub lists: Lists,
    /// Networks in allow files.
    pub allowed: usize,
    /// Networks in deny files.
    pub denied: usize,
    /// Networks that are never scanners: those of the configuration, of the files, and of the management.
    pub exempt: Vec<Cidr>,
    /// Lines that are no networks. The others count.
    pub bad_lines: Vec<BadLine>,
}

/// A line that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path.display(), self.line, self.problem)
    }
}

/// Why no file counts.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("{key} names {}, which cannot be read: {error}", path.display())]
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is too long.
    #[error("{key} names {}, which has more than {LIST_FILE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// There are too many networks.
    #[error(
        "{count} {what} in guard.allow_files and guard.deny_files are more than the 100000 that fit; merge neighbours"
    )]
    TooMany {
        /// Of which family.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

impl Networks {
    /// Reads all files. Files are numbered from 1, allow files first, in the order of the configuration.
    ///
    /// # Errors
    ///
    /// One cannot be read, or there are too many networks: then nothing of them should be used.
    pub fn read(guard: &settings::Guard, scanners: &settings::Scanners) -> Result<Self, FilesError> {
        let mut networks = Self::default();
        let mut files = Vec::new();
        for (key, kind, paths) in [
            ("guard.allow_files", ListKind::Allow, &guard.allow_files),
            ("guard.deny_files", ListKind::Deny, &guard.deny_files),
        ] {
            for path in paths {
                let number = u16::try_from(files.len() + 1).unwrap_or(u16::MAX);
                let list = networks.parse(key, kind, number, path)?;
                let count = match kind {
                    ListKind::Allow => &mut networks.allowed,
                    ListKind::Deny => &mut networks.denied,
                };
                *count += list.networks.len();
                files.push(list);
            }
        }
        networks.lists = Lists::merge(&files);
        if let Some((what, count)) = networks.lists.overflow() {
            return Err(FilesError::TooMany { what, count });
        }
        // The kernel drops nothing from these anyway; a ban would only take a place.
        networks.exempt = [&scanners.exempt, &guard.management].into_iter().flatten().copied().collect();
        for path in &scanners.exempt_files {
            let list = networks.parse("scanners.exempt_files", ListKind::Allow, 0, path)?;
            networks.exempt.extend(list.networks);
        }
        Ok(networks)
    }

    /// Logs bad lines, the first ones by name.
    pub fn complain(&self) {
        for bad in self.bad_lines.iter().take(BAD_LINES_LOGGED_MAX) {
            tracing::warn!(problem = %bad, "a line of a list is no network and is left out");
        }
        if self.bad_lines.len() > BAD_LINES_LOGGED_MAX {
            let more = self.bad_lines.len() - BAD_LINES_LOGGED_MAX;
            tracing::warn!(more, "and more lines; `carom check` names them");
        }
    }

    fn parse(
        &mut self,
        key: &'static str,
        kind: ListKind,
        number: u16,
        path: &Path,
    ) -> Result<List, FilesError> {
        let text = text(key, path)?;
        let (list, bad) = List::parse(kind, number, &text);
        let named = bad.into_iter().map(|bad| BadLine {
            path: path.to_owned(),
            line: bad.line,
            problem: bad.error.to_string(),
        });
        self.bad_lines.extend(named);
        Ok(list)
    }
}

fn text(key: &'static str, path: &Path) -> Result<String, FilesError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIST_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| FilesError::Unreadable { key, path: path.to_owned(), error })?;
    if bytes.len() as u64 > LIST_FILE_BYTES_MAX {
        return Err(FilesError::TooLong { key, path: path.to_owned() });
    }
    // A byte that is no UTF-8 makes its own line bad, and no other.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(directory: &Path, text: &str) -> Result<Networks, FilesError> {
        let text = text.replace("DIR", &directory.display().to_string());
        let settings =
            crate::config::parse(Path::new("carom.toml"), &format!("version = 1\n{text}"), "edge-1").unwrap();
        Networks::read(&settings.guard, &settings.scanners)
    }

    #[test]
    fn bad_lines_are_named_by_file_and_number_and_the_others_count() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("allow"), "198.51.100.0/24 # office\n").unwrap();
        fs::write(directory.path().join("deny"), b"203.0.113.0/24\n\n300.0.0.0\n\xff\n2001:db8::/32\n")
            .unwrap();
        let networks =
            read(directory.path(), "[guard]\nallow_files = [\"DIR/allow\"]\ndeny_files = [\"DIR/deny\"]\n")
                .unwrap();
        assert_eq!((networks.allowed, networks.denied, networks.lists.len()), (1, 2, 3));
        let named: Vec<_> = networks.bad_lines.iter().map(ToString::to_string).collect();
        let deny = directory.path().join("deny");
        assert_eq!(named[0], format!("{}:3: `300.0.0.0` is no address", deny.display()));
        assert_eq!((named.len(), networks.bad_lines[1].line), (2, 4));
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let error = read(directory.path(), "[guard]\ndeny_files = [\"DIR/none\"]\n").unwrap_err().to_string();
        assert!(
            error.starts_with("guard.deny_files names ") && error.contains("/none, which cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn the_management_and_exempt_networks_are_never_scanners() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("crawlers"), "192.0.2.0/24\n").unwrap();
        let text = "[guard]\nmanagement = [\"10.0.0.0/8\"]\n[scanners]\nexempt = [\"2001:db8::/32\"]\n\
                    exempt_files = [\"DIR/crawlers\"]\n";
        let exempt: Vec<_> =
            read(directory.path(), text).unwrap().exempt.iter().map(ToString::to_string).collect();
        assert_eq!(exempt, ["2001:db8::/32", "10.0.0.0/8", "192.0.2.0/24"]);
    }
}
