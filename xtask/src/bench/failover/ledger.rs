//! The rounds of every part, each kept in a file of its own, so that a part can be measured alone and the report still shows all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::super::report::{Better, Metric};
use super::super::stats::Summary;

/// What a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// From the fault or command until the neighbour's kernel has no route to the node.
    Gone,
    /// From the first packet of the first canary that failed until then.
    SinceCanary,
    /// Clicks without a right answer.
    Failed,
    /// Clicks in all.
    Sent,
    /// Routes that went, or led elsewhere.
    Moved,
}

impl Measure {
    pub(super) const fn metric(self) -> Metric {
        let (name, unit, better) = match self {
            Self::Gone => ("fault to route gone", "ms", Better::Less),
            Self::SinceCanary => ("first failing canary to route gone", "ms", Better::Less),
            Self::Failed => ("failed clicks", "of a round", Better::Less),
            Self::Sent => ("clicks", "of a round", Better::Neither),
            Self::Moved => ("routes gone or moved", "of a restart", Better::Less),
        };
        Metric { name, unit, better }
    }
}

/// The rounds of one contestant in one case.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) case: String,
    pub(super) measure: Measure,
    pub(super) contestant: String,
    pub(super) rounds: Vec<f64>,
}

/// All rounds that are known.
pub(super) struct Ledger(Vec<Entry>);

/// One part that is being measured; its first round replaces what was known of it.
pub(super) struct Rounds {
    path: PathBuf,
    entries: Vec<Entry>,
}

fn path(directory: &Path, part: &str) -> PathBuf {
    directory.join(format!("failover-{part}.rounds.json"))
}

impl Ledger {
    /// What the files of these parts hold, in this order; nothing for one that is not there, or is of another make.
    pub(super) fn read(directory: &Path, parts: &[&str]) -> Self {
        let of = |part: &&str| -> Option<Vec<Entry>> {
            serde_json::from_slice(&fs::read(path(directory, part)).ok()?).ok()
        };
        Self(parts.iter().filter_map(of).flatten().collect())
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn summary(&self, case: &str, measure: Measure, contestant: &str) -> Option<Summary> {
        let wanted =
            |entry: &&Entry| entry.case == case && entry.measure == measure && entry.contestant == contestant;
        Summary::of(&self.0.iter().find(wanted)?.rounds)
    }
}

impl Rounds {
    pub(super) fn of(directory: &Path, part: &str) -> Self {
        Self { path: path(directory, part), entries: Vec::new() }
    }

    /// Adds a round, and writes all down, so that a run that is ended keeps what it has.
    pub(super) fn add(&mut self, case: &str, measure: Measure, contestant: &str, value: f64) -> Result<()> {
        let Self { path, entries } = self;
        let same = |entry: &&mut Entry| {
            entry.case == case && entry.measure == measure && entry.contestant == contestant
        };
        match entries.iter_mut().find(same) {
            Some(entry) => entry.rounds.push(value),
            None => entries.push(Entry {
                case: case.to_owned(),
                measure,
                contestant: contestant.to_owned(),
                rounds: vec![value],
            }),
        }
        let text = serde_json::to_string(entries).context("cannot render the rounds")?;
        fs::write(&*path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_measured_again_replaces_its_rounds_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        for values in [&[1.0][..], &[5.0, 7.0]] {
            let mut rounds = Rounds::of(directory.path(), "a");
            for &value in values {
                rounds.add("x", Measure::Gone, "ours", value).unwrap();
            }
        }
        Rounds::of(directory.path(), "b").add("y", Measure::Gone, "ours", 2.0).unwrap();
        let ledger = Ledger::read(directory.path(), &["a", "b", "c"]);
        let median = |case| ledger.summary(case, Measure::Gone, "ours").map(|summary| summary.median);
        assert_eq!((median("x"), median("y"), median("z")), (Some(6.0), Some(2.0), None));
    }
}
