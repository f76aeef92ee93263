//! The lease: announcements outlive a sidecar that says nothing, but not for ever. A process of its own lowers them when it ends.
//!
//! The sidecar writes a heartbeat; the watcher reads it and acts on silence alone, so it works whether the sidecar was killed, hangs, or was
//! stopped and forgotten.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::announcement::Rung;
use crate::audit::{Audit, Entry};
use crate::clock::{self, Moment};
use crate::config::Settings;
use crate::serve::stamped;
use crate::speaker::state_file;
use crate::speaker::task::{BirdVoice, Order, Speaker};

/// Where the heartbeat is: beside the control socket, in memory.
pub fn heartbeat_path(settings: &Settings) -> PathBuf {
    settings.control.with_extension("heartbeat")
}

/// The sidecar's side.
#[derive(Debug)]
pub struct Heartbeat(File);

impl Heartbeat {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map(Self)
    }

    /// Says that the sidecar lives. Always the same number of bytes: it never needs another block of a disk that is full.
    pub fn beat(&self) {
        let text = format!("{:<40} {:020}\n", clock::boot_id(), Moment::now().since_boot().as_millis());
        // A heartbeat that cannot be written is one that is not seen.
        let _ = self.0.write_all_at(text.as_bytes(), 0);
    }
}

/// When the sidecar last said that it lives; `None`: never in this boot.
pub fn last_beat(path: &Path) -> Option<Moment> {
    let text = fs::read_to_string(path).ok()?;
    let (boot_id, at) = text.trim().split_once(' ')?;
    let at = at.trim().parse().ok()?;
    (boot_id == clock::boot_id()).then(|| Moment::after_boot(Duration::from_millis(at)))
}

/// What the watcher does about what it sees. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sidecar lives, or has not been silent for long enough.
    Wait,
    /// The lease has ended.
    Lower,
}

/// Judges a heartbeat. `watching_since`: when the watcher began, from which a missing heartbeat counts.
pub fn judge(beat: Option<Moment>, watching_since: Moment, lease: Duration, now: Moment) -> Verdict {
    let since = beat.map_or(watching_since, |beat| beat.max(Moment::default()));
    if now.since(since) >= lease { Verdict::Lower } else { Verdict::Wait }
}

/// Watches until the process ends; lowers what is above the graceful rung once per silence.
///
/// # Errors
///
/// None: what cannot be done now is tried again.
pub async fn watch(settings: &Settings) {
    let (path, began) = (heartbeat_path(settings), Moment::now());
    let mut lowered_for: Option<Option<Moment>> = None;
    let pace = (settings.lease / 10).clamp(Duration::from_millis(100), Duration::from_secs(1));
    tracing::info!(lease_s = settings.lease.as_secs(), heartbeat = %path.display(), "watching");
    loop {
        let beat = last_beat(&path);
        if judge(beat, began, settings.lease, Moment::now()) == Verdict::Lower && lowered_for != Some(beat) {
            match lower(settings).await {
                Ok(lowered) => {
                    lowered_for = Some(beat);
                    tracing::warn!(
                        lowered = lowered.join(", "),
                        "the lease has ended: the sidecar says nothing"
                    );
                }
                Err(error) => {
                    tracing::error!(%error, "the lease has ended, and nothing could be lowered; trying again");
                }
            }
        }
        tokio::time::sleep(pace).await;
    }
}

/// Lowers everything that is above the graceful rung.
async fn lower(settings: &Settings) -> Result<Vec<String>, String> {
    let announcements = settings.announcements();
    let known = state_file::read(&settings.bird.state_file, &announcements)
        .map_err(|error| format!("cannot read {}: {error}", settings.bird.state_file.display()))?;
    // What the file does not know may be announced by hand: the graceful rung announces it, if at all, the least.
    let before: Vec<_> = known.iter().map(|rung| rung.unwrap_or(Rung::Graceful)).collect();
    let after: Vec<_> = before.iter().map(|rung| (*rung).min(Rung::Graceful)).collect();
    let (reports, mut told) = mpsc::channel(64);
    let mut speaker =
        Speaker::new(BirdVoice::new(&settings.bird), announcements.clone(), &settings.bird, reports);
    let began = Instant::now();
    speaker.obey(Order { number: 1, rungs: after.clone(), at: began }).await;
    drop(speaker);
    while let Some(report) = told.recv().await {
        if let crate::speaker::Report::Failed { error, .. } = report {
            return Err(error);
        }
    }
    let mut audit = Audit::new(&settings.state_dir.join("audit.log"));
    let mut lowered = Vec::new();
    for (announcement, (before, after)) in announcements.iter().zip(before.iter().zip(&after)) {
        if before != after {
            lowered.push(announcement.name());
            audit.add(Entry {
                kind: "rung".into(),
                announcement: announcement.name(),
                before: Some(*before),
                after: Some(*after),
                cause: format!("the lease of {} s has ended", settings.lease.as_secs()),
                evidence: "no heartbeat of the sidecar".into(),
                actor: "lease".into(),
                bird_us: u64::try_from(began.elapsed().as_micros()).ok(),
                ..stamped(&settings.node)
            });
        }
    }
    audit.write();
    Ok(lowered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn silence_counts_from_the_last_beat_or_from_the_first_look() {
        let lease = Duration::from_secs(60);
        for (beat, now, expected) in [
            (Some(at(100)), 159, Verdict::Wait),
            (Some(at(100)), 160, Verdict::Lower),
            (Some(at(100)), 90, Verdict::Wait),
            (None, 59, Verdict::Wait),
            (None, 60, Verdict::Lower),
        ] {
            assert_eq!(judge(beat, at(0), lease, at(now)), expected, "{beat:?} {now}");
        }
    }

    #[test]
    fn a_beat_is_seen_and_one_of_another_boot_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.heartbeat");
        assert_eq!(last_beat(&path), None);
        let before = Moment::now();
        let heartbeat = Heartbeat::open(&path).unwrap();
        heartbeat.beat();
        heartbeat.beat();
        let beat = last_beat(&path).unwrap();
        assert!(beat.since_boot().as_millis() >= before.since_boot().as_millis());
        fs::write(&path, "another-boot 00000000000000000001\n").unwrap();
        assert_eq!(last_beat(&path), None);
    }
}
