//! A directory of certificates: read again when files change, one bad pair never takes the others down.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Defect, Pair, Store};
use crate::limits::{CERTIFICATES_MAX, PEM_FILE_BYTES_MAX};

/// A directory and what is known of its files.
///
/// Pairs are `NAME.crt` or `NAME.pem` with `NAME.key` beside it or the key in the same file, and `NAME/fullchain.pem` with
/// `NAME/privkey.pem`. Other files are not looked at.
pub struct Directory {
    path: PathBuf,
    default: Option<String>,
    known: BTreeMap<String, Known>,
}

/// What is known of one pair.
struct Known {
    seen: Seen,
    outcome: Result<(), String>,
    /// The pair that serves: the one that was read, or the last good one.
    pair: Option<Arc<Pair>>,
}

/// The files of a pair as they were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    chain: (PathBuf, Stamp),
    key: Option<(PathBuf, Stamp)>,
}

/// Tells one version of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// A pair that cannot be used as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file of the chain.
    pub file: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
    /// Whether an earlier version of the pair serves on.
    pub kept: bool,
}

/// What a look at the directory found.
#[derive(Debug)]
pub struct Loaded {
    /// The new look-up; `None` if it would be the same as before.
    pub store: Option<Store>,
    /// What cannot be used, by name of the file.
    pub flaws: Vec<Flaw>,
}

impl Directory {
    /// The directory `path`; `default` is the label of the pair for clients that name no host, or an unknown one.
    pub fn new(path: PathBuf, default: Option<String>) -> Self {
        Self { path, default, known: BTreeMap::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the directory: reads what is new or changed at `unix_s`, forgets what is gone.
    ///
    /// # Errors
    ///
    /// The directory itself cannot be read: then nothing is forgotten.
    pub fn load(&mut self, unix_s: i64) -> io::Result<Loaded> {
        let found = self.scan()?;
        let mut changed = self.known.len() != found.len() || self.known.is_empty();
        let mut known = BTreeMap::new();
        for (label, seen) in found {
            let before = self.known.remove(&label);
            let now = match before {
                Some(before) if before.seen == seen => before,
                before => {
                    changed = true;
                    read(&label, seen, before.and_then(|before| before.pair), unix_s)
                }
            };
            known.insert(label, now);
        }
        self.known = known;
        let default = self.default.as_deref();
        let pairs = || self.known.values().filter_map(|known| known.pair.clone()).collect();
        let store = changed.then(|| Store::new(pairs(), default));
        let mut flaws: Vec<Flaw> = self.known.values().filter_map(Known::flaw).collect();
        if let Some(label) = default
            && self.known.get(label).is_none_or(|known| known.pair.is_none())
        {
            flaws.push(Flaw {
                file: self.path.join(label),
                reason: "tls.default_certificate names this pair, and there is none to use: clients without a known \
                         name are refused"
                    .into(),
                kept: false,
            });
        }
        Ok(Loaded { store, flaws })
    }

    fn scan(&self) -> io::Result<BTreeMap<String, Seen>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path)?.take(CERTIFICATES_MAX * 3) {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') || found.len() >= CERTIFICATES_MAX {
                continue;
            }
            let pair = match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt" | "pem") => {
                    let stem = &name[..name.len() - ".crt".len()];
                    let key = path.with_extension("key");
                    Stamp::of(&path).map(|stamp| {
                        let key = Stamp::of(&key).map(|stamp| (key, stamp));
                        (stem.to_owned(), Seen { chain: (path.clone(), stamp), key })
                    })
                }
                _ => {
                    let (chain, key) = (path.join("fullchain.pem"), path.join("privkey.pem"));
                    Stamp::of(&chain).map(|stamp| {
                        let key = Stamp::of(&key).map(|stamp| (key, stamp));
                        (name.to_owned(), Seen { chain: (chain, stamp), key })
                    })
                }
            };
            // A file that vanished since the directory was listed is one that is not there.
            if let Some((label, seen)) = pair {
                found.insert(label, seen);
            }
        }
        Ok(found)
    }
}

impl Known {
    fn flaw(&self) -> Option<Flaw> {
        let reason = self.outcome.as_ref().err()?.clone();
        Some(Flaw { file: self.seen.chain.0.clone(), reason, kept: self.pair.is_some() })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Some(Self {
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads one pair; `before` serves on if it cannot be used.
fn read(label: &str, seen: Seen, before: Option<Arc<Pair>>, unix_s: i64) -> Known {
    let chain = slurp(&seen.chain.0);
    let key = match &seen.key {
        Some((path, _)) => slurp(path),
        None => chain.clone(),
    };
    let pair = chain.and_then(|chain| {
        let key = key?;
        Pair::read(label.to_owned(), &chain, &key, unix_s).map_err(|defect| match (&defect, &seen.key) {
            (Defect::NoKey(_), None) => {
                "it has no private key: none is in the file, and no .key (or privkey.pem) is beside it".into()
            }
            _ => defect.to_string(),
        })
    });
    match pair {
        Ok(pair) => Known { seen, outcome: Ok(()), pair: Some(Arc::new(pair)) },
        Err(reason) => {
            let pair = before.filter(|pair| pair.not_after_unix_s > unix_s);
            Known { seen, outcome: Err(reason), pair }
        }
    }
}

fn slurp(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(PEM_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if bytes.len() as u64 > PEM_FILE_BYTES_MAX {
        return Err(format!("{} has more than {PEM_FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(bytes)
}
