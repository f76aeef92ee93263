//! hashbrown with ahash in memory: what a program without a file would use.

use ahash::RandomState;
use hashbrown::HashMap;

use super::Table;
use crate::bench::links::Links;

pub(super) const NAME: &str = "hashbrown, in memory";

/// Boxed keys, as codes have any length up to 255 bytes.
pub(super) struct HashTable(HashMap<Box<[u8]>, Box<[u8]>, RandomState>);

impl HashTable {
    pub(super) fn fill(links: &Links) -> Self {
        // A fixed seed: every run measures the same table.
        let mut table =
            HashMap::with_capacity_and_hasher(links.links() as usize, RandomState::with_seeds(1, 2, 3, 4));
        let (mut code, mut destination) = (Vec::new(), Vec::new());
        for n in 0..links.links() {
            code.clear();
            links.push_code(n, &mut code);
            links.destination(n, &mut destination);
            table.insert(code.as_slice().into(), destination.as_slice().into());
        }
        Self(table)
    }
}

impl Table for HashTable {
    #[inline]
    fn find(&self, code: &[u8]) -> Option<&[u8]> {
        self.0.get(code).map(|destination| &destination[..])
    }
}
