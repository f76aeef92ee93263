//! The pointer: which content is served now, per wave. The only document that is ever replaced, besides the deny list.

use crate::content::ContentHash;
use crate::document::Kind;
use crate::refusal::Refusal;
use crate::root::{check_channel, check_requires, json};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A group of nodes that gets a content before the next one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wave {
    /// Published and checked; only nodes for trials serve it.
    Stage,
    /// The few nodes that meet a content before all others.
    Canary,
    /// Every other node.
    All,
}

impl Wave {
    /// In the order in which a content passes through them.
    pub const EVERY: [Self; 3] = [Self::Stage, Self::Canary, Self::All];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Canary => "canary",
            Self::All => "all",
        }
    }

    /// The wave that gets a content after this one.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Stage => Some(Self::Canary),
            Self::Canary => Some(Self::All),
            Self::All => None,
        }
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Wave {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::EVERY.into_iter().find(|wave| wave.name() == text);
        found.ok_or_else(|| format!("{text:?} is no wave: stage, canary or all"))
    }
}

/// A content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its number. It goes down when somebody rolls back.
    pub version: u64,
    /// The hash of its manifest.
    pub manifest: ContentHash,
}

/// What a wave serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The content.
    pub target: Target,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
    /// Why nothing may move this wave, if somebody has pinned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
}

/// What each wave serves; `None` where nothing was ever published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waves {
    /// Wave `stage`.
    pub stage: Option<Served>,
    /// Wave `canary`.
    pub canary: Option<Served>,
    /// Wave `all`.
    pub all: Option<Served>,
}

impl Waves {
    /// What `wave` serves.
    pub const fn of(&self, wave: Wave) -> Option<&Served> {
        match wave {
            Wave::Stage => self.stage.as_ref(),
            Wave::Canary => self.canary.as_ref(),
            Wave::All => self.all.as_ref(),
        }
    }

    /// Makes `wave` serve this.
    pub fn set(&mut self, wave: Wave, served: Served) {
        let place = match wave {
            Wave::Stage => &mut self.stage,
            Wave::Canary => &mut self.canary,
            Wave::All => &mut self.all,
        };
        *place = Some(served);
    }

    /// Each wave that serves something.
    pub fn iter(&self) -> impl Iterator<Item = (Wave, &Served)> {
        Wave::EVERY.into_iter().filter_map(|wave| Some((wave, self.of(wave)?)))
    }
}

/// Which content is served now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Name of the channel.
    pub channel: String,
    /// Counts up with each pointer, also when it names an older content.
    pub sequence: u64,
    /// The root under which it was made.
    pub root: u64,
    /// When it was made, in seconds since 1970.
    pub issued_unix_s: u64,
    /// Seconds since 1970 from which on it is no longer believed.
    pub expires_unix_s: u64,
    /// What each wave serves.
    pub waves: Waves,
    /// Abilities that a reader must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl Pointer {
    /// Reads the body of a pointer of this channel.
    ///
    /// # Errors
    /// A body that is no pointer.
    pub fn parse(body: &[u8], channel: &str) -> Result<Self, Refusal> {
        let pointer: Self = json(Kind::Pointer, body)?;
        check_requires(Kind::Pointer, &pointer.requires)?;
        check_channel(Kind::Pointer, &pointer.channel, channel)?;
        Ok(pointer)
    }
}
