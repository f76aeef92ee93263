//! The contestant that ships: the production reader over a mapped, populated snapshot.

use anyhow::{Context, Result};
use snapshot_format::{Domain, Snapshot};

use super::Table;
use crate::bench::links::HOST;

pub(super) const NAME: &str = "carom snapshot, mapped";

pub(super) struct Production<'s> {
    snapshot: &'s Snapshot,
    domain: Domain<'s>,
}

impl<'s> Production<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Result<Self> {
        let domain = snapshot.domain(HOST.as_bytes()).context("the snapshot lacks its domain")?;
        Ok(Self { snapshot, domain })
    }
}

impl Table for Production<'_> {
    #[inline]
    fn find(&self, code: &[u8]) -> Option<&[u8]> {
        self.snapshot.link(&self.domain, code).map(|link| link.destination)
    }
}
