//! Rows into a snapshot file: read, checked, written, repeated rows left out, proven.

use super::proof::{Expected, prove};
use super::publish::{Draft, explain};
use super::rejects::Rejects;
use crate::digest::Digest;
use crate::documents;
use crate::domain_name::DomainName;
use crate::memory::MemoryPeak;
use crate::pipeline::Rows;
use crate::place::Place;
use crate::progress::Progress;
use crate::settings::DomainPlan;
use crate::source::Input;
use anyhow::{Context, ensure};
use snapshot_format::{Conflict, WriteError, Writer, WriterOptions};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What was read and written so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rows of all inputs.
    pub rows: u64,
    /// Rows that became links, or repeat one.
    pub accepted: u64,
    /// Rows that repeat an earlier one.
    pub repeated: u64,
    /// Links whose destination is stored in another spelling than it was written.
    pub rewritten: u64,
    /// Links whose code is a path that nodes may answer by themselves.
    pub reserved: u64,
    /// The first of them, each with what happens to it.
    pub reserved_named: Vec<String>,
    /// Most private memory that was in use.
    pub memory: MemoryPeak,
    digest: Digest,
    domains: HashMap<DomainName, u32>,
}

impl Tally {
    /// Counts a link whose code is reserved, and keeps the first names.
    fn note_reserved(&mut self, name: impl FnOnce() -> String) {
        self.reserved += 1;
        if self.reserved_named.len() < RESERVED_NAMED_MAX {
            self.reserved_named.push(name());
        }
    }

    /// How many domains the file has.
    pub fn domains(&self) -> usize {
        self.domains.len()
    }
}

/// A finished file without a name.
#[derive(Debug)]
pub struct Assembled {
    /// The file.
    pub draft: Draft,
    /// What the writer says of it.
    pub summary: snapshot_format::Summary,
    /// What went into it.
    pub tally: Tally,
}

/// What became of the rows.
#[derive(Debug)]
pub enum Assembly {
    /// A file.
    Done(Assembled),
    /// Nothing: rows contradict each other.
    Conflicts {
        /// How many do.
        count: u64,
        /// The first of them, each as a sentence.
        named: Vec<String>,
        /// What was read.
        tally: Tally,
    },
}

/// Links with reserved codes that a summary names; the others are counted.
const RESERVED_NAMED_MAX: usize = 8;

/// How often memory is looked at, in batches of rows.
const MEMORY_EVERY_BATCHES: u64 = 16;

/// Writes all rows that are accepted into a draft beside `output`.
///
/// # Errors
/// If an input cannot be read or a file cannot be written.
pub fn assemble(
    rows: &Rows,
    plan: &DomainPlan,
    output: &Path,
    options: WriterOptions,
    rejects: &mut Rejects,
) -> anyhow::Result<Assembly> {
    let draft = Draft::beside(output)?;
    let mut writer = Writer::create(draft.path(), options).map_err(explain_write)?;
    let mut tally = Tally::default();
    for (name, settings) in &plan.listed {
        let id = writer.add_domain(&settings.as_domain(name)).map_err(explain_write)?;
        tally.domains.insert(name.clone(), id);
    }
    let names: Vec<String> = rows.inputs.iter().map(Input::name).collect();
    let progress = Progress::of_bytes("reading", input_bytes(&rows.inputs));
    let mut batches = 0;
    rows.check_all(|checked| -> anyhow::Result<()> {
        let mut ids: Vec<Option<u32>> =
            checked.domains.iter().map(|name| tally.domains.get(name).copied()).collect();
        for (line, mut link) in checked.links() {
            let place = link.domain as usize;
            link.domain = match ids[place] {
                Some(id) => id,
                None => {
                    let name = &checked.domains[place];
                    let id = writer.add_domain(&plan.defaults.as_domain(name)).map_err(explain_write)?;
                    tally.domains.insert(name.clone(), id);
                    *ids[place].insert(id)
                }
            };
            if let Some(shadows) = documents::shadows(link.code, |document| {
                let settings = rows.rules.settings(&checked.domains[place]);
                settings.is_some_and(|settings| settings.documents.as_documents().get(document).is_some())
            }) && !link.deleted
            {
                let code = String::from_utf8_lossy(link.code);
                let fate = if shadows { "never answers" } else { "answers while there is no such document" };
                tally.note_reserved(|| format!("{}/{code} (line {line}): {fate}", checked.domains[place]));
            }
            let place = Place { input: checked.batch.source.index, line };
            writer.add_link(&link, place.pack()).map_err(explain_write)?;
        }
        tally.rows += checked.batch.rows.len() as u64;
        tally.accepted += checked.accepted();
        tally.rewritten += checked.rewritten;
        tally.digest.add_all(checked.digest);
        rejects.take(&checked, &progress)?;
        progress.advance(checked.batch.input_bytes);
        if batches % MEMORY_EVERY_BATCHES == 0 {
            tally.memory.sample();
        }
        batches += 1;
        Ok(())
    })?;
    drop(progress);
    writer.add_canaries().map_err(explain_write)?;
    let metadata = metadata(&tally, rejects);
    let progress = Progress::of_links("indexing", tally.accepted);
    let finished = writer.finish(Some(metadata.as_bytes()), |done, _| {
        progress.set(done);
        tally.memory.sample();
    });
    drop(progress);
    match finished {
        Ok(summary) => {
            tally.repeated = summary.repeated;
            ensure!(summary.links + summary.repeated == tally.accepted, "the writer lost count of links");
            Ok(Assembly::Done(Assembled { draft, summary, tally }))
        }
        Err(WriteError::Conflicts { count, conflicts }) => {
            let domains: HashMap<u32, &DomainName> =
                tally.domains.iter().map(|(name, &id)| (id, name)).collect();
            let named = conflicts.iter().map(|conflict| name_conflict(conflict, &domains, &names)).collect();
            Ok(Assembly::Conflicts { count, named, tally })
        }
        Err(error) => Err(explain_write(error)),
    }
}

/// Proves a finished file; if rows were repeated, also a second one without them, which takes its place.
///
/// So that a snapshot depends on what the rows say, and not on how often they say it.
///
/// # Errors
/// If what was read back differs from what was written, or the second file cannot be written.
pub fn prove_and_compact(
    assembled: &mut Assembled,
    rows: &Rows,
    output: &Path,
    options: WriterOptions,
) -> anyhow::Result<()> {
    let tally = &assembled.tally;
    let mut expected = Expected {
        digest: tally.digest,
        rows: tally.accepted,
        repeated: tally.repeated,
        domains: &tally.domains,
        rules: &rows.rules,
    };
    let (snapshot, digest) = prove(assembled.draft.path(), &expected)?;
    if tally.repeated == 0 {
        return Ok(());
    }
    let draft = Draft::beside(output)?;
    let mut writer = Writer::create(draft.path(), options).map_err(explain_write)?;
    for domain in snapshot.iter_domains() {
        writer.add_domain(&domain).map_err(explain_write)?;
    }
    let progress = Progress::of_links("packing", snapshot.links());
    for link in snapshot.iter_links() {
        writer.add_link(&link, 0).map_err(explain_write)?;
        progress.advance(1);
    }
    drop(progress);
    writer.add_canaries().map_err(explain_write)?;
    let summary = writer.finish(snapshot.metadata(), |_, _| {}).map_err(explain_write)?;
    (expected.digest, expected.rows, expected.repeated) = (digest, snapshot.links(), 0);
    prove(draft.path(), &expected)?;
    (assembled.draft, assembled.summary) = (draft, summary);
    Ok(())
}

/// Bytes of all inputs, if all are files.
fn input_bytes(inputs: &[Input]) -> Option<u64> {
    let mut total = 0;
    for input in inputs {
        let Input::File(path) = input else { return None };
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        total += metadata.len();
    }
    Some(total)
}

/// For people who look into a file later. Nothing in it depends on the machine or the time.
fn metadata(tally: &Tally, rejects: &Rejects) -> String {
    let builder = concat!("snapshot-tool ", env!("CARGO_PKG_VERSION"));
    let (rows, refused) = (tally.rows, rejects.counts().total());
    serde_json::json!({ "builder": builder, "rows": rows, "refused": refused }).to_string()
}

fn name_conflict(conflict: &Conflict, domains: &HashMap<u32, &DomainName>, inputs: &[String]) -> String {
    let place = |packed| {
        let Place { input, line } = Place::unpack(packed);
        format!("{}:{line}", inputs.get(usize::from(input)).map_or("?", String::as_str))
    };
    let domain = domains.get(&conflict.domain).map(ToString::to_string).unwrap_or_default();
    let code = String::from_utf8_lossy(&conflict.code);
    let (first, second) = (place(conflict.first_place), place(conflict.second_place));
    format!("{domain}/{code}: {second} says something else than {first}")
}

/// Errors of the writer with the way out.
fn explain_write(error: WriteError) -> anyhow::Error {
    match error {
        WriteError::Io { path, source } => explain(&path, &source),
        other => anyhow::Error::new(other).context("the snapshot cannot be written"),
    }
}

/// Checks that a directory can hold temporary data.
///
/// # Errors
/// Names the directory.
pub fn check_temp_dir(directory: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(directory).with_context(|| format!("--temp-dir {}", directory.display()))?;
    ensure!(metadata.is_dir(), "--temp-dir {} is no directory", directory.display());
    Ok(())
}
