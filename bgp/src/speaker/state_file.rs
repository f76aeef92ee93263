//! The file of constants that BIRD's configuration includes: what BIRD announces when it starts or reads its configuration again.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Enabled;
use crate::announcement::{Announcement, Rung};

/// The text of the file.
pub fn text(announcements: &[Announcement], rungs: &[Rung]) -> String {
    let mut text = String::from(
        "# Written by carom-bgp at each change, never by hand. 1 disables the static protocol of that rung.\n",
    );
    for (announcement, rung) in announcements.iter().zip(rungs) {
        let enabled = Enabled::up_to(*rung);
        for rung in Rung::ANNOUNCED {
            let _ =
                writeln!(text, "define {} = {};", announcement.constant(rung), u8::from(!enabled.has(rung)));
        }
    }
    text
}

/// What an earlier process left: the rung of each announcement, `None` for those that the file does not know.
pub fn read(path: &Path, announcements: &[Announcement]) -> io::Result<Vec<Option<Rung>>> {
    let text = fs::read_to_string(path)?;
    let value = |constant: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.strip_prefix("define ")?.split_once(" = ")?;
            (name == constant).then(|| value.strip_suffix(';')).flatten()
        })
    };
    let rung_of = |announcement: &Announcement| {
        let mut enabled = Enabled::default();
        for rung in Rung::ANNOUNCED {
            match value(&announcement.constant(rung))? {
                "0" => enabled.set(rung, true),
                "1" => {}
                _ => return None,
            }
        }
        Some(enabled.rung())
    };
    Ok(announcements.iter().map(rung_of).collect())
}

/// The file that the running sidecar keeps.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file at `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Puts a new text in place, by rename: BIRD reads the old or the new one. `durable`: it is on the disk before this returns;
    /// otherwise [`StateFile::settle`] brings it there.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn put(&self, text: &str, durable: bool) -> io::Result<()> {
        let mut new = self.path.as_os_str().to_owned();
        new.push(".new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&new, &self.path)?;
        if durable { self.sync_directory() } else { Ok(()) }
    }

    /// Brings what was put to the disk.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn settle(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        self.sync_directory()
    }

    /// Whether the file holds this text.
    pub fn holds(&self, text: &str) -> bool {
        fs::read(&self.path).is_ok_and(|bytes| bytes == text.as_bytes())
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::Family;

    fn announcements() -> Vec<Announcement> {
        let of = |family, vip: &str| Announcement {
            service: "web".into(),
            family,
            vips: vec![vip.parse().unwrap()],
        };
        vec![of(Family::V4, "192.0.2.1"), of(Family::V6, "2001:db8::1")]
    }

    #[test]
    fn what_is_written_reads_back_for_every_rung() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(&directory.path().join("state.conf"));
        for first in Rung::ALL {
            for second in Rung::ALL {
                let text = text(&announcements(), &[first, second]);
                file.put(&text, first < second).unwrap();
                file.settle().unwrap();
                assert!(file.holds(&text));
                assert_eq!(read(&file.path, &announcements()).unwrap(), [Some(first), Some(second)]);
            }
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_the_file_does_not_know_is_unknown_and_a_missing_file_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.conf");
        assert!(read(&path, &announcements()).is_err());
        for torn in ["", "define CAROM_WEB_V4_NORMAL = 0;\n", "define CAROM_WEB_V4_NORMAL = 2;\n", "\0\0\0"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(read(&path, &announcements()).unwrap(), [None, None], "{torn:?}");
        }
    }
}
