//! Building: rows in a CSV file to a proven, published snapshot, by snapshot-tool as it ships.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::links::TemporaryFile;
use super::report::{Better, Metric, Report};
use super::rows;

const TIME: Metric = Metric { name: "time", unit: "s", better: Better::Less };
const RATE: Metric = Metric { name: "rate", unit: "links/s", better: Better::More };
const OWN_MEMORY: Metric = Metric { name: "own memory at most", unit: "MiB", better: Better::Less };
const MEMORY: Metric = Metric { name: "memory with mapped files at most", unit: "MiB", better: Better::Less };
const SIZE: Metric = Metric { name: "size of the snapshot", unit: "bytes/link", better: Better::Less };

const NAME: &str = "snapshot-tool build";

/// How often the memory of the builder is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Disk that rows, temporary data and snapshot take together, per link.
const DISK_BYTES_PER_LINK: u64 = 420;

/// Measures every size and returns what was found.
pub(crate) fn run(effort: &Effort, directory: &Path, tool: &Path) -> Result<Report> {
    let mut report = Report::new("build", "Building a snapshot from CSV", None);
    report.note("includes the read-back of every link and the sync to disk; both CPUs may be used");
    let size = if effort.quick { 1_000_000 } else { 10_000_000 };
    measure(size, effort.rounds.min(5), directory, tool, &mut report)?;
    if effort.full {
        report.note("100 million links: one round");
        measure(100_000_000, 1, directory, tool, &mut report)?;
    } else {
        report.note("100 million links only with --full");
    }
    Ok(report)
}

fn measure(links: u64, rounds: usize, directory: &Path, tool: &Path, report: &mut Report) -> Result<()> {
    let case = format!("{} links", rows::spoken(links));
    let free = free_bytes(directory)?;
    if free < links * DISK_BYTES_PER_LINK {
        report.note(format!("{case}: left out, {} GB of disk are not enough", free / 1_000_000_000));
        return Ok(());
    }
    println!("{case}: generating rows");
    let input = TemporaryFile::new(directory.join("build.csv"));
    let mut generate = Command::new(tool);
    generate.args(["generate", "--links", &links.to_string()]).stdout(File::create(&input.0)?);
    ensure!(generate.status()?.success(), "snapshot-tool cannot generate rows");
    for round in 1..=rounds {
        println!("{case}: round {round} of {rounds}");
        let output = TemporaryFile::new(directory.join("build.snapshot"));
        let mut build = Command::new(tool);
        build.arg("build").arg("--output").arg(&output.0).arg("--temp-dir").arg(directory).arg(&input.0);
        let began = Instant::now();
        build.env_remove(super::ALLOCATOR_SETTING);
        let child = build.stdout(Stdio::null()).spawn().context("cannot run snapshot-tool")?;
        let peak = Peak::watch(child)?;
        let seconds = began.elapsed().as_secs_f64();
        let bytes = fs::metadata(&output.0)?.len();
        for (metric, value) in [
            (TIME, seconds),
            (RATE, links as f64 / seconds),
            (OWN_MEMORY, peak.own_mib),
            (MEMORY, peak.all_mib),
            (SIZE, bytes as f64 / links as f64),
        ] {
            report.add(&case, metric, NAME, value);
        }
    }
    Ok(())
}

/// The most memory that a process had.
#[derive(Debug, Default)]
struct Peak {
    /// Not backed by a file: what the program itself needs.
    own_mib: f64,
    /// With pages of mapped files, which the kernel takes back when it wants to.
    all_mib: f64,
}

impl Peak {
    /// Looks at the process until it ends well.
    fn watch(mut child: Child) -> Result<Self> {
        let mut peak = Self::default();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            peak.own_mib = peak.own_mib.max(mebibytes(&text, "RssAnon:"));
            peak.all_mib = peak.all_mib.max(mebibytes(&text, "VmHWM:"));
            thread::sleep(LOOK);
        };
        ensure!(status.success(), "snapshot-tool failed ({status})");
        Ok(peak)
    }
}

fn mebibytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1024.0
}

fn free_bytes(directory: &Path) -> Result<u64> {
    let system = rustix::fs::statvfs(directory).context("cannot ask for the free disk")?;
    Ok(system.f_bavail * system.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nRssAnon:\t     512 kB\n";
        for (name, expected) in [("VmHWM:", 2.0), ("RssAnon:", 0.5), ("RssFile:", 0.0)] {
            assert_eq!(mebibytes(status, name), expected);
        }
    }
}
