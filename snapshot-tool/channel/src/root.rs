//! The root of a channel: who may sign what.

use crate::document::Kind;
use crate::key::PublicKey;
use crate::limits::{CHANNEL_NAME_BYTES_MAX, KEYS_PER_ROLE_MAX};
use crate::refusal::Refusal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Keys, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Who may sign.
    pub keys: Vec<PublicKey>,
    /// How many of them must.
    pub threshold: usize,
}

impl Role {
    /// A role that one key fills.
    pub fn of(key: PublicKey) -> Self {
        Self { keys: vec![key], threshold: 1 }
    }

    fn is_possible(&self) -> bool {
        let mut keys = self.keys.clone();
        keys.sort();
        keys.dedup();
        (1..=KEYS_PER_ROLE_MAX).contains(&keys.len())
            && keys.len() == self.keys.len()
            && (1..=keys.len()).contains(&self.threshold)
    }
}

/// Who may sign what, and until when that is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Name of the channel: no document of another channel is believed.
    pub channel: String,
    /// Counts up by one with each rotation.
    pub version: u64,
    /// Seconds since 1970 from which on it is no longer believed.
    pub expires_unix_s: u64,
    /// Signs the next root.
    pub root: Role,
    /// Signs manifests: these contents were built by us.
    pub content: Role,
    /// Signs pointers: this content is served now.
    pub pointer: Role,
    /// Signs deny lists.
    pub deny: Role,
    /// Abilities that a reader must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

impl Root {
    /// Reads the body of a root and checks what can be checked without another one.
    ///
    /// # Errors
    /// Anything that could not be trusted by anybody.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let root: Self = json(Kind::Root, body)?;
        check_requires(Kind::Root, &root.requires)?;
        let malformed = |what: &str| Err(Refusal::Malformed { kind: Kind::Root, what: what.into() });
        if !is_channel_name(&root.channel) {
            return malformed("its channel has no proper name");
        }
        if root.version == 0 {
            return malformed("versions begin with 1");
        }
        let roles = [&root.root, &root.content, &root.pointer, &root.deny];
        if !roles.into_iter().all(Role::is_possible) {
            return malformed("a role has no key, too many, one twice, or a threshold that cannot be met");
        }
        Ok(root)
    }

    /// The role that signs documents of this kind; records are signed by whoever acted.
    pub fn role(&self, kind: Kind) -> Option<&Role> {
        match kind {
            Kind::Root => Some(&self.root),
            Kind::Manifest => Some(&self.content),
            Kind::Pointer => Some(&self.pointer),
            Kind::Deny => Some(&self.deny),
            Kind::Record => None,
        }
    }

    /// Every key of every role, once.
    pub fn all_keys(&self) -> Vec<PublicKey> {
        let roles = [&self.root, &self.content, &self.pointer, &self.deny];
        let mut keys: Vec<PublicKey> = roles.into_iter().flat_map(|role| role.keys.iter().copied()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// Whether a text can name a channel: `a-z 0-9 - _ .`, 1 to 64 bytes, not beginning with a dot.
pub fn is_channel_name(name: &str) -> bool {
    let usable = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    (1..=CHANNEL_NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(usable)
}

/// Reads a body in JSON. Unknown fields are skipped, so that a later version can say more to those who understand.
pub(crate) fn json<T: DeserializeOwned>(kind: Kind, body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed { kind, what: error.to_string() })
}

/// Refuses what needs an ability that this reader lacks; today there are none.
pub(crate) fn check_requires(kind: Kind, requires: &[String]) -> Result<(), Refusal> {
    match requires.first() {
        None => Ok(()),
        Some(what) => Err(Refusal::TooNew { kind, what: what.clone() }),
    }
}

/// Refuses what belongs to another channel.
pub(crate) fn check_channel(kind: Kind, found: &str, expected: &str) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(Refusal::OtherChannel { kind, found: found.into(), expected: expected.into() })
}
