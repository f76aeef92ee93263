//! `carom check`: every problem of configuration, snapshot and machine at once, each with its fix.

pub mod clicks;

pub mod guard;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use snapshot_format::open_mapped;

use super::machine::{Directory, Machine};
use crate::config::{self, LoadError, Problem, Problems, Settings};
use crate::limits::{DESCRIPTORS_PER_SHARD, DESCRIPTORS_RESERVED, RING_LOCKED_BYTES_MIN, SHED_FAREWELLS_MAX};

/// Everything that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// True without errors; warnings may be there.
    pub ok: bool,
    /// The configuration as it was named.
    pub configuration: String,
    /// What is wrong, errors and warnings.
    pub findings: Vec<Finding>,
    /// The snapshot, if it is good.
    pub snapshot: Option<SnapshotReport>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the node would start and serve all the same.
    pub severity: Severity,
    /// File and line, or the key that it is about.
    pub place: String,
    /// What was found, and what was expected.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The node would not start, or not serve.
    Error,
    /// The node would serve, with less than was configured.
    Warning,
}

/// A snapshot that could be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotReport {
    /// The configured name.
    pub path: String,
    /// Number that its builder gave it.
    pub generation: u64,
    /// When its input was made, in Unix seconds.
    pub built_at_unix_s: u64,
    /// Links in it.
    pub links: u64,
    /// Domains in it.
    pub domains: u32,
    /// Size in bytes.
    pub bytes: u64,
}

/// Checks the configuration at `path` and what it names, and prints the report.
pub(super) fn run(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let report = look(path);
    if json {
        super::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        super::print(&text(&report))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads, opens and looks; the judging is in the functions below.
fn look(path: &Path) -> Report {
    let configuration = path.display().to_string();
    let settings = match config::load(path) {
        Ok(settings) => settings,
        Err(error) => {
            return Report { ok: false, configuration, findings: unreadable(&error), snapshot: None };
        }
    };
    let (snapshot, mut findings) = match open_snapshot(&settings.snapshot.path) {
        Ok(snapshot) => (Some(snapshot), Vec::new()),
        Err(finding) => (None, vec![finding]),
    };
    let snapshot_bytes = snapshot.as_ref().map(|snapshot| snapshot.bytes);
    findings.extend(judge(&settings, snapshot_bytes, &Machine::look(&settings)));
    findings.extend(guard::judge(&settings, &guard::Ground::look(&settings)));
    findings.extend(clicks::judge(&settings));
    findings.sort_by_key(|finding| finding.severity);
    let ok = findings.iter().all(|finding| finding.severity == Severity::Warning);
    Report { ok, configuration, findings, snapshot }
}

fn error(place: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, place: place.into(), problem: problem.into(), fix: fix.into() }
}

fn warning(place: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, ..error(place, problem, fix) }
}

fn unreadable(failure: &LoadError) -> Vec<Finding> {
    match failure {
        LoadError::Unreadable { path, source } => {
            let place = path.display().to_string();
            vec![error(place, format!("cannot be read: {source}"), "`carom config` prints one to start from")]
        }
        LoadError::TooLong { .. } => vec![error("--config", failure.to_string(), "name another file")],
        LoadError::Invalid(Problems { file, problems, more }) => {
            let file = file.display();
            let finding = |Problem { line, key, found, expected, fix }: &Problem| {
                let place = line.map_or(file.to_string(), |line| format!("{file}:{line}"));
                let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
                error(place, format!("{key}{found}: {expected}"), fix)
            };
            let rest = format!("and {more} more problems");
            let rest = (*more > 0).then(|| error(file.to_string(), rest, "fix those above first"));
            problems.iter().map(finding).chain(rest).collect()
        }
    }
}

fn open_snapshot(path: &Path) -> Result<SnapshotReport, Finding> {
    let snapshot = open_mapped(path).map_err(|problem| {
        let build = format!("build one with `snapshot-tool build --output {}`", path.display());
        error("snapshot.path", problem.to_string(), build)
    })?;
    Ok(SnapshotReport {
        path: path.display().to_string(),
        generation: snapshot.generation(),
        built_at_unix_s: snapshot.built_at_unix_s(),
        links: snapshot.links(),
        domains: snapshot.domains(),
        bytes: snapshot.bytes_len(),
    })
}

/// What the machine does not give that the settings want.
pub fn judge(settings: &Settings, snapshot_bytes: Option<u64>, machine: &Machine) -> Vec<Finding> {
    let Machine { ring_error, absent_addresses, directories, .. } = machine;
    let mut findings = Vec::new();
    findings.extend(ring_error.as_deref().map(no_ring));
    findings.extend(absent_addresses.iter().map(|address| {
        let fix = format!("add it, such as `ip address add {} dev lo`, or correct the key", address.ip());
        error("listen.http", format!("no interface has {}", address.ip()), fix)
    }));
    findings.extend(privileged_port(settings, machine));
    findings.extend(directories.iter().filter_map(not_writable));
    findings.extend(too_little_room(snapshot_bytes, machine));
    findings.extend(too_little_memory_to_lock(settings, snapshot_bytes, machine));
    findings.extend(too_few_descriptors(settings, machine));
    findings.extend(short_accept_queue(settings, machine));
    findings.extend(more_shards_than_cpus(settings, machine));
    findings
}

fn no_ring(ring_error: &str) -> Finding {
    let fix = format!(
        "allow io_uring: kernel.io_uring_disabled = 0, a seccomp profile that permits it, and LimitMEMLOCK of \
         {RING_LOCKED_BYTES_MIN} bytes or more"
    );
    error("io_uring", format!("the kernel refuses a ring: {ring_error}"), fix)
}

fn privileged_port(settings: &Settings, machine: &Machine) -> Option<Finding> {
    let start = machine.unprivileged_port_start?;
    let low = settings.listen.all();
    let low = low.iter().find(|address| (1..start).contains(&u64::from(address.port())))?;
    (!machine.may_bind_any_port).then(|| {
        error(
            "listen.http",
            format!("port {} needs a privilege that this user lacks", low.port()),
            format!(
                "AmbientCapabilities=CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start = {}",
                low.port()
            ),
        )
    })
}

fn not_writable(Directory { key, path, error: problem }: &Directory) -> Option<Finding> {
    let problem = problem.as_ref()?;
    let path = path.display();
    let fix = format!("`install -d -o USER {path}` for the user that runs the node");
    Some(error(*key, format!("no file can be created in {path}: {problem}"), fix))
}

fn too_little_room(snapshot_bytes: Option<u64>, machine: &Machine) -> Option<Finding> {
    let (needed, free) = (snapshot_bytes?, machine.state_bytes_free?);
    (free < needed).then(|| {
        error(
            "node.state_dir",
            format!("the private copy of the snapshot needs {}, and {} are free", size(needed), size(free)),
            "free some, or name another directory",
        )
    })
}

fn too_little_memory_to_lock(
    settings: &Settings,
    snapshot_bytes: Option<u64>,
    machine: &Machine,
) -> Option<Finding> {
    let needed = snapshot_bytes?.saturating_mul(2);
    let allowed = machine.memlock_bytes_max;
    (settings.snapshot.lock_memory && allowed < needed).then(|| {
        warning(
            "snapshot.lock_memory",
            format!("two snapshots take {} during a swap, and {} may be locked", size(needed), size(allowed)),
            "LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited`, or lock_memory = false",
        )
    })
}

fn too_few_descriptors(settings: &Settings, machine: &Machine) -> Option<Finding> {
    let shards = settings.listen.shards.map_or(machine.cpus as u64, |shards| u64::from(shards.get()));
    let per_shard = settings.connections.per_shard_max + SHED_FAREWELLS_MAX + settings.listen.all().len();
    let needed = shards * (per_shard as u64 + DESCRIPTORS_PER_SHARD) + DESCRIPTORS_RESERVED;
    // Round up: standard streams and files of the start need some too.
    let needed = (needed + 64).next_multiple_of(1_024);
    let allowed = machine.descriptors_max;
    (allowed < needed).then(|| {
        warning(
            "limits.connections_per_shard_max",
            format!("{shards} shards need up to {needed} descriptors, and {allowed} may be open"),
            format!("LimitNOFILE={needed} in the unit, or fewer connections"),
        )
    })
}

fn short_accept_queue(settings: &Settings, machine: &Machine) -> Option<Finding> {
    let (wanted, allowed) = (u64::from(settings.listen.backlog), machine.somaxconn?);
    (allowed < wanted).then(|| {
        warning(
            "listen.backlog",
            format!("the kernel cuts {wanted} to {allowed}"),
            format!("`sysctl -w net.core.somaxconn={wanted}`, or backlog = {allowed}"),
        )
    })
}

fn more_shards_than_cpus(settings: &Settings, machine: &Machine) -> Option<Finding> {
    let (shards, cpus) = (settings.listen.shards?.get() as usize, machine.cpus);
    (shards > cpus).then(|| {
        warning(
            "listen.shards",
            format!("{shards} shards share {cpus} CPUs"),
            "shards = 0 gives each CPU one shard",
        )
    })
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    if bytes == u64::MAX {
        return "any amount".into();
    }
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let power = (1..units.len()).rev().find(|&power| bytes >> (10 * power) > 0).unwrap_or(0);
    if power == 0 {
        return format!("{bytes} bytes");
    }
    format!("{:.1} {}", bytes as f64 / (1_u64 << (10 * power)) as f64, units[power])
}

/// The report for people.
fn text(report: &Report) -> String {
    let Report { ok, configuration, findings, snapshot } = report;
    let mut text = String::new();
    let grow = "writing to a String cannot fail";
    for Finding { severity, place, problem, fix } in findings {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(text, "{severity}: {place}: {problem}; {fix}").expect(grow);
    }
    if let Some(SnapshotReport { path, generation, built_at_unix_s, links, domains, bytes }) = snapshot {
        let built = i64::try_from(*built_at_unix_s).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let built = built.map_or("at an impossible time".into(), |built| built.to_string());
        let size = size(*bytes);
        writeln!(
            text,
            "snapshot: {path}: generation {generation}, {links} links in {domains} domains, built {built}, {size}"
        )
        .expect(grow);
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let verdict = if *ok { "ok" } else { "not ok" };
    writeln!(
        text,
        "{verdict}: {configuration}: {}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    )
    .expect(grow);
    text
}

/// A number and its noun.
fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests;
