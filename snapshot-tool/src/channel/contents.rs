//! Contents on this machine: opened from the channel, proven, and compared.

use super::desk::Desk;
use crate::diff::{Counts, Difference, compare};
use anyhow::Context;
use snapshot_channel::fetch::fetch;
use snapshot_channel::pointer::Target;
use snapshot_channel::record::Changes;
use snapshot_format::{Mapping, Snapshot, open_mapped};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Differences that are kept as examples in the log, and their longest text: a record has room for 64 KiB in all.
const EXAMPLES_MAX: usize = 10;
const EXAMPLE_BYTES_MAX: usize = 400;

/// Opens a content of the channel; one that lies in a store elsewhere is fetched into `cache` first.
///
/// # Errors
/// It is gone, cannot be fetched, or is no snapshot.
pub fn open(desk: &Desk, target: &Target, cache: Option<&Path>) -> anyhow::Result<Snapshot<Mapping>> {
    let manifest = desk.manifest(target)?;
    let file = manifest.snapshot();
    let path = match desk.store.local_path(&format!("file/{}", file.blake3)) {
        Some(path) => path,
        None => {
            let cache = cache.map_or_else(default_cache, Path::to_owned);
            fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
            fetch(&desk.store, file, &cache)?
        }
    };
    Ok(open_mapped(&path)?)
}

/// What the new content changes against the old one.
pub fn changes(old: &Snapshot<Mapping>, new: &Snapshot<Mapping>) -> Changes {
    let mut examples = Vec::new();
    let Counts { added, removed, changed, same, domains } =
        compare(old, new, |difference: Difference<'_>| {
            if examples.len() < EXAMPLES_MAX {
                let mut text = difference.to_string();
                text.truncate(text.floor_char_boundary(EXAMPLE_BYTES_MAX));
                examples.push(text);
            }
        });
    Changes { added, removed, changed, same, domains, examples }
}

fn default_cache() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(env::temp_dir).join("carom")
}
