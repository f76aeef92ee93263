//! `carom clicks audit`: whether every click is shipped, waiting, or lost for a counted reason.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clicks::ledger::{self, Audit, Tally};
use clicks::spool::{Cursor, Piece, SegmentReader};
use serde::Serialize;

use super::super::print;
use super::SpoolArgs;
use super::tail::segments;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    spool: SpoolArgs,
    /// From the last entry of the books not after this moment; the beginning, if left out.
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// To the last entry not after this moment; now, if left out.
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// Count the records on disk instead of believing the books. A running node writes meanwhile, so it must be down.
    #[arg(long, conflicts_with = "to")]
    recount: bool,
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    right: bool,
    clicks_unexplained: i128,
    records_unexplained: i128,
    from: Tally,
    to: Tally,
}

pub(super) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let directory = args.spool.directory()?;
    let mut tallies = ledger::read_all(&directory)
        .with_context(|| format!("cannot read the books of the spool in {}", directory.display()))?;
    if args.recount
        && let Some(last) = tallies.last_mut()
    {
        recount(&directory, last)?;
    }
    let at = |time: Option<jiff::Timestamp>, otherwise| {
        time.map_or(otherwise, |time| u64::try_from(time.as_millisecond()).unwrap_or(0))
    };
    let audit = Audit::new(&tallies, at(args.from, 0), at(args.to, u64::MAX))
        .context("the books have no entry up to then: nothing was recorded yet")?;
    let Audit { from, to, clicks_unexplained, records_unexplained } = audit;
    let right = audit.is_right();
    let text = if args.json {
        let report = Report { right, clicks_unexplained, records_unexplained, from, to };
        format!("{}\n", serde_json::to_string(&report)?)
    } else {
        rendered(&audit)
    };
    print(&text)?;
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts what is on disk in the place of what the last tally says about it.
fn recount(directory: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let cursor = Cursor::read(directory)?;
    let (mut waiting, mut here) = (0, false);
    for (number, path) in segments(directory)? {
        if number < cursor.position.segment {
            continue;
        }
        here |= number == cursor.position.segment;
        let mut reader = SegmentReader::open(&path)?;
        loop {
            match reader.next_piece()? {
                Piece::Block(block, _) => waiting += u64::from(block.records),
                Piece::Damaged(records) => waiting += records,
                Piece::End { .. } => break,
            }
        }
    }
    let done = if here { cursor.position.records } else { 0 };
    (tally.totals, tally.waiting) = (cursor.totals, waiting - done.min(waiting));
    Ok(())
}

fn rendered(audit: &Audit) -> String {
    let Audit { from, to, clicks_unexplained, records_unexplained } = audit;
    let mut text = String::new();
    let mut line = |what: &str, after: u64, before: u64| {
        let change = i128::from(after) - i128::from(before);
        writeln!(text, "{what:<46} {change:>12}").expect("a String takes every write");
    };
    line("clicks", to.clicks, from.clicks);
    line("  another record stands for them", to.sampled_out, from.sampled_out);
    line("  lost: ring full", to.ring_full, from.ring_full);
    line("  lost: disk", to.disk, from.disk);
    line("  lost: spool full (drop_newest)", to.spool_full, from.spool_full);
    line("  lost: the node ended without a farewell", to.crashed, from.crashed);
    line("  lost: unreadable in memory (a defect)", to.undecodable, from.undecodable);
    line("  in memory", to.in_flight, from.in_flight);
    line("  written to the spool", to.written, from.written);
    line("    shipped", to.totals.shipped, from.totals.shipped);
    line("    refused by the receiver", to.totals.rejected, from.totals.rejected);
    line("    dropped: spool full (drop_oldest)", to.totals.dropped, from.totals.dropped);
    line("    damaged on disk", to.totals.damaged, from.totals.damaged);
    line("    waiting", to.waiting, from.waiting);
    let verdict = if audit.is_right() {
        "every click is explained".to_owned()
    } else {
        format!("NOT explained: {clicks_unexplained} clicks, {records_unexplained} records")
    };
    text + &verdict + "\n"
}
