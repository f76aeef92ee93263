//! The only reader and the only writer of snapshot files.
//!
//! A snapshot is one immutable file that holds every link of every domain; `FORMAT.md` beside this crate says on one
//! page what its bytes mean. The reader is total: whatever the bytes are, no call panics or reads out of bounds.
//!
//! Modules in reading order: what a link and a domain can say, what names mean, how bytes are laid out, how a key is
//! found, how a file is read, how it is written.
#![deny(unsafe_code)]

pub mod limits;
pub mod values;

pub mod canonical;

pub mod domain;
pub mod hash;
pub mod index;
pub mod layout;
pub mod record;
pub mod site;

pub mod canary;

pub mod mapping;
pub mod reader;
pub mod verify;

mod index_writer;
mod place;
mod spill;
mod write_error;
pub mod writer;

pub use canary::{CANARIES, CANARY_DESTINATION, CANARY_HOST, Canary, is_reserved};
pub use canonical::{CodeError, HostError, canonical_code, canonical_host};
pub use domain::{Domain, RedirectTo};
pub use limits::{CODE_BYTES_MAX, DESTINATION_BYTES_MAX, DOCUMENT_BYTES_MAX, HOST_BYTES_MAX};
pub use mapping::{MapError, Mapping, open_mapped};
pub use reader::{OpenError, Snapshot};
pub use record::Link;
pub use site::{Document, Documents, DocumentsBuffer, Hsts, Site};
pub use values::{Cache, CacheVisibility, CaseMode, HttpsMode, QueryMode, Status, TrailingSlash};
pub use write_error::{Conflict, WriteError};
pub use writer::{Summary, Writer, WriterOptions};
