//! Telling the router what to announce, and hearing what it announces: BIRD, or a recorder that only remembers.
//!
//! Modules in reading order: the file that BIRD includes, its control socket, the generated configuration, the recorder, and the
//! task that keeps BIRD at what is wanted.

pub mod state_file;

pub mod bird;

pub mod bird_config;

pub mod recorded;

pub mod task;

use std::time::Duration;

use crate::announcement::{Announcement, Rung};
use crate::ladder::Others;

/// Which rungs of one announcement are enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// Normal.
    pub normal: bool,
    /// Prepended.
    pub prepended: bool,
    /// Graceful.
    pub graceful: bool,
}

impl Enabled {
    /// All rungs up to this one, so that lowering never leaves a gap: the rung below is already there.
    pub const fn up_to(rung: Rung) -> Self {
        Self {
            normal: matches!(rung, Rung::Normal),
            prepended: matches!(rung, Rung::Normal | Rung::Prepended),
            graceful: matches!(rung, Rung::Normal | Rung::Prepended | Rung::Graceful),
        }
    }

    /// Whether the static protocol of a rung is enabled; `Withdrawn` has none.
    pub const fn has(self, rung: Rung) -> bool {
        match rung {
            Rung::Withdrawn => false,
            Rung::Graceful => self.graceful,
            Rung::Prepended => self.prepended,
            Rung::Normal => self.normal,
        }
    }

    /// Sets one.
    pub const fn set(&mut self, rung: Rung, enabled: bool) {
        match rung {
            Rung::Withdrawn => {}
            Rung::Graceful => self.graceful = enabled,
            Rung::Prepended => self.prepended = enabled,
            Rung::Normal => self.normal = enabled,
        }
    }

    /// What is announced: the highest enabled rung.
    pub fn rung(self) -> Rung {
        Rung::ANNOUNCED.into_iter().find(|rung| self.has(*rung)).unwrap_or(Rung::Withdrawn)
    }
}

/// The steps from what is enabled to what is wanted, in an order in which nothing is announced that neither of them announces.
pub fn steps(announcement: &Announcement, from: Enabled, to: Enabled) -> Vec<bird::Command> {
    let protocol = |rung| announcement.protocol(rung);
    // The best rung appears first, so that those below it change nothing on the wire.
    let up = Rung::ANNOUNCED.into_iter().filter(|rung| to.has(*rung) && !from.has(*rung)).map(protocol);
    // The best rung goes last, for the same reason.
    let down =
        Rung::ANNOUNCED.into_iter().rev().filter(|rung| from.has(*rung) && !to.has(*rung)).map(protocol);
    up.map(bird::Command::Enable).chain(down.map(bird::Command::Disable)).collect()
}

/// The state of a BGP session, as far as BIRD knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Session {
    /// Name of its protocol.
    pub peer: String,
    /// Whether it is established.
    pub established: bool,
    /// What BIRD says of it.
    pub info: String,
    /// The announcements that are exported to it, on which rung; in the order of the announcements.
    pub exported: Vec<Option<Rung>>,
}

/// What the speaker has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// What was ordered is done and read back.
    Done {
        /// The number of the order.
        order: u64,
        /// From the order to BIRD's last reply.
        took: Duration,
    },
    /// What was ordered is not done yet; it is tried again.
    Failed {
        /// The number of the order.
        order: u64,
        /// Why.
        error: String,
    },
    /// What BIRD says is announced.
    Read {
        /// In the order of the announcements; `None`: its protocols are missing.
        rungs: Vec<Option<Rung>>,
        /// The sessions.
        sessions: Vec<Session>,
    },
    /// Whether other nodes announce, in the order of the announcements.
    Others(Vec<Others>),
    /// BIRD cannot be reached or does not answer.
    Lost(String),
    /// BIRD can be reached; what it said of itself.
    Reached {
        /// Its version.
        version: String,
        /// Whether it was started anew since the last time.
        restarted: bool,
    },
    /// Somebody else made BIRD read its configuration again.
    Reconfigured(String),
    /// Somebody else changed what is announced.
    Foreign {
        /// Which announcement.
        announcement: usize,
        /// What was found instead of what was commanded.
        found: Rung,
        /// Whether it was put right.
        repaired: bool,
    },
    /// The file of constants could not be written.
    StateFile(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Announcement {
        let vips = vec!["192.0.2.1".parse().unwrap()];
        Announcement { service: "web".into(), family: crate::announcement::Family::V4, vips }
    }

    /// What is announced after each step.
    fn walk(from: Rung, to: Rung) -> Vec<Rung> {
        let mut enabled = Enabled::up_to(from);
        let commands = steps(&web(), enabled, Enabled::up_to(to));
        let seen = commands.iter().map(|command| {
            let (name, on) = match command {
                bird::Command::Enable(name) => (name, true),
                bird::Command::Disable(name) => (name, false),
                other => panic!("{other:?}"),
            };
            let rung = Rung::ANNOUNCED.into_iter().find(|rung| web().protocol(*rung) == *name).unwrap();
            enabled.set(rung, on);
            enabled.rung()
        });
        let mut seen: Vec<_> = seen.collect();
        seen.dedup();
        seen
    }

    #[test]
    fn every_change_goes_to_its_rung_at_once_and_without_a_gap() {
        for from in Rung::ALL {
            for to in Rung::ALL {
                let seen = walk(from, to);
                let between = from.min(to)..=from.max(to);
                assert!(seen.iter().all(|rung| between.contains(rung)), "{from} to {to}: {seen:?}");
                assert!(
                    seen.iter().all(|rung| *rung != Rung::Withdrawn || to == Rung::Withdrawn),
                    "{from} to {to}"
                );
                assert_eq!(seen.last().copied().unwrap_or(from), to);
                assert!(seen.iter().filter(|rung| **rung != from).count() <= 1, "{from} to {to}: {seen:?}");
            }
        }
    }
}
