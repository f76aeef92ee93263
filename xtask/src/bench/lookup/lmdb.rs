//! LMDB through heed: the on-disk peer, mapped as well, with one read transaction for all lookups.
#![allow(unsafe_code)]

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, WithoutTls};

use super::Table;
use crate::bench::links::{Links, TemporaryFile};

pub(super) const NAME: &str = "LMDB, mapped";

/// Address space per link; the file grows only as far as it is filled.
const MAP_BYTES_PER_LINK: usize = 400;

/// The map is whole pages.
const PAGE_BYTES: usize = 4096;

/// A filled database, and its files, which go with it.
pub(super) struct Environment {
    environment: Env<WithoutTls>,
    #[expect(dead_code, reason = "held for its drop")]
    files: TemporaryFile,
}

impl Environment {
    /// Fills the database in the order of its keys, which gives the fullest pages and the fewest levels.
    pub(super) fn fill(links: &Links, directory: &Path) -> Result<Self> {
        let files = TemporaryFile::new(directory.join("lookup.lmdb"));
        fs::create_dir_all(&files.0).with_context(|| format!("cannot make {}", files.0.display()))?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        let map_bytes = (1 << 26) + links.links() as usize * MAP_BYTES_PER_LINK;
        options.map_size(map_bytes.next_multiple_of(PAGE_BYTES));
        // SAFETY: nothing is left half-written that anybody would read: the files are made here and removed with the
        // value. Without syncs only a crash of the machine could damage them.
        unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_META_SYNC | EnvFlags::NO_READ_AHEAD) };
        // SAFETY: this process opens these files once, and no other process knows of them.
        let environment = unsafe { options.open(&files.0) }.context("cannot open LMDB")?;
        let mut keys: Vec<(Box<[u8]>, u64)> = Vec::with_capacity(links.links() as usize);
        let (mut code, mut destination) = (Vec::new(), Vec::new());
        for n in 0..links.links() {
            code.clear();
            links.push_code(n, &mut code);
            keys.push((code.as_slice().into(), n));
        }
        keys.sort_unstable();
        let transaction = environment.write_txn()?;
        environment.create_databases_and_commit(transaction, |opener, transaction| {
            let database: Database<'_, Bytes, Bytes> = opener.create_database(transaction, None)?;
            for (code, n) in &keys {
                links.destination(*n, &mut destination);
                database.put_with_flags(transaction, PutFlags::APPEND, code, &destination)?;
            }
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(database))
        })?;
        Ok(Self { environment, files })
    }

    pub(super) fn reader(&self) -> Result<Reader<'_>> {
        let opened = self.environment.open_databases_and_commit(
            self.environment.read_txn()?,
            |opener, transaction| {
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(opener.open_database(transaction, None)?))
            },
        )?;
        let database = opened.unwrap_commit().context("LMDB lost its database")?;
        Ok(Reader { transaction: self.environment.read_txn()?, database })
    }
}

/// One read transaction, begun before the clock starts.
pub(super) struct Reader<'e> {
    transaction: RoTxn<'e, WithoutTls>,
    database: Database<'e, Bytes, Bytes>,
}

impl Table for Reader<'_> {
    #[inline]
    fn find(&self, code: &[u8]) -> Option<&[u8]> {
        // An error counts as a miss here, and the sum of the round tells.
        self.database.get(&self.transaction, code).ok().flatten()
    }
}
