//! The verifier: what has been seen of a channel, and what may follow. TUF's rules, as far as one channel needs them.

use crate::content::ContentHash;
use crate::document::{Document, Kind};
use crate::key::PublicKey;
use crate::manifest::Manifest;
use crate::pointer::{Pointer, Target, Wave};
use crate::refusal::Refusal;
use crate::root::{Root, check_channel};
use serde::{Deserialize, Serialize};

/// The newest document of a kind that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its sequence.
    pub sequence: u64,
    /// The hash of all its bytes.
    pub hash: ContentHash,
}

/// What is believed of a channel. A value: whoever accepts a document gets a new one, and keeps it only after everything that
/// the document asks for has been done. So a state that was persisted never promises what is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    root: Root,
    pointer: Option<Seen>,
    deny: Option<Seen>,
}

impl Trust {
    /// Trusts a root because enough of the keys that somebody wrote into a configuration have signed it. It need not be the
    /// first root: after a rotation, new nodes are given the new keys.
    ///
    /// # Errors
    /// A root of other keys.
    pub fn anchor(keys: &[PublicKey], threshold: usize, bytes: &[u8]) -> Result<Self, Refusal> {
        let document = Document::parse(Kind::Root, bytes)?;
        let root = Root::parse(document.body_signed_by(keys, threshold)?)?;
        // A root states its own signers too; one that does not sign itself could never be followed.
        document.body_signed_by(&root.root.keys, root.root.threshold)?;
        Ok(Self { root, pointer: None, deny: None })
    }

    /// Follows a rotation: the next root is signed by enough keys of this one and of its own.
    ///
    /// # Errors
    /// A root that does not follow.
    pub fn next_root(&self, bytes: &[u8]) -> Result<Self, Refusal> {
        let document = Document::parse(Kind::Root, bytes)?;
        let root = Root::parse(document.body_signed_by(&self.root.root.keys, self.root.root.threshold)?)?;
        document.body_signed_by(&root.root.keys, root.root.threshold)?;
        check_channel(Kind::Root, &root.channel, &self.root.channel)?;
        if Some(root.version) != self.root.version.checked_add(1) {
            return Err(Refusal::RootSkipped { found: root.version, trusted: self.root.version });
        }
        // Whoever had stolen a key may have burnt all sequences up to the last one. New keys begin anew; what the old ones
        // signed is worthless from now on.
        let kept = |kind, seen: Option<Seen>| seen.filter(|_| root.role(kind) == self.root.role(kind));
        let (pointer, deny) = (kept(Kind::Pointer, self.pointer), kept(Kind::Deny, self.deny));
        Ok(Self { root, pointer, deny })
    }

    /// Believes a pointer, and says whether it is another one than the last.
    ///
    /// # Errors
    /// A pointer that is not believed.
    pub fn pointer(&self, bytes: &[u8], now_unix_s: u64) -> Result<(Pointer, Self), Refusal> {
        let body = self.signed(Kind::Pointer, bytes)?;
        let pointer = Pointer::parse(body, self.channel())?;
        if pointer.root > self.root.version {
            return Err(Refusal::RootBehind { needed: pointer.root, trusted: self.root.version });
        }
        let seen = follow(Kind::Pointer, self.pointer, pointer.sequence, bytes)?;
        not_expired(Kind::Root, self.root.expires_unix_s, now_unix_s)?;
        not_expired(Kind::Pointer, pointer.expires_unix_s, now_unix_s)?;
        Ok((pointer, Self { pointer: Some(seen), ..self.clone() }))
    }

    /// The body of a deny list that may follow, with what `sequence` reads from it.
    ///
    /// # Errors
    /// A list that is not believed. An old one goes on being enforced: expiry is an alarm here and never a reason to let go.
    pub fn deny<T>(
        &self,
        bytes: &[u8],
        read: impl FnOnce(&[u8]) -> Result<(u64, T), Refusal>,
    ) -> Result<(T, Self), Refusal> {
        let (sequence, list) = read(self.signed(Kind::Deny, bytes)?)?;
        let seen = follow(Kind::Deny, self.deny, sequence, bytes)?;
        Ok((list, Self { deny: Some(seen), ..self.clone() }))
    }

    /// What a wave serves by this pointer.
    ///
    /// # Errors
    /// Nothing was ever published to it.
    pub fn target(pointer: &Pointer, wave: Wave) -> Result<Target, Refusal> {
        pointer.waves.of(wave).map(|served| served.target).ok_or(Refusal::NothingYet { wave: wave.name() })
    }

    /// Believes the manifest that a pointer names.
    ///
    /// # Errors
    /// Other bytes than the pointer names, or unsigned ones.
    pub fn manifest(&self, target: &Target, bytes: &[u8]) -> Result<Manifest, Refusal> {
        if ContentHash::of(bytes) != target.manifest {
            return Err(Refusal::WrongContent { expected: format!("manifest {}", target.manifest) });
        }
        let manifest = Manifest::parse(self.signed(Kind::Manifest, bytes)?, self.channel())?;
        if manifest.version != target.version {
            let what =
                format!("it is of version {}, and the pointer says {}", manifest.version, target.version);
            return Err(Refusal::Malformed { kind: Kind::Manifest, what });
        }
        Ok(manifest)
    }

    /// The channel.
    pub fn channel(&self) -> &str {
        &self.root.channel
    }

    /// Who may sign what.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The newest pointer that was believed.
    pub const fn seen_pointer(&self) -> Option<Seen> {
        self.pointer
    }

    /// The newest deny list that was believed.
    pub const fn seen_deny(&self) -> Option<Seen> {
        self.deny
    }

    /// As it is kept on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a value of strings and numbers is always JSON")
    }

    /// From disk; `None` if these bytes are no such state, which is then made anew from the configured keys.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    fn signed<'b>(&self, kind: Kind, bytes: &'b [u8]) -> Result<&'b [u8], Refusal> {
        let document = Document::parse(kind, bytes)?;
        let role = self.root.role(kind).expect("records are read by their chain");
        document.body_signed_by(&role.keys, role.threshold)
    }
}

/// A sequence never goes back, and one sequence stands for one content.
fn follow(kind: Kind, seen: Option<Seen>, sequence: u64, bytes: &[u8]) -> Result<Seen, Refusal> {
    let next = Seen { sequence, hash: ContentHash::of(bytes) };
    match seen {
        Some(seen) if sequence < seen.sequence => {
            Err(Refusal::Replayed { kind, found: sequence, seen: seen.sequence })
        }
        Some(seen) if sequence == seen.sequence && next.hash != seen.hash => {
            Err(Refusal::Equivocation { kind, sequence })
        }
        Some(_) | None => Ok(next),
    }
}

fn not_expired(kind: Kind, expires_unix_s: u64, now_unix_s: u64) -> Result<(), Refusal> {
    match now_unix_s.checked_sub(expires_unix_s) {
        None => Ok(()),
        Some(ago_s) => Err(Refusal::Expired { kind, ago_s }),
    }
}

#[cfg(test)]
mod tests;
