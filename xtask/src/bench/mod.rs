//! Measures what this repository claims about speed, against peers, and leaves tables, JSON and plots behind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build_ebpf;
use crate::setup::{self, Purpose};
use crate::workspace::{NotRun, Profile, Verdict, Workspace, succeeds};

mod build;
mod clicks;
mod failover;
mod guard;
mod http;
mod lookup;
mod swap;

mod curves;
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
    /// Rounds of each case of failover; 20 unless told, 5 when quick
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=200))]
    runs: Option<u16>,
    /// Measure only these parts of failover; what was measured earlier stays in its report
    #[arg(long, value_enum, value_name = "PART")]
    part: Vec<failover::Part>,
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
    /// Nanoseconds per verdict of the guard, and redirects under attack, against xdp-filter and nftables; needs root
    Guard,
    /// From faults and commands to the neighbour's kernel, in network namespaces; needs root, and is not among all
    Failover,
    /// All of them but failover, one after the other
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

/// One benchmark, ready to run.
type Measure<'m> = dyn Fn() -> Result<Vec<Report>> + 'm;

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    if options.subject == Subject::Failover && options.quick {
        return run_quick_failover(options, workspace);
    }
    if options.subject == Subject::Guard && options.quick {
        return run_quick_guard(workspace);
    }
    if cfg!(debug_assertions) {
        return run_release_build(options.subject, workspace);
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
    let target = workspace.target()?;
    let (guard, bench) = (target.join("ebpf/guard.o"), build_ebpf::bench_object(&target));
    let objects = guard::Objects { guard: &guard, bench: &bench, carom: &carom };
    let benchmarks: [(Subject, &Measure<'_>); 6] = [
        (Subject::Http, &|| published(http::run(&effort, &directory, &carom, &real_links), &directory)),
        (Subject::Lookup, &|| published(lookup::run(&effort, &directory, &real_links), &directory)),
        (Subject::Build, &|| published(build::run(&effort, &directory, &tool), &directory)),
        (Subject::Swap, &|| published(swap::run(&effort, &directory, &carom), &directory)),
        (Subject::Guard, &|| guard::run(&effort, &directory, &objects, &real_links)),
        (Subject::Clicks, &|| published(clicks::run(&effort, &directory, &carom, &real_links), &directory)),
    ];
    let mut reports = Vec::new();
    if options.subject == Subject::Failover {
        let report = failover(options, workspace, &binaries, &directory)?;
        report.publish(&directory)?;
        reports.push(report);
    }
    for (subject, measure) in benchmarks {
        if [subject, Subject::All].contains(&options.subject) {
            reports.extend(measure()?);
        }
    }
    if let Some(path) = &options.json {
        write_json(&reports, path)?;
    }
    Ok(Verdict::Passed)
}

/// Publishes the one report of a benchmark that has no more.
fn published(report: Result<Report>, directory: &Path) -> Result<Vec<Report>> {
    let report = report?;
    report.publish(directory)?;
    Ok(vec![report])
}

fn write_json(reports: &[Report], path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(reports).context("cannot render the reports as JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn failover(options: &Options, workspace: &Workspace, binaries: &Path, directory: &Path) -> Result<Report> {
    let runs = options.runs.map_or(if options.quick { 5 } else { 20 }, usize::from);
    let tool = || setup::python_program(&workspace.target()?, setup::ANYCAST_HEALTHCHECKER);
    failover::run(runs, &options.part, binaries, directory, &tool)
}

/// With programs as tests build them: what is measured is probes, timers and BIRD, which that hardly changes.
fn run_quick_failover(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Bench, Purpose::Lab]);
    let packages = ["carom", "carom-bgp", "snapshot-tool"].into_iter().flat_map(|name| ["--package", name]);
    if !succeeds(&mut workspace.cargo(["build"].into_iter().chain(packages)))? {
        return Ok(Verdict::Failed);
    }
    let directory = workspace.target()?.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    failover(options, workspace, &workspace.binaries(Profile::Dev)?, &directory)?.publish(&directory)?;
    Ok(Verdict::Passed)
}

/// Verdicts, lists and a short curve with programs as tests build them: what is measured is the kernel and the program in it,
/// and a node that answers two thousand times a second is not what ends first.
fn run_quick_guard(workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Bench]);
    if let Some(NotRun { what, why }) = build_ebpf::build(workspace, false)? {
        println!("{what}: {why}");
        return Ok(Verdict::Failed);
    }
    if !succeeds(&mut workspace.cargo(["build", "--package", "carom"]))? {
        return Ok(Verdict::Failed);
    }
    let target = workspace.target()?;
    let directory = target.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let carom = workspace.binaries(Profile::Dev)?.join("carom");
    let (guard, bench) = (target.join("ebpf/guard.o"), build_ebpf::bench_object(&target));
    let objects = guard::Objects { guard: &guard, bench: &bench, carom: &carom };
    let effort = Effort { quick: true, full: false, rounds: stats::ROUNDS_MIN };
    guard::run(&effort, &directory, &objects, &workspace.root().join("examples/debian-homepages.csv"))?;
    Ok(Verdict::Passed)
}

/// Builds what is measured and this program itself as shipped, and does the same again with that.
fn run_release_build(subject: Subject, workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Bench]);
    if [Subject::Guard, Subject::All].contains(&subject)
        && let Some(NotRun { what, why }) = build_ebpf::build(workspace, false)?
    {
        println!("{what}: {why}");
        return Ok(Verdict::Failed);
    }
    let packages =
        ["carom", "carom-bgp", "snapshot-tool", "xtask"].into_iter().flat_map(|name| ["--package", name]);
    let build = ["build", "--release"].into_iter().chain(packages);
    if !succeeds(&mut workspace.cargo(build))? {
        return Ok(Verdict::Failed);
    }
    let program = workspace.binaries(Profile::Release)?.join("xtask");
    let mut again = Command::new(&program);
    again.args(env::args_os().skip(1)).env(ALLOCATOR_SETTING, "glibc.malloc.hugetlb=1");
    Ok(Verdict::passed_if(succeeds(&mut again)?))
}
