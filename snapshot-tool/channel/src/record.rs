//! The record of one act: who did what, when, and what changed. Each names the hash of the one before.

use crate::content::ContentHash;
use crate::document::{Document, Kind};
use crate::key::PublicKey;
use crate::pointer::{Target, Wave};
use crate::refusal::Refusal;
use crate::root::{check_channel, json};
use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Roots: the channel was made, or keys were exchanged.
    Trust {
        /// The new version.
        version: u64,
    },
    /// A content came to a wave, forwards or backwards.
    Move {
        /// `publish`, `promote` or `rollback`.
        verb: String,
        /// Where.
        wave: Wave,
        /// What it serves now.
        to: Target,
        /// What it served before.
        from: Option<Target>,
    },
    /// A wave was pinned, or let go.
    Pin {
        /// Which.
        wave: Wave,
        /// Why; `None`: it was let go.
        reason: Option<String>,
    },
    /// A pointer with a new expiry and nothing else.
    Renew,
    /// The deny list changed.
    Deny {
        /// Rules that were added or changed.
        added: u64,
        /// Rules that were removed.
        removed: u64,
    },
    /// Old contents were removed.
    Collect {
        /// Objects that went.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// What changed against the content before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Links that were added.
    pub added: u64,
    /// Links that were removed.
    pub removed: u64,
    /// Links that say something else.
    pub changed: u64,
    /// Links that are the same.
    pub same: u64,
    /// Domains that were added, removed or changed.
    pub domains: u64,
    /// A few of them, as `snapshot-tool diff` writes them.
    pub examples: Vec<String>,
}

/// A gate that would have stopped the act, and why somebody went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The name of the gate.
    pub gate: String,
    /// What it found.
    pub finding: String,
    /// Why that is right.
    pub reason: String,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the channel.
    pub channel: String,
    /// Counted from 1, without gaps. It is the sequence of the pointer or deny list that the act makes, and the version of a
    /// content that it publishes: one clock for everything.
    pub number: u64,
    /// The hash of the record before, signatures included.
    pub previous: Option<ContentHash>,
    /// When, in seconds since 1970, by the clock of whoever acted.
    pub at_unix_s: u64,
    /// Who, as the machine knows them; what is proven is the key that signed.
    pub who: String,
    /// The program that acted.
    pub tool: String,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
    /// What changed, where contents were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Gates that were gone through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// What whoever acted wanted to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a chain of records stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Number of the last record; 0 before the first.
    pub number: u64,
    /// Its hash.
    pub hash: Option<ContentHash>,
}

impl Chain {
    /// Stands behind this record, without looking at it.
    pub fn after(number: u64, bytes: &[u8]) -> Self {
        Self { number, hash: Some(ContentHash::of(bytes)) }
    }

    /// Reads the next record, signed by one of `keys`, and steps on to it.
    ///
    /// # Errors
    /// A record that was changed, exchanged or left out.
    pub fn follow(&mut self, bytes: &[u8], channel: &str, keys: &[PublicKey]) -> Result<Record, Refusal> {
        let document = Document::parse(Kind::Record, bytes)?;
        let record: Record = json(Kind::Record, document.body_signed_by(keys, 1)?)?;
        check_channel(Kind::Record, &record.channel, channel)?;
        let broken = |what: String| Refusal::Malformed { kind: Kind::Record, what };
        let number = self.number.checked_add(1);
        if number != Some(record.number) {
            return Err(broken(format!("number {} follows number {}", record.number, self.number)));
        }
        if record.previous != self.hash {
            let number = record.number;
            return Err(broken(format!(
                "number {number} does not continue the record before it: one of both was exchanged"
            )));
        }
        *self = Self { number: record.number, hash: Some(ContentHash::of(bytes)) };
        Ok(record)
    }
}
