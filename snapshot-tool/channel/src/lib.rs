//! How snapshots and the deny list travel from whoever builds them to every node: signed, content-addressed, never backwards.
//!
//! `CHANNEL.md` beside this crate says on one page what lies in a channel and what its bytes mean. Everything here that judges
//! is pure and total: whatever the bytes are, no call panics, and nothing is believed before it is verified.
//!
//! Modules in reading order: bounds, what names a content, what signs, the signed document, the four documents of a channel,
//! the verifier that remembers what it has seen, and, with the feature `store`, the thin shells that fetch and write.
#![forbid(unsafe_code)]

pub mod limits;

pub mod content;
pub mod key;

pub mod document;

pub mod root;

pub mod manifest;
pub mod pointer;
pub mod record;

pub mod refusal;
pub mod trust;

pub mod deny;

pub mod failpoint;

#[cfg(feature = "store")]
pub mod fetch;
#[cfg(feature = "store")]
pub mod store;

pub use content::ContentHash;
pub use deny::{DenyList, DenySet};
pub use key::{PublicKey, SecretKey};
pub use refusal::Refusal;
#[cfg(feature = "store")]
pub use store::{Access, Store, StoreError};
pub use trust::Trust;
