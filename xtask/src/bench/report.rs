//! What one benchmark found: rounds by case, metric and contestant, as a table, as JSON and as a plot.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::curves::{self, Axes, Point};
use super::machine::{Machine, load};
use super::plot;
use super::stats::Summary;

/// Load of a machine on which times mean something; building what is measured leaves about this much behind.
const LOAD_MAX: f64 = 2.0;

/// Everything that one benchmark has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Name of the files and of the subcommand.
    pub(crate) benchmark: &'static str,
    pub(crate) title: &'static str,
    pub(crate) machine: Machine,
    /// The contestant that ratios are taken to, if there is any to compare.
    pub(crate) baseline: Option<&'static str>,
    /// What a reader must know to judge the numbers, and what was left out and why.
    pub(crate) notes: Vec<String>,
    pub(crate) measurements: Vec<Measurement>,
    /// Points of curves, for a report that is drawn by lines instead of bars.
    pub(crate) points: Vec<Point>,
    pub(crate) axes: Option<Axes>,
}

/// The rounds of one contestant in one case.
#[derive(Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) case: String,
    pub(crate) metric: Metric,
    pub(crate) contestant: String,
    pub(crate) rounds: Vec<f64>,
    pub(crate) summary: Option<Summary>,
}

/// What is counted, in what unit, and which direction is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

/// Which direction of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Less,
    More,
    /// A circumstance that helps to read the other metrics.
    Neither,
}

impl Report {
    pub(crate) fn new(benchmark: &'static str, title: &'static str, baseline: Option<&'static str>) -> Self {
        let mut report = Self {
            benchmark,
            title,
            machine: Machine::of_this_run(),
            baseline,
            notes: Vec::new(),
            measurements: Vec::new(),
            points: Vec::new(),
            axes: None,
        };
        let load = load();
        if load > LOAD_MAX {
            report.note(format!("the machine was busy (load {load:.1}): trust ratios, not times"));
        }
        report
    }

    /// Adds a round to the contestant's rounds in this case.
    pub(crate) fn add(&mut self, case: &str, metric: Metric, contestant: &str, value: f64) {
        let same = |found: &&mut Measurement| {
            found.case == case && found.metric == metric && found.contestant == contestant
        };
        let measurement = match self.measurements.iter_mut().find(same) {
            Some(measurement) => measurement,
            None => {
                self.measurements.push(Measurement {
                    case: case.to_owned(),
                    metric,
                    contestant: contestant.to_owned(),
                    rounds: Vec::new(),
                    summary: None,
                });
                self.measurements.last_mut().expect("one was pushed just now")
            }
        };
        measurement.rounds.push(value);
        measurement.summary = Summary::of(&measurement.rounds);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        println!("  note: {note}");
        self.notes.push(note);
    }

    /// Median of this measurement over that of the baseline in the same case.
    pub(crate) fn ratio(&self, measurement: &Measurement) -> Option<f64> {
        let Measurement { case, metric, .. } = measurement;
        let name = self.baseline.filter(|_| metric.better != Better::Neither)?;
        let same =
            |other: &&Measurement| other.case == *case && other.metric == *metric && other.contestant == name;
        let baseline = self.measurements.iter().find(same)?;
        Some(measurement.summary?.median / baseline.summary?.median)
    }

    /// Measurements with the same case and metric side by side, in the order in which they came.
    pub(crate) fn panels(&self) -> Vec<((&str, Metric), Vec<&Measurement>)> {
        let mut panels: Vec<((&str, Metric), Vec<&Measurement>)> = Vec::new();
        for measurement in &self.measurements {
            let key = (measurement.case.as_str(), measurement.metric);
            match panels.iter_mut().find(|(found, _)| *found == key) {
                Some((_, measurements)) => measurements.push(measurement),
                None => panels.push((key, vec![measurement])),
            }
        }
        panels
    }

    /// Prints the table and writes JSON and plot into `directory`.
    pub(crate) fn publish(&self, directory: &Path) -> Result<()> {
        println!("\n{}", self.table());
        let json = directory.join(format!("{}.json", self.benchmark));
        let text = serde_json::to_string_pretty(self).context("cannot render the report as JSON")?;
        fs::write(&json, text + "\n").with_context(|| format!("cannot write {}", json.display()))?;
        let svg = directory.join(format!("{}.svg", self.benchmark));
        match self.axes {
            Some(axes) => curves::draw(self, axes, &svg)?,
            None => plot::draw(self, &svg)?,
        }
        println!("wrote {} and {}", json.display(), svg.display());
        Ok(())
    }

    /// The table as text that is Markdown as well.
    pub(crate) fn table(&self) -> String {
        let mut rows =
            vec![["case", "metric", "contestant", "median", "min", "max", "ratio"].map(str::to_owned)];
        for measurement in self.panels().into_iter().flat_map(|(_, measurements)| measurements) {
            let Measurement { case, metric, contestant, rounds: _, summary } = measurement;
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), rounded);
            rows.push([
                case.clone(),
                format!("{} ({})", metric.name, metric.unit),
                contestant.clone(),
                number(summary.map(|summary| summary.median)),
                number(summary.map(|summary| summary.min)),
                number(summary.map(|summary| summary.max)),
                self.ratio(measurement).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            ]);
        }
        let mut text = format!("{}\n{}\n", self.title, self.machine);
        if let Some(baseline) = self.baseline {
            text.push_str(&format!("median of the rounds; ratio to {baseline}\n"));
        }
        text.push('\n');
        text.push_str(&aligned(&rows));
        for note in &self.notes {
            text.push_str(&format!("* {note}\n"));
        }
        text
    }
}

/// Three significant digits at least, thousands apart.
pub(crate) fn rounded(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let digits_left = whole.len() - place;
        if place > 0 && digits_left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Rows as a Markdown table: three columns of words, then numbers to the right.
fn aligned(rows: &[[String; 7]]) -> String {
    let widths: [usize; 7] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            text.push_str(&if column < 3 {
                format!("| {cell:<width$} ")
            } else {
                format!("| {cell:>width$} ")
            });
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (dashes, end) = ("-".repeat(width + 1), if column < 3 { "-" } else { ":" });
                text.push_str(&format!("|{dashes}{end}"));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Metric = Metric { name: "time", unit: "ns", better: Better::Less };

    #[test]
    fn numbers_are_rounded_for_readers() {
        for (value, expected) in [
            (0.0, "0.00"),
            (0.1234, "0.123"),
            (9.876, "9.88"),
            (12.34, "12.3"),
            (1234.5, "1,234"),
            (-1e6, "-1,000,000"),
        ] {
            assert_eq!(rounded(value), expected);
        }
    }

    #[test]
    fn a_ratio_is_taken_to_the_baseline_of_the_same_case() {
        let mut report = Report::new("test", "Test", Some("ours"));
        for (case, contestant, value) in [
            ("hit", "ours", 10.0),
            ("hit", "theirs", 30.0),
            ("miss", "ours", 7.0),
            ("hit", "theirs", 20.0),
            ("alone", "theirs", 1.0),
        ] {
            report.add(case, TIME, contestant, value);
        }
        let ratios: Vec<_> = report.measurements.iter().map(|found| report.ratio(found)).collect();
        assert_eq!(ratios, [Some(1.0), Some(2.5), Some(1.0), None]);
        assert!(
            report.table().contains("| hit   | time (ns) | theirs     |   25.0 | 20.0 | 30.0 |  2.50 |"),
            "{}",
            report.table()
        );
    }
}
