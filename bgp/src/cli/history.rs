//! The audit log for people and programs, and whether its chain holds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::print;
use crate::audit::{self, Record};
use crate::config;

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The log; without it the one in the state directory that the configuration names.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: super::ConfigFile,
    /// Only the last so many; all are verified.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Write one JSON object per line, as in the file.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => config::load(&args.config.path)?.state_dir.join("audit.log"),
    };
    let history = audit::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let first = history.records.len().saturating_sub(args.last.unwrap_or(usize::MAX));
    let mut text = String::new();
    for record in &history.records[first..] {
        if args.json {
            text.push_str(&serde_json::to_string(record)?);
            text.push('\n');
        } else {
            text.push_str(&line(record));
        }
    }
    if !args.json && history.breaks.is_empty() {
        let _ = writeln!(text, "{} records, the chain holds", history.records.len());
    }
    print(&text)?;
    for broken in &history.breaks {
        eprintln!("carom-bgp: {}: {broken}", path.display());
    }
    Ok(if history.breaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(Record { number, entry, .. }: &Record) -> String {
    let mut text = format!("{number:>6} {} {:<8} {:<14}", entry.at, entry.kind, entry.announcement);
    if let (Some(before), Some(after)) = (entry.before, entry.after) {
        let _ = write!(text, " {before} → {after}");
    }
    let _ = write!(text, " {}", entry.cause);
    if !entry.evidence.is_empty() {
        let _ = write!(text, " [{}]", entry.evidence);
    }
    let _ = write!(text, " by {}", entry.actor);
    if let Some(us) = entry.bird_us {
        let _ = write!(text, ", BIRD {:.2} ms", us as f64 / 1000.0);
    }
    if !entry.error.is_empty() {
        let _ = write!(text, ", NOT DONE: {}", entry.error);
    }
    text.push('\n');
    text
}
