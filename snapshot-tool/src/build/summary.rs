//! The end of a build in numbers, for people and for programs.

use super::assemble::Tally;
use super::gate::Change;
use crate::moment;
use crate::output::{counted, grouped};
use crate::refusal::RefusalCounts;
use serde_json::{Map, Value, json};
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The output is new.
    Published,
    /// The output has the same content already and was left alone.
    Unchanged,
    /// Nothing was published: the number of links changed by too much.
    ChangeRefused,
    /// Nothing was published: rows contradict each other.
    Conflicts,
    /// Nothing was published: every row was refused.
    NoLinks,
}

impl Outcome {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::ChangeRefused => "change_refused",
            Self::Conflicts => "conflicts",
            Self::NoLinks => "no_links",
        }
    }
}

/// Everything worth knowing about a build.
#[derive(Clone, Debug)]
pub struct BuildSummary {
    /// How it ended.
    pub outcome: Outcome,
    /// The output.
    pub output: PathBuf,
    /// Generation of the file that is or would have been published.
    pub generation: u64,
    /// How old its truth is, in seconds since 1970.
    pub built_at_unix_s: u64,
    /// Rows read.
    pub rows: u64,
    /// Rows that repeat an earlier one.
    pub repeated: u64,
    /// Links whose destination is stored in another spelling than it was written.
    pub rewritten: u64,
    /// Links whose code is a path that nodes may answer by themselves.
    pub reserved: u64,
    /// The first of them, each with what happens to it.
    pub reserved_named: Vec<String>,
    /// Rows that are refused.
    pub refused: RefusalCounts,
    /// Keys with two meanings.
    pub conflicts: u64,
    /// Domains.
    pub domains: u64,
    /// What the writer says of the file; none if rows contradict each other.
    pub file: Option<snapshot_format::Summary>,
    /// How the number of links changed, where there was a snapshot before.
    pub change: Option<Change>,
    /// How long it took.
    pub took: Duration,
    /// Most private memory that was in use, in bytes.
    pub memory_bytes_max: u64,
}

impl BuildSummary {
    /// Takes over what was counted while reading.
    pub fn take_tally(&mut self, tally: &Tally) {
        (self.rows, self.repeated, self.rewritten) = (tally.rows, tally.repeated, tally.rewritten);
        self.domains = tally.domains() as u64;
        (self.reserved, self.reserved_named) = (tally.reserved, tally.reserved_named.clone());
        self.memory_bytes_max = tally.memory.bytes();
    }

    /// All of it as one JSON object.
    pub fn to_json(&self) -> Value {
        let by_reason: Map<String, Value> =
            self.refused.occurred().map(|(reason, count)| (reason.name().to_owned(), count.into())).collect();
        json!({
            "outcome": self.outcome.name(),
            "output": self.output.display().to_string(),
            "generation": self.generation,
            "built_at": moment::render(self.built_at_unix_s),
            "content_checksum": self.file.map(|file| format!("{:016x}", file.content_checksum)),
            "rows": self.rows,
            "links": self.file.map(|file| file.links),
            "domains": self.domains,
            "repeated": self.repeated,
            "rewritten": self.rewritten,
            "conflicts": self.conflicts,
            "reserved_codes": { "total": self.reserved, "first": self.reserved_named },
            "refused": { "total": self.refused.total(), "by_reason": by_reason },
            "previous_links": self.change.map(|change| change.previous_links),
            "change_percent": self.change.map(Change::percent),
            "file_bytes": self.file.map(|file| file.file_bytes),
            "bytes_per_link": self.file.map(|file| per(file.file_bytes as f64, file.links as f64)),
            "seconds": self.took.as_secs_f64(),
            "rows_per_second": per(self.rows as f64, self.took.as_secs_f64()),
            "memory_bytes_max": self.memory_bytes_max,
        })
    }
}

impl fmt::Display for BuildSummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generation, built_at) = (self.generation, moment::render(self.built_at_unix_s));
        let output = self.output.display();
        match self.outcome {
            Outcome::Published => {
                writeln!(formatter, "published   {output}: generation {generation}, truth of {built_at}")?;
            }
            Outcome::Unchanged => writeln!(formatter, "unchanged   {output}: it holds these links already")?,
            Outcome::ChangeRefused | Outcome::Conflicts | Outcome::NoLinks => {
                writeln!(formatter, "nothing was published")?;
            }
        }
        if let Some(file) = self.file {
            write!(
                formatter,
                "content     {} in {}",
                counted(file.links, "link"),
                counted(self.domains, "domain")
            )?;
            match self.change {
                Some(change) => {
                    writeln!(formatter, ", {:+.1} % against the previous snapshot", change.percent())?;
                }
                None => writeln!(formatter)?,
            }
        }
        let (rows, repeated, rewritten) =
            (grouped(self.rows), grouped(self.repeated), grouped(self.rewritten));
        writeln!(
            formatter,
            "rows        {rows}, of them {repeated} repeated, {rewritten} stored in another spelling"
        )?;
        let mut reasons = String::new();
        for (reason, count) in self.refused.occurred() {
            let separator = if reasons.is_empty() { ": " } else { ", " };
            let _ = write!(reasons, "{separator}{} {}", grouped(count), reason.name());
        }
        writeln!(formatter, "refused     {}{reasons}", grouped(self.refused.total()))?;
        if self.reserved > 0 {
            let codes = counted(self.reserved, "code");
            writeln!(formatter, "warning     {codes} where nodes answer by themselves:")?;
            self.reserved_named.iter().try_for_each(|name| writeln!(formatter, "            {name}"))?;
        }
        if let Some(file) = self.file {
            let per_link = per(file.file_bytes as f64, file.links as f64);
            writeln!(formatter, "size        {} bytes, {per_link:.1} per link", grouped(file.file_bytes))?;
        }
        let seconds = self.took.as_secs_f64();
        let rate = grouped(per(self.rows as f64, seconds) as u64);
        let memory_mib = self.memory_bytes_max >> 20;
        write!(formatter, "took        {seconds:.1} s, {rate} rows/s, at most {memory_mib} MiB of memory")
    }
}

fn per(amount: f64, count: f64) -> f64 {
    if count > 0.0 { amount / count } else { 0.0 }
}
