//! Measures what this repository claims about speed, against peers, and leaves tables, JSON and plots behind.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Purpose};
use crate::workspace::{Profile, Verdict, Workspace, succeeds};

mod build;
mod clicks;
mod http;
mod lookup;
mod swap;

mod links;
mod machine;
mod node;
mod plot;
mod process;
mod reply;
mod report;
mod rows;
mod stats;

use report::Report;

/// Measure speed against peers; tables on the screen, JSON and plots under target/bench
///
/// Everything is built in the release profile first. Times never make a run fail; a wrong answer does.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum, default_value_t = Subject::All)]
    subject: Subject,
    /// Smaller sets and shorter rounds: a look at the order of size
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// 100 million links too: needs 20 GiB of memory and 40 GB of disk, and takes a quarter of an hour
    #[arg(long)]
    full: bool,
    /// Write the reports of this run into one more file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    /// Redirects by carom, nginx and HAProxy: CPU time per request, requests per second
    Http,
    /// Code in, destination out, against tables in memory and on disk
    Lookup,
    /// From rows to a snapshot: time and memory
    Build,
    /// Latency of requests while snapshots are swapped
    Swap,
    /// CPU per redirect with clicks recorded and not, and while their receiver is down
    Clicks,
    /// All of them, one after the other
    All,
}

/// Makes the allocator ask for huge pages: tables in memory are to have them as the mapped snapshot has. For this
/// program only; programs under test run as they are shipped.
const ALLOCATOR_SETTING: &str = "GLIBC_TUNABLES";

/// How much of a benchmark to run.
pub(crate) struct Effort {
    quick: bool,
    full: bool,
    rounds: usize,
}

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    if cfg!(debug_assertions) {
        return run_release_build(workspace);
    }
    let directory = workspace.target()?.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let effort = Effort {
        quick: options.quick,
        full: options.full,
        rounds: if options.quick { stats::ROUNDS_MIN } else { 9 },
    };
    let real_links = workspace.root().join("examples/debian-homepages.csv");
    let binaries = workspace.binaries(Profile::Release)?;
    let (carom, tool) = (binaries.join("carom"), binaries.join("snapshot-tool"));
    let benchmarks: [(Subject, &dyn Fn() -> Result<Report>); 5] = [
        (Subject::Http, &|| http::run(&effort, &directory, &carom, &real_links)),
        (Subject::Lookup, &|| lookup::run(&effort, &directory, &real_links)),
        (Subject::Build, &|| build::run(&effort, &directory, &tool)),
        (Subject::Swap, &|| swap::run(&effort, &directory, &carom)),
        (Subject::Clicks, &|| clicks::run(&effort, &directory, &carom, &real_links)),
    ];
    let mut reports = Vec::new();
    for (subject, measure) in benchmarks {
        if [subject, Subject::All].contains(&options.subject) {
            let report = measure()?;
            report.publish(&directory)?;
            reports.push(report);
        }
    }
    if let Some(path) = &options.json {
        write_json(&reports, path)?;
    }
    Ok(Verdict::Passed)
}

fn write_json(reports: &[Report], path: &std::path::Path) -> Result<()> {
    let text = serde_json::to_string_pretty(reports).context("cannot render the reports as JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// Builds what is measured and this program itself as shipped, and does the same again with that.
fn run_release_build(workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Bench]);
    let packages = ["carom", "snapshot-tool", "xtask"].into_iter().flat_map(|name| ["--package", name]);
    let build = ["build", "--release"].into_iter().chain(packages);
    if !succeeds(&mut workspace.cargo(build))? {
        return Ok(Verdict::Failed);
    }
    let program = workspace.binaries(Profile::Release)?.join("xtask");
    let mut again = Command::new(&program);
    again.args(env::args_os().skip(1)).env(ALLOCATOR_SETTING, "glibc.malloc.hugetlb=1");
    Ok(Verdict::passed_if(succeeds(&mut again)?))
}
