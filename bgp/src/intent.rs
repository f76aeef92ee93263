//! What operators asked for: a ceiling over what health allows, with an end and an owner; kept over restarts. Pure but for its file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::announcement::Rung;
use crate::clock::{self, Moment};

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Wish {
    /// Not above this rung.
    Weight {
        /// The ceiling.
        rung: Rung,
    },
    /// Graceful, then withdrawn when the node is quiet.
    Drain,
    /// Withdrawn.
    Withdraw,
    /// Withdrawn for a while, to see that it works.
    Drill,
}

impl Wish {
    /// Its name in the audit log and in status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weight { .. } => "weight",
            Self::Drain => "drain",
            Self::Withdraw => "withdraw",
            Self::Drill => "drill",
        }
    }
}

/// An operator's wish for one announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is wanted.
    pub wish: Wish,
    /// Since when.
    pub began: Moment,
    /// When it ends by itself.
    pub until: Option<Moment>,
    /// Do not wait for proof that another node announces.
    pub force: bool,
    /// Who asked.
    pub actor: String,
    /// Why, in the words of whoever asked.
    pub reason: String,
    /// Since when nothing is announced because of it.
    pub down_since: Option<Moment>,
    /// Why it has not reached its end yet; empty when it has.
    pub waiting_for: String,
}

/// Health has no say until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// What stays announced.
    pub rung: Rung,
    /// When it ends by itself.
    pub until: Moment,
    /// Who asked.
    pub actor: String,
}

/// What is kept of one announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Name of the announcement.
    pub announcement: String,
    /// What is wanted.
    pub intent: Option<Intent>,
    /// Whether it is frozen.
    pub freeze: Option<Freeze>,
}

/// The file of intents. Moments in it belong to one boot, so it says which, and what the clocks showed.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    boot_id: String,
    written_at: Moment,
    written_at_unix_ms: u64,
    kept: Vec<Kept>,
}

/// Writes the intents, so that they survive the sidecar and the machine.
///
/// # Errors
///
/// What the file system says.
pub fn write(path: &Path, kept: Vec<Kept>) -> io::Result<()> {
    let content = Content {
        boot_id: clock::boot_id(),
        written_at: Moment::now(),
        written_at_unix_ms: clock::wall_ms(),
        kept,
    };
    let mut text = serde_json::to_string_pretty(&content).expect("names, numbers and strings are JSON");
    text.push('\n');
    replace(path, text.as_bytes())
}

/// Reads the intents of an earlier process. None where there was none.
///
/// # Errors
///
/// The file is there and cannot be understood.
pub fn read(path: &Path) -> io::Result<Vec<Kept>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let content: Content =
        serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let (now, wall_ms) = (Moment::now(), clock::wall_ms());
    Ok(carried_over(content, &clock::boot_id(), now, wall_ms))
}

/// Moments of an earlier boot become moments of this one: what was left of each span by the wall clock, and never more than was
/// left when the file was written.
fn carried_over(content: Content, boot_id: &str, now: Moment, wall_ms: u64) -> Vec<Kept> {
    let Content { boot_id: written_boot, written_at, written_at_unix_ms, mut kept } = content;
    if written_boot == boot_id && !boot_id.is_empty() {
        return kept;
    }
    let away = Duration::from_millis(wall_ms.saturating_sub(written_at_unix_ms));
    let carry = |until: Moment| now + until.since(written_at).saturating_sub(away);
    for Kept { announcement: _, intent, freeze } in &mut kept {
        if let Some(intent) = intent {
            intent.began = now;
            intent.until = intent.until.map(carry);
            intent.down_since = intent.down_since.map(|_| now);
        }
        if let Some(freeze) = freeze {
            freeze.until = carry(freeze.until);
        }
    }
    kept
}

/// Puts a file in place of another: whoever reads it sees one or the other, also after a power failure.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn drill(until: u64) -> Kept {
        Kept {
            announcement: "web/v4".into(),
            intent: Some(Intent {
                wish: Wish::Drill,
                began: at(100),
                until: Some(at(until)),
                force: false,
                actor: "uid 0".into(),
                reason: "quarterly".into(),
                down_since: Some(at(101)),
                waiting_for: String::new(),
            }),
            freeze: None,
        }
    }

    #[test]
    fn intents_read_back_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("intents.json");
        assert!(read(&path).unwrap().is_empty());
        write(&path, vec![drill(700)]).unwrap();
        assert_eq!(read(&path).unwrap(), [drill(700)]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_file_is_an_error_and_not_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("intents.json");
        fs::write(&path, "{\"boot").unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn after_a_reboot_a_drill_ends_when_it_would_have_ended_whatever_the_wall_clock_says() {
        let content =
            |kept| Content { boot_id: "a".into(), written_at: at(200), written_at_unix_ms: 1_000_000, kept };
        for (wall_ms, left_s) in [(1_000_000 + 60_000, 440), (1_000_000 + 3_600_000, 0), (0, 500)] {
            let kept = carried_over(content(vec![drill(700)]), "b", at(10), wall_ms);
            assert_eq!(kept[0].intent.as_ref().unwrap().until, Some(at(10 + left_s)), "{wall_ms}");
        }
        assert_eq!(carried_over(content(vec![drill(700)]), "a", at(210), 0), [drill(700)]);
    }
}
