//! What operators may ask for, what it changes, and what is refused with which words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Core, Event};
use crate::announcement::{Family, Rung};
use crate::clock::Moment;
use crate::intent::{Freeze, Intent, Wish};
use crate::limits::FOR_S_MAX;

/// Which announcements a command is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Names of services; empty: all.
    #[serde(default)]
    pub services: Vec<String>,
    /// One family; `None`: both.
    #[serde(default)]
    pub family: Option<Family>,
}

/// A command that changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Graceful rung, wait for quiet, withdraw.
    Drain {
        /// Of what.
        scope: Scope,
        /// Do not wait for proof of another node.
        #[serde(default)]
        force: bool,
        /// Ends by itself after so many seconds.
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Ends drains, withdrawals, drills and weights, by the slow start.
    Undrain {
        /// Of what.
        scope: Scope,
    },
    /// Withdraws now.
    Withdraw {
        /// Of what.
        scope: Scope,
        /// Do not wait for proof of another node.
        #[serde(default)]
        force: bool,
        /// Ends by itself after so many seconds.
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Withdraws for a while and returns by itself.
    Drill {
        /// Of what.
        scope: Scope,
        /// How long, in seconds.
        for_s: u64,
        /// Do not wait for proof of another node, and do not break off without one.
        #[serde(default)]
        force: bool,
    },
    /// Announces on a rung at once: no suppression, no slow start. Health may still lower it.
    Announce {
        /// Of what.
        scope: Scope,
        /// On which rung at most.
        rung: Rung,
        /// Ends by itself after so many seconds.
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Keeps what is announced, whatever health says.
    Freeze {
        /// Of what.
        scope: Scope,
        /// How long, in seconds.
        for_s: u64,
    },
    /// Ends a freeze.
    Unfreeze {
        /// Of what.
        scope: Scope,
    },
}

impl Change {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drain { .. } => "drain",
            Self::Undrain { .. } => "undrain",
            Self::Withdraw { .. } => "withdraw",
            Self::Drill { .. } => "drill",
            Self::Announce { .. } => "announce",
            Self::Freeze { .. } => "freeze",
            Self::Unfreeze { .. } => "unfreeze",
        }
    }

    fn scope(&self) -> &Scope {
        match self {
            Self::Drain { scope, .. }
            | Self::Undrain { scope }
            | Self::Withdraw { scope, .. }
            | Self::Drill { scope, .. }
            | Self::Announce { scope, .. }
            | Self::Freeze { scope, .. }
            | Self::Unfreeze { scope } => scope,
        }
    }

    fn span(&self) -> Option<u64> {
        match self {
            Self::Drain { for_s, .. } | Self::Withdraw { for_s, .. } | Self::Announce { for_s, .. } => *for_s,
            Self::Drill { for_s, .. } | Self::Freeze { for_s, .. } => Some(*for_s),
            Self::Undrain { .. } | Self::Unfreeze { .. } => None,
        }
    }
}

impl Core {
    /// Does what an operator asks for: the names of the announcements that it is about. `reason` is the operator's, `actor` who it is.
    ///
    /// # Errors
    ///
    /// Why it is refused, with what to do instead; nothing is changed then.
    pub fn command(
        &mut self,
        change: &Change,
        actor: &str,
        reason: &str,
        now: Moment,
    ) -> Result<Vec<String>, String> {
        let indices = self.in_scope(change.scope())?;
        if let Some(for_s) = change.span().filter(|for_s| !(1..=FOR_S_MAX).contains(for_s)) {
            return Err(format!(
                "a span of {for_s} s: expected 1 s to {FOR_S_MAX} s; write --for 10m, for instance"
            ));
        }
        let unfreezes = matches!(change, Change::Unfreeze { .. } | Change::Freeze { .. });
        if let Some(frozen) = indices.iter().find(|index| self.tracks[**index].freeze.is_some() && !unfreezes)
        {
            let name = self.tracks[*frozen].announcement.name();
            return Err(format!("{name} is frozen; `carom-bgp unfreeze` first"));
        }
        let names = indices.iter().map(|index| self.tracks[*index].announcement.name()).collect();
        for index in indices {
            self.change(index, change, actor, reason, now);
        }
        self.intents_changed = true;
        Ok(names)
    }

    fn change(&mut self, index: usize, change: &Change, actor: &str, reason: &str, now: Moment) {
        let settings = self.settings.clone();
        let track = &mut self.tracks[index];
        let until = change.span().map(|for_s| now + Duration::from_secs(for_s));
        let intent = |wish, force| Intent {
            wish,
            began: now,
            until,
            force,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
            down_since: None,
            waiting_for: String::new(),
        };
        match *change {
            Change::Drain { force, .. } => track.intent = Some(intent(Wish::Drain, force)),
            Change::Withdraw { force, .. } => track.intent = Some(intent(Wish::Withdraw, force)),
            Change::Drill { force, .. } => track.intent = Some(intent(Wish::Drill, force)),
            Change::Undrain { .. } => track.end_intent(&settings, now),
            Change::Announce { rung, .. } => {
                track.intent = (rung < Rung::Normal).then(|| intent(Wish::Weight { rung }, true));
                track.ladder.forgive(now);
            }
            Change::Freeze { .. } => {
                let until = until.unwrap_or(now);
                track.freeze = Some(Freeze { rung: track.wanted(), until, actor: actor.to_owned() });
            }
            Change::Unfreeze { .. } => track.freeze = None,
        }
        let span = change.span().map(|for_s| format!(" for {for_s} s")).unwrap_or_default();
        let event = Event {
            actor: actor.to_owned(),
            evidence: reason.to_owned(),
            ..track.event("command", None, format!("{}{span}", change.name()))
        };
        self.events.push(event);
    }

    fn in_scope(&self, Scope { services, family }: &Scope) -> Result<Vec<usize>, String> {
        let known = || self.settings.services.iter().map(|service| service.name.as_str());
        if let Some(unknown) = services.iter().find(|name| known().all(|known| known != name.as_str())) {
            return Err(format!(
                "no service {unknown:?}; this node has {}",
                known().collect::<Vec<_>>().join(", ")
            ));
        }
        let wanted = |index: &usize| {
            let own = &self.tracks[*index].announcement;
            (services.is_empty() || services.contains(&own.service))
                && family.is_none_or(|family| family == own.family)
        };
        let indices: Vec<_> = (0..self.tracks.len()).filter(wanted).collect();
        if indices.is_empty() {
            Err("no announcement of that family; `carom-bgp status` shows them".into())
        } else {
            Ok(indices)
        }
    }
}
