//! The manifest: what one content consists of, and where it comes from.

use crate::content::ContentHash;
use crate::document::Kind;
use crate::limits::{FILE_BYTES_MAX, FILES_MAX};
use crate::refusal::Refusal;
use crate::root::{check_channel, check_requires, json};
use serde::{Deserialize, Serialize};

/// What a file of a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A whole snapshot (FORMAT.md).
    Snapshot,
    /// Something that a later version knows; `requires` says whether it may be skipped.
    #[serde(other)]
    Unknown,
}

/// One immutable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What it is.
    pub role: Role,
    /// Its exact length.
    pub bytes: u64,
    /// The hash of its bytes, which is its name as well.
    pub blake3: ContentHash,
}

/// What one content consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the channel.
    pub channel: String,
    /// Number of the content; every publication takes the next one.
    pub version: u64,
    /// When it was published, in seconds since 1970.
    pub created_unix_s: u64,
    /// The content that this one was compared with.
    pub parent: Option<ContentHash>,
    /// Generation in the header of the snapshot.
    pub generation: u64,
    /// How old the truth in it is, in seconds since 1970.
    pub built_at_unix_s: u64,
    /// Links in it.
    pub links: u64,
    /// Domains in it.
    pub domains: u32,
    /// Content checksum in the header of the snapshot: equal means equal links.
    pub content_checksum: String,
    /// The program that published it.
    pub tool: String,
    /// Its files.
    pub files: Vec<File>,
    /// Abilities that a reader must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl Manifest {
    /// Reads the body of a manifest of this channel.
    ///
    /// # Errors
    /// A body that no content has.
    pub fn parse(body: &[u8], channel: &str) -> Result<Self, Refusal> {
        let manifest: Self = json(Kind::Manifest, body)?;
        check_requires(Kind::Manifest, &manifest.requires)?;
        check_channel(Kind::Manifest, &manifest.channel, channel)?;
        let malformed = |what: &str| Err(Refusal::Malformed { kind: Kind::Manifest, what: what.into() });
        if manifest.files.len() > FILES_MAX {
            return malformed("it has too many files");
        }
        if manifest.files.iter().any(|file| file.bytes > FILE_BYTES_MAX) {
            return malformed("a file is larger than any can be");
        }
        let snapshots = manifest.files.iter().filter(|file| file.role == Role::Snapshot);
        if snapshots.count() != 1 {
            return malformed("it does not have exactly one snapshot");
        }
        Ok(manifest)
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &File {
        let mut files = self.files.iter();
        files
            .find(|file| file.role == Role::Snapshot)
            .expect("parsing and writing make sure that there is one")
    }
}
