//! Swaps: how long requests take while a node takes over new snapshots, and whether any is lost or answered wrongly.
//!
//! The whole node, with the thread that copies and proves snapshots, has one CPU; the client has the other. Requests
//! are sent at fixed times, and latency counts from the time at which a request was due, so that a pause of the node
//! is felt by every request that falls into it. Windows with swaps and windows without alternate.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use snapshot_format::layout::{SECTION_ALIGNMENT, parse_first_page, render_first_page};

use super::links::{Links, TemporaryFile};
use super::machine::Pinned;
use super::report::{Better, Metric, Report};
use super::rows::spoken;
use super::{Effort, node};

mod client;

use client::{Client, Window};

/// The CPU of the node.
const NODE_CPU: usize = 0;

/// The CPU of the client, which never sleeps.
const CLIENT_CPU: usize = 1;

/// Requests that are due in a second.
const RATE: u32 = 5_000;

/// Keep-alive connections that take turns.
const CONNECTIONS: usize = 8;

/// Windows of either kind, and swaps in a window: ten swaps in all.
const WINDOWS: usize = 5;
const SWAPS_PER_WINDOW: u64 = 2;

/// What follows a swap belongs to it: the old snapshot is unmapped then.
const AFTERMATH: Duration = Duration::from_secs(2);

/// A node that has not taken over a snapshot by then is broken.
const PATIENCE: Duration = Duration::from_secs(120);

const CALM: &str = "without swaps";
const SWAPPING: &str = "while swapping";

const TAKEOVER: Metric = Metric { name: "from signal to first answer", unit: "s", better: Better::Less };
const LOST: Metric = Metric { name: "requests lost", unit: "of all", better: Better::Less };
const WRONG: Metric = Metric { name: "wrong answers", unit: "of all", better: Better::Less };

/// Measures ten swaps and returns what was found; a lost request or a wrong answer is an error.
pub(crate) fn run(effort: &Effort, directory: &Path, carom: &Path) -> Result<Report> {
    let mut report = Report::new("swap", "Latency of requests while snapshots are swapped", Some(CALM));
    let links = if effort.quick { 1_000_000 } else { 10_000_000 };
    let case = format!("{} links, {RATE} requests/s", spoken(links));
    let files = TemporaryFile::new(directory.join("swap"));
    fs::create_dir_all(&files.0).with_context(|| format!("cannot make {}", files.0.display()))?;
    println!("{case}: making snapshots");
    let mut publisher = Publisher::new(&files.0, links)?;
    let (process, address) =
        node::start(carom, &files.0, &publisher.path, NODE_CPU).context("cannot start carom")?;
    publisher.signal = Some(Pid::from_raw(process.pid().cast_signed()).context("a process has an id")?);
    let _pinned = Pinned::to(CLIENT_CPU)?;
    let mut client = Client::connect(address, CONNECTIONS, RATE, links)?;
    let (mut lost, mut wrong) = (0, 0);
    let mut calm = Duration::from_secs(if effort.quick { 2 } else { 10 });
    client.run_until(|_, began| began.elapsed() > calm)?;
    client.take()?;
    for window in 1..=WINDOWS {
        println!("{case}: window {window} of {WINDOWS}");
        client.run_until(|_, began| began.elapsed() > calm)?;
        let found = client.take()?;
        (lost, wrong) = (lost + found.lost, wrong + found.wrong);
        add(&mut report, &case, CALM, &found);
        publisher.prepare()?;
        let began = Instant::now();
        for _ in 0..SWAPS_PER_WINDOW {
            let takeover = swap(&mut client, &mut publisher)?;
            report.add(&case, TAKEOVER, SWAPPING, takeover.as_secs_f64());
        }
        // Both kinds of windows are equally long, so that their highest quantiles mean the same.
        calm = began.elapsed();
        let found = client.take()?;
        (lost, wrong) = (lost + found.lost, wrong + found.wrong);
        add(&mut report, &case, SWAPPING, &found);
    }
    report.add(&case, LOST, SWAPPING, lost as f64);
    report.add(&case, WRONG, SWAPPING, wrong as f64);
    let swaps = WINDOWS as u64 * SWAPS_PER_WINDOW;
    report.note(format!(
        "{swaps} swaps; windows of either kind alternate, {:.1} s each at last",
        calm.as_secs_f64()
    ));
    report.note("the node has one CPU in all: copying and proving a snapshot share it with the shard");
    ensure!(lost == 0 && wrong == 0, "{lost} requests were lost and {wrong} answers were wrong");
    Ok(report)
}

/// One swap, watched until its aftermath is over.
fn swap(client: &mut Client, publisher: &mut Publisher) -> Result<Duration> {
    let generation = publisher.publish()?;
    client.expect(generation);
    let mut taken_over = None;
    client.run_until(|client, began| {
        if client.confirmed() == generation && taken_over.is_none() {
            taken_over = Some(began.elapsed());
        }
        let end = taken_over.map_or(PATIENCE, |taken_over| taken_over + AFTERMATH);
        began.elapsed() > end
    })?;
    taken_over
        .with_context(|| format!("generation {generation} was not served within {} s", PATIENCE.as_secs()))
}

fn add(report: &mut Report, case: &str, kind: &str, window: &Window) {
    for (name, quantile) in [
        ("median latency", 0.5),
        ("latency, 99 %", 0.99),
        ("latency, 99.9 %", 0.999),
        ("longest latency", 1.0),
    ] {
        let metric = Metric { name, unit: "µs", better: Better::Less };
        report.add(case, metric, kind, window.quantile_us(quantile));
    }
}

/// Two snapshots, every destination different, that take turns under ever higher generation numbers.
struct Publisher {
    /// Snapshots of even and of odd generations.
    editions: [PathBuf; 2],
    /// What the node looks at.
    path: PathBuf,
    generation: u64,
    signal: Option<Pid>,
}

impl Publisher {
    /// Publishes the first generation.
    fn new(directory: &Path, links: u64) -> Result<Self> {
        let editions = [0, 1].map(|edition| directory.join(format!("edition-{edition}.snapshot")));
        for (edition, path) in (0..).zip(&editions) {
            Links::Synthetic { links, edition }.write_snapshot(path, 1)?;
        }
        let path = directory.join("links.snapshot");
        fs::hard_link(&editions[1], &path).context("cannot publish the first snapshot")?;
        Ok(Self { editions, path, generation: 1, signal: None })
    }

    /// Makes the snapshots of a window ready to be renamed.
    ///
    /// Their generation numbers are written in place, which is no harm here: the node serves copies of its own, and
    /// looks at the path only when it is told to.
    fn prepare(&self) -> Result<()> {
        for generation in self.generation + 1..=self.generation + SWAPS_PER_WINDOW {
            let edition = &self.editions[(generation % 2) as usize];
            let file = File::options().read(true).write(true).open(edition)?;
            let mut page = vec![0; SECTION_ALIGNMENT as usize];
            file.read_exact_at(&mut page, 0)?;
            let (mut header, sections) = parse_first_page(&page).context("the snapshot lost its head")?;
            header.generation = generation;
            file.write_all_at(&render_first_page(&header, &sections), 0)?;
            file.sync_all()?;
            fs::hard_link(edition, self.prepared(generation))?;
        }
        Ok(())
    }

    /// Publishes the next generation by a rename, and tells the node.
    fn publish(&mut self) -> Result<u64> {
        self.generation += 1;
        fs::rename(self.prepared(self.generation), &self.path).context("cannot publish a snapshot")?;
        if let Some(pid) = self.signal {
            kill_process(pid, Signal::HUP).context("cannot signal carom")?;
        }
        Ok(self.generation)
    }

    fn prepared(&self, generation: u64) -> PathBuf {
        self.path.with_extension(generation.to_string())
    }
}
