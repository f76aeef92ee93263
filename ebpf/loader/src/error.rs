//! What can go wrong with a loaded guard, and who must act.

use std::path::PathBuf;

use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use thiserror::Error;

use crate::{BanError, ObjectError, SettingsError};

/// Why the guard cannot do what was asked. Messages name the fix where an operator can apply one.
#[derive(Debug, Error)]
pub enum GuardError {
    /// There is no program to load.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A setting is out of bounds.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A ban cannot be written.
    #[error(transparent)]
    Ban(#[from] BanError),
    /// The process may not use BPF.
    #[error("missing capability {0}: run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    Capability(&'static str),
    /// The directory of the pins is not on a BPF file system.
    #[error("{path} is not on a BPF file system; as root: mount -t bpf bpffs {mount}", path = .path.display(), mount = .mount.display())]
    NotBpffs {
        /// The directory that was given.
        path: PathBuf,
        /// Where a BPF file system should be mounted.
        mount: PathBuf,
    },
    /// The pins cannot be read or made.
    #[error("{path}: {error}", path = .path.display())]
    Pins {
        /// The pin.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// No guard has pinned its tables here.
    #[error("no guard is pinned at {path}: none has run since the machine started, or it ran with another version", path = .0.display())]
    NotPinned(PathBuf),
    /// The verifier refused the program: ours to mend.
    #[error("the kernel's verifier refused the guard: {0}")]
    Verifier(String),
    /// The object does not hold what this version expects.
    #[error("the guard object lacks {0}: it was built from another version")]
    Incomplete(&'static str),
    /// The object and this program were built from different versions.
    #[error(
        "the guard's object ({0}) was built for another version of carom: build it again with `cargo xtask build-ebpf`, then \
         build carom again"
    )]
    Stale(String),
    /// A table could not be read or written.
    #[error("table {table}: {error}")]
    Table {
        /// The map.
        table: &'static str,
        /// What aya said.
        error: MapError,
    },
    /// The program could not be loaded or run.
    #[error("the guard program: {0}")]
    Program(#[from] ProgramError),
    /// Something could not be pinned.
    #[error("cannot pin: {0}")]
    Pin(#[from] PinError),
    /// The object could not be loaded.
    #[error("the guard object: {0}")]
    Load(#[from] aya::EbpfError),
    /// A test run gave no answer: the loaded program is of another version.
    #[error("the loaded program did not answer a probe: it is of another version")]
    NoAnswer,
}
