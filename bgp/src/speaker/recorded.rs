//! A stand-in for BIRD that answers as BIRD does and remembers what it was told: for dry runs, and for tests that make it fail.

use std::collections::BTreeMap;

use super::bird::{BirdError, Command, Line, Reply};
use super::task::Voice;
use crate::announcement::{Announcement, Rung};
use crate::speaker::Enabled;

/// What it was told and what it would announce.
#[derive(Debug, Default)]
pub struct Recorded {
    protocols: BTreeMap<String, bool>,
    /// Everything that changed something, in order.
    pub told: Vec<Command>,
    /// Fail so many times from now on, as if nobody listened.
    pub failures: usize,
    /// Addresses that other nodes announce.
    pub others: bool,
}

impl Recorded {
    /// One that announces these rungs.
    pub fn announcing(announcements: &[Announcement], rungs: &[Rung]) -> Self {
        let mut recorded = Self::default();
        for (announcement, rung) in announcements.iter().zip(rungs) {
            let enabled = Enabled::up_to(*rung);
            for rung in Rung::ANNOUNCED {
                recorded.protocols.insert(announcement.protocol(rung), enabled.has(rung));
            }
        }
        recorded
    }

    /// Somebody else changes a protocol.
    pub fn meddle(&mut self, protocol: &str, enabled: bool) {
        if let Some(state) = self.protocols.get_mut(protocol) {
            *state = enabled;
        }
    }

    fn reply(&mut self, command: &Command) -> Reply {
        let line = |code, text: String| Line { code, text };
        let end = || line(0, String::new());
        let lines = match command {
            Command::Enable(name) | Command::Disable(name) => {
                let wanted = matches!(command, Command::Enable(_));
                match self.protocols.get_mut(name) {
                    None => vec![line(9001, "syntax error, unexpected CF_SYM_UNDEFINED".into())],
                    Some(state) if *state == wanted => {
                        vec![line(if wanted { 10 } else { 8 }, format!("{name}: already done")), end()]
                    }
                    Some(state) => {
                        *state = wanted;
                        self.told.push(command.clone());
                        vec![line(if wanted { 11 } else { 9 }, format!("{name}: done")), end()]
                    }
                }
            }
            Command::ShowVips => {
                let row = |(name, up): (&String, &bool)| {
                    line(
                        1002,
                        format!("{name} Static master4 {} 00:00:00.000", if *up { "up" } else { "down" }),
                    )
                };
                self.protocols.iter().map(row).chain([end()]).collect()
            }
            Command::ShowProtocol(_) => vec![line(8003, "No protocols match".into())],
            Command::ShowStatus => {
                vec![line(1000, "recorded".into()), line(13, "Daemon is up and running".into())]
            }
            Command::ConfigureStatus => vec![line(3, "Daemon is up and running".into())],
            Command::ShowOthers(_) if self.others => vec![line(1007, "unicast [recorded]".into()), end()],
            Command::ShowOthers(_) | Command::ShowExport(..) => vec![line(8001, "Network not found".into())],
            Command::EchoAll => vec![end()],
        };
        Reply(lines)
    }
}

impl Voice for Recorded {
    async fn say(&mut self, commands: &[Command]) -> Result<Vec<Reply>, BirdError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(BirdError::Closed);
        }
        Ok(commands.iter().map(|command| self.reply(command)).collect())
    }
}
