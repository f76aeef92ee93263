//! `carom clicks top`: what is clicked most, from the records of the last minutes.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use clicks::Click;
use clicks::top::{Count, Top};
use serde::Serialize;

use super::super::print;
use super::SpoolArgs;
use super::filter::Filter;
use super::tail::Follower;
use crate::clicks::writer::unix_ms;

/// Keys that are remembered for each that is printed: what Space-Saving needs to be nearly exact.
const KEYS_PER_LINE: usize = 100;

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    spool: SpoolArgs,
    #[command(flatten)]
    filter: Filter,
    /// What is counted.
    #[arg(long, value_enum, default_value_t = By::Link)]
    by: By,
    /// How far back, such as `90s`, `5m` or `2h`.
    #[arg(long, default_value = "5m")]
    since: jiff::SignedDuration,
    /// How many lines.
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    lines: u32,
    /// Count bots, previews and prefetches as well.
    #[arg(long)]
    all: bool,
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Link,
    Domain,
    Referrer,
    Country,
    Device,
    Outcome,
    UserAgent,
    Who,
}

impl By {
    fn key(self, click: &Click<'_>) -> Vec<u8> {
        match self {
            Self::Link => [click.domain, b"/", click.code].concat(),
            Self::Domain => click.domain.to_vec(),
            Self::Referrer => click.referrer.to_vec(),
            Self::Country if click.country == [0; 2] => Vec::new(),
            Self::Country => click.country.to_vec(),
            Self::Device => click.device.label().into(),
            Self::Outcome => click.outcome.label().into(),
            Self::UserAgent => click.user_agent.to_vec(),
            Self::Who => click.bot.label().into(),
        }
    }
}

#[derive(Serialize)]
struct Report {
    clicks: u64,
    top: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    clicks: u64,
    error: u64,
}

pub(super) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let since_ms = u64::try_from(args.since.as_millis()).unwrap_or(0);
    let from = unix_ms().saturating_sub(since_ms);
    let mut top = Top::new(args.lines as usize * KEYS_PER_LINE);
    Follower::new(args.spool.directory()?).read(|_, _, click| {
        let person = click.bot.is_person() && !click.prefetch;
        if click.unix_ms >= from && (args.all || person) && args.filter.wants(click) {
            top.add(&args.by.key(click), u64::from(click.sample_rate));
        }
        Ok(())
    })?;
    let most = top.most(args.lines as usize).into_iter();
    let entries = most.map(|(key, Count { clicks, error })| Entry {
        key: String::from_utf8_lossy(&key).into_owned(),
        clicks,
        error,
    });
    let report = Report { clicks: top.total(), top: entries.collect() };
    if args.json {
        return print(&format!("{}\n", serde_json::to_string(&report)?));
    }
    let mut text = format!("{} clicks in the last {:#}\n", report.clicks, args.since);
    for Entry { key, clicks, error } in &report.top {
        let share = 100.0 * *clicks as f64 / report.clicks.max(1) as f64;
        let error = if *error > 0 { format!(" (at most {error} fewer)") } else { String::new() };
        let key = if key.is_empty() { "-".into() } else { key.escape_debug().to_string() };
        writeln!(text, "{clicks:>10} {share:>5.1} %  {key}{error}")?;
    }
    print(&text)
}
