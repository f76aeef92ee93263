//! Why a snapshot cannot be written.

use crate::record::RecordError;
use std::io;
use std::path::PathBuf;

/// Seeds that are tried before a key set is given up. One is enough unless keys were made against the seed.
pub(crate) const SEEDS_MAX: u64 = 8;

/// Two rows that give one key different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Id of the domain of both.
    pub domain: u32,
    /// Code of both.
    pub code: Vec<u8>,
    /// Place of the row that came first, as given to [`Writer::add_link`].
    pub first_place: u64,
    /// Place of the row that disagrees.
    pub second_place: u64,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A link that no record can hold.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A domain name that is not canonical.
    #[error("the domain name {0:?} is not in canonical form")]
    DomainName(String),
    /// A domain that is there already.
    #[error("the domain {0:?} is defined twice")]
    RepeatedDomain(String),
    /// A link of a domain that was never added.
    #[error("domain id {0} was never given out")]
    UnknownDomain(u32),
    /// Some bound of the format.
    #[error("{what} would be {found}, and the format allows {max}")]
    Bound {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// How large it may be.
        max: u64,
    },
    /// Rows that give one key different values.
    #[error("{count} keys have different values in different rows")]
    Conflicts {
        /// How many.
        count: u64,
        /// The first of them.
        conflicts: Vec<Conflict>,
    },
    /// No seed spreads these keys well enough.
    #[error("no seed spreads these keys over the index ({SEEDS_MAX} tried)")]
    NoSeed,
}

impl From<io::Error> for WriteError {
    /// Errors of the spill, whose directory the caller fills in.
    fn from(source: io::Error) -> Self {
        Self::Io { path: PathBuf::new(), source }
    }
}
