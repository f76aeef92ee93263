//! Lookups: the production reader over a mapped snapshot against tables in memory, another index, and LMDB.
//!
//! Every contestant holds the same links and answers the same questions: code in, destination out. A destination is
//! copied into a buffer, as a reply does, and its last bytes are summed up; the sum must be the one that the links
//! give. Rounds alternate between contestants. Time is CPU time of the one thread, pinned to one CPU.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{Advice, fadvise};
use snapshot_format::open_mapped;

use super::Effort;
use super::links::{Links, TemporaryFile};
use super::machine::{Pinned, huge_page_bytes, memory_available_bytes, thread_cpu_time};
use super::report::{Better, Metric, Report};
use super::rows::Random;

mod hash_table;
mod lmdb;
mod open_addressing;
mod questions;
mod snapshot;

use questions::Questions;

/// The CPU that lookups run on; the other one is left to the rest of the machine.
const CPU: usize = 1;

/// LMDB is measured up to this many links: filling it beyond takes minutes and says nothing new.
const LMDB_LINKS_MAX: u64 = 10_000_000;

/// What a table in memory takes per link, generously, to decide whether it fits.
const HASH_TABLE_BYTES_PER_LINK: u64 = 220;

const SNAPSHOT_FILE: &str = "lookup.snapshot";

const TIME: Metric = Metric { name: "time per lookup", unit: "ns", better: Better::Less };

/// A table that knows the destination of a code.
trait Table {
    /// `code` is canonical, and of the one domain that there is.
    fn find(&self, code: &[u8]) -> Option<&[u8]>;
}

/// A table and its name.
type Contestant<'t> = (&'static str, Box<dyn Rounds + 't>);

/// What the benchmark does with a table; every table gets its own copy of the loop.
trait Rounds {
    fn round(&self, questions: &Questions, dependent: bool) -> Answered;
    fn verify(&self, links: &Links, questions: &Questions) -> Result<()>;
}

/// One timed round.
struct Answered {
    ns_per_lookup: f64,
    sum: u64,
}

impl<T: Table> Rounds for T {
    fn round(&self, questions: &Questions, dependent: bool) -> Answered {
        let before = thread_cpu_time();
        let sum = if dependent { ask::<T, true>(self, questions) } else { ask::<T, false>(self, questions) };
        let time = thread_cpu_time() - before;
        Answered { ns_per_lookup: time.as_nanos() as f64 / questions.len() as f64, sum }
    }

    fn verify(&self, links: &Links, questions: &Questions) -> Result<()> {
        let mut expected = Vec::new();
        for place in 0..questions.len() {
            let found = self.find(questions.code(place));
            let code = || String::from_utf8_lossy(questions.code(place));
            match questions.link(place) {
                None => ensure!(found.is_none(), "{:?} is found and is not there", code()),
                Some(n) => {
                    links.destination(n, &mut expected);
                    ensure!(found == Some(&expected[..]), "{:?} leads to {found:?}", code());
                }
            }
        }
        Ok(())
    }
}

/// Asks every question and sums the answers up.
///
/// Dependent: which question comes next is known only when the last one is answered, as it is between two requests;
/// otherwise the processor works on several lookups at once.
#[inline(never)]
fn ask<T: Table, const DEPENDENT: bool>(table: &T, questions: &Questions) -> u64 {
    let mut output = [0_u8; 4096];
    // Zero, and the compiler does not know it.
    let mask = black_box(0_u64);
    let mut sum = 0_u64;
    for place in 0..questions.len() {
        let place = if DEPENDENT { place + (sum & mask) as usize } else { place };
        let answer = match table.find(questions.code(place)) {
            Some(destination) => {
                let bytes = destination.len().min(output.len());
                output[..bytes].copy_from_slice(&destination[..bytes]);
                black_box(&output);
                questions::digest(destination)
            }
            None => questions::MISSING,
        };
        sum = sum.wrapping_add(answer);
    }
    sum
}

/// Measures every size and returns what was found.
pub(crate) fn run(effort: &Effort, directory: &Path, real_links: &Path) -> Result<Report> {
    let _pinned = Pinned::to(CPU)?;
    let mut report = Report::new("lookup", "Lookups: code in, destination copied out", Some(snapshot::NAME));
    let mut sets = vec![Links::real(real_links)?, Links::synthetic(100_000)];
    if effort.quick {
        sets.push(Links::synthetic(1_000_000));
    } else {
        sets.push(Links::synthetic(10_000_000));
    }
    if effort.full {
        sets.push(Links::synthetic(100_000_000));
    } else {
        report.note("100 million links only with --full");
    }
    for links in &sets {
        measure(links, effort, directory, &mut report).with_context(|| links.name())?;
    }
    Ok(report)
}

fn measure(links: &Links, effort: &Effort, directory: &Path, report: &mut Report) -> Result<()> {
    println!("{}: filling the tables", links.name());
    let file = TemporaryFile::new(directory.join(SNAPSHOT_FILE));
    links.write_snapshot(&file.0, 1)?;
    // As a node does with its copy: read from disk rather than just written, it lies in huge pages.
    fadvise(File::open(&file.0)?, 0, None, Advice::DontNeed)?;
    let snapshot = &open_mapped(&file.0)?;
    let (huge, all) = huge_page_bytes(SNAPSHOT_FILE);
    report.note(format!(
        "{}: {} of {} MiB of the snapshot lie in huge pages",
        links.name(),
        huge >> 20,
        all >> 20
    ));
    let environment;
    let mut contestants: Vec<Contestant<'_>> = vec![
        (snapshot::NAME, Box::new(snapshot::Production::new(snapshot)?)),
        (open_addressing::NAME, Box::new(open_addressing::OpenAddressing::build(snapshot, directory)?)),
    ];
    if links.links() * HASH_TABLE_BYTES_PER_LINK < memory_available_bytes() {
        contestants.push((hash_table::NAME, Box::new(hash_table::HashTable::fill(links))));
    } else {
        report.note(format!(
            "{}: hashbrown left out, it would not fit into memory beside the rest",
            links.name()
        ));
    }
    if links.links() <= LMDB_LINKS_MAX {
        environment = lmdb::Environment::fill(links, directory)?;
        contestants.push((lmdb::NAME, Box::new(environment.reader()?)));
    } else {
        report.note(format!("{}: LMDB left out, it takes too long to fill", links.name()));
    }
    let count = if effort.quick { 200_000 } else { 1_000_000 };
    for (kind, hits, dependent) in [
        ("hits", true, true),
        ("hits, several at once", true, false),
        // Without an answer there is nothing to wait for: misses overlap in any case.
        ("misses", false, false),
    ] {
        let case = format!("{}, {kind}", links.name());
        println!("{case}");
        let first = Questions::random(links, hits, count / 4, &mut Random::new(1));
        for (name, contestant) in &contestants {
            contestant.verify(links, &first).with_context(|| format!("{name} is wrong"))?;
        }
        for round in 0..effort.rounds {
            let questions = Questions::random(links, hits, count, &mut Random::new(round as u64 + 2));
            // Every contestant comes first in some round.
            for turn in 0..contestants.len() {
                let (name, contestant) = &contestants[(turn + round) % contestants.len()];
                let answered = contestant.round(&questions, dependent);
                ensure!(answered.sum == questions.sum(), "{name} gave a wrong answer");
                report.add(&case, TIME, name, answered.ns_per_lookup);
            }
        }
    }
    Ok(())
}
