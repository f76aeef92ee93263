//! Proof of a whole file, record by record: slower than opening, for builders and for people who doubt.

use crate::canary::CANARIES;
use crate::reader::Snapshot;
use std::fmt;

/// What a proof counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Links that were found by their key.
    pub links: u64,
    /// Canaries that were found by their key; they are not among the links.
    pub canaries: u64,
    /// Repeated rows, which cannot be found.
    pub superseded: u64,
    /// Links that are switched off.
    pub disabled: u64,
    /// Links that answer 410.
    pub deleted: u64,
    /// Links with a first second.
    pub with_not_before: u64,
    /// Links with a last second.
    pub with_expiry: u64,
    /// Bytes of all destinations.
    pub destination_bytes: u64,
}

/// Why a file that opens is wrong all the same: a fault of its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// Bytes within the section of records are no record. The number of the record before which they stand.
    NotARecord(u64),
    /// The record of this number names a domain that is not there.
    UnknownDomain(u64),
    /// The record of this number is not what a search for its key finds.
    NotFound(u64),
    /// The record of this number belongs to the canaries and is none.
    Canary(u64),
    /// The header counts other links than there are.
    LinkCount {
        /// As the header says.
        expected: u64,
        /// As they are.
        found: u64,
    },
}

impl std::error::Error for VerifyError {}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecord(number) => write!(formatter, "the bytes before record {number} are no record"),
            Self::UnknownDomain(number) => write!(formatter, "record {number} names an unknown domain"),
            Self::NotFound(number) => write!(formatter, "record {number} is not found by its key"),
            Self::Canary(number) => write!(formatter, "record {number} is none of the known canaries"),
            Self::LinkCount { expected, found } => {
                write!(formatter, "the header counts {expected} links and there are {found}")
            }
        }
    }
}

impl<B: AsRef<[u8]>> Snapshot<B> {
    /// Reads every record, finds every link by its key, and counts. `progress` is told how many were seen.
    ///
    /// # Errors
    /// Says which record is wrong.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<Census, VerifyError> {
        let mut census = Census::default();
        let mut records = self.iter_records();
        let mut number = 0;
        for decoded in records.by_ref() {
            number += 1;
            progress(number);
            if decoded.superseded {
                census.superseded += 1;
                continue;
            }
            let link = decoded.link;
            let domain = self.domain_by_id(link.domain).ok_or(VerifyError::UnknownDomain(number))?;
            if self.link(&domain, link.code) != Some(link) {
                return Err(VerifyError::NotFound(number));
            }
            if self.is_canary(&link) {
                if !CANARIES.iter().any(|canary| canary.link(link.domain) == link) {
                    return Err(VerifyError::Canary(number));
                }
                census.canaries += 1;
                continue;
            }
            census.links += 1;
            census.disabled += u64::from(link.disabled);
            census.deleted += u64::from(link.deleted);
            census.with_not_before += u64::from(link.not_before_unix_s.is_some());
            census.with_expiry += u64::from(link.expires_unix_s.is_some());
            census.destination_bytes += link.destination.len() as u64;
        }
        if !records.rest().is_empty() {
            return Err(VerifyError::NotARecord(number + 1));
        }
        if census.canaries != u64::from(self.canaries()) {
            let expected = u64::from(self.canaries());
            return Err(VerifyError::LinkCount { expected, found: census.canaries });
        }
        if census.links != self.links() {
            return Err(VerifyError::LinkCount { expected: self.links(), found: census.links });
        }
        Ok(census)
    }
}
