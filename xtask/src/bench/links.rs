//! The sets of links that benchmarks run on: synthetic ones of any size, and the real one of the examples.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, Site, Status, TrailingSlash, Writer,
    WriterOptions,
};

use super::rows;

/// The only host of every set.
pub(crate) const HOST: &str = "go.example";

/// Links by number: `0..links()` are in the set.
pub(crate) enum Links {
    Synthetic {
        links: u64,
        /// Which destinations the codes have: they differ in every link between two editions.
        edition: u64,
    },
    /// Codes and destinations.
    Real(Vec<(String, String)>),
}

impl Links {
    /// So many synthetic links.
    pub(crate) fn synthetic(links: u64) -> Self {
        Self::Synthetic { links, edition: 0 }
    }

    /// Reads `domain,code,destination` rows.
    pub(crate) fn real(csv: &Path) -> Result<Self> {
        let failed = || format!("cannot read {}", csv.display());
        let mut reader = csv::Reader::from_path(csv).with_context(failed)?;
        let rows: Result<Vec<(String, String, String)>, _> = reader.deserialize().collect();
        let rows = rows
            .with_context(failed)?
            .into_iter()
            .filter(|(_, _, destination)| destination.starts_with("http"));
        Ok(Self::Real(rows.map(|(_, code, destination)| (code, destination)).collect()))
    }

    /// How many there are.
    pub(crate) fn links(&self) -> u64 {
        match self {
            Self::Synthetic { links, .. } => *links,
            Self::Real(rows) => rows.len() as u64,
        }
    }

    /// Appends the code of link `n`.
    pub(crate) fn push_code(&self, n: u64, output: &mut Vec<u8>) {
        match self {
            Self::Synthetic { .. } => output.extend_from_slice(&rows::code(n)),
            Self::Real(rows) => output.extend_from_slice(rows[n as usize].0.as_bytes()),
        }
    }

    /// Appends a code that no link has, the n-th of many.
    pub(crate) fn push_missing_code(&self, n: u64, output: &mut Vec<u8>) {
        output.extend_from_slice(&rows::code(self.links() + n));
    }

    /// Puts the destination of link `n` into `output`.
    pub(crate) fn destination(&self, n: u64, output: &mut Vec<u8>) {
        match self {
            Self::Synthetic { edition, .. } => rows::destination(n + (edition << 48), output),
            Self::Real(rows) => {
                output.clear();
                output.extend_from_slice(rows[n as usize].1.as_bytes());
            }
        }
    }

    /// The set as a person says it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Synthetic { links, .. } => rows::spoken(*links) + " links",
            Self::Real(rows) => format!("the {} real links", rows.len()),
        }
    }

    /// Writes the set into a snapshot at `path`, in the order of numbers.
    pub(crate) fn write_snapshot(&self, path: &Path, generation: u64) -> Result<()> {
        let temp_dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        let options = WriterOptions { generation, built_at_unix_s: 0, hash_seed: 0, temp_dir };
        let mut writer = Writer::create(path, options)?;
        let domain = writer.add_domain(&domain())?;
        let (mut code, mut destination) = (Vec::new(), Vec::new());
        for n in 0..self.links() {
            code.clear();
            self.push_code(n, &mut code);
            self.destination(n, &mut destination);
            writer.add_link(&link(domain, &code, &destination), n)?;
        }
        writer.finish(None, |_, _| ())?;
        Ok(())
    }
}

/// A file, or a directory with all that is in it, that is removed when this is dropped.
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl TemporaryFile {
    /// The name, free of what an interrupted run left behind.
    pub(crate) fn new(path: PathBuf) -> Self {
        remove(&path);
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// What cannot be removed lies in target/bench, where the next run finds it in the way and says so.
fn remove(path: &Path) {
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

fn domain() -> Domain<'static> {
    Domain {
        id: 0,
        name: HOST.as_bytes(),
        wildcard: false,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Ignore,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
        not_found: None,
        root: None,
        site: Site::NONE,
        links: 0,
    }
}

fn link<'l>(domain: u32, code: &'l [u8], destination: &'l [u8]) -> Link<'l> {
    Link {
        domain,
        code,
        destination,
        status: None,
        query: None,
        disabled: false,
        deleted: false,
        not_before_unix_s: None,
        expires_unix_s: None,
        version: 0,
        policy: None,
    }
}
