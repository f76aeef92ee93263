//! An outage of the receiver at full load, longer than the spool lasts: what redirects notice, and whether the loss is what the
//! books say.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Books, SERVER_CPU, books, receiver, script};
use crate::bench::Effort;
use crate::bench::http::wrk::{Done, LOADS};
use crate::bench::links::Links;
use crate::bench::node;
use crate::bench::process::Process;
use crate::bench::report::{Better, Metric, Report};

const OFF: &str = "not recording";
const CALM: &str = "recording, receiver up";
const OUTAGE: &str = "recording, receiver down";

const MEDIAN: Metric = Metric { name: "median latency", unit: "µs", better: Better::Less };
const HIGH: Metric = Metric { name: "latency, 99 %", unit: "µs", better: Better::Less };
const RATE: Metric = Metric { name: "redirects per second", unit: "1/s", better: Better::More };
const LOST: Metric = Metric { name: "clicks lost, by the books", unit: "", better: Better::Neither };
const SHIPPED: Metric = Metric { name: "records shipped, by the books", unit: "", better: Better::Neither };
const AMISS: Metric =
    Metric { name: "records that books and receiver disagree about", unit: "", better: Better::Less };

/// What is left of an outage must be shipped by then.
const PATIENCE: Duration = Duration::from_secs(300);

/// Answers that wrk had asked for and not read when it ended, per run: one for each connection.
const UNREAD_MAX: u64 = 64;

/// Measures windows of equal length: without recording, with it, and with a receiver that is down; then checks the books.
pub(super) fn run(
    effort: &Effort,
    report: &mut Report,
    links: &Links,
    directory: &Path,
    carom: &Path,
    snapshot: &Path,
) -> Result<()> {
    let load = &LOADS[0];
    let (seconds, spool_bytes) = match (effort.quick, effort.full) {
        (true, _) => (5, 2 << 20),
        (false, false) => (60, 16 << 20),
        (false, true) => (180, 64 << 20),
    };
    let case = format!("outage of {seconds} s, {} MiB of spool", spool_bytes >> 20);
    let script = script(load, directory, links)?;
    let run = |process: &Process, address: SocketAddr, name: &str, report: &mut Report| -> Result<Done> {
        let before = process.cpu_time_of_thread("shard-0");
        let done = load.run(address, &script, seconds)?;
        let used = process.cpu_time_of_thread("shard-0") - before;
        ensure!(done.other_than_redirects == 0, "{name} answered with {} errors", done.other_than_redirects);
        report.add(&case, MEDIAN, name, done.median_us.context("wrk told no median")?);
        report.add(&case, HIGH, name, done.high_us.context("wrk told no 99 %")?);
        report.add(&case, RATE, name, done.requests as f64 / done.seconds);
        report.add(&case, super::SHARD, name, used.as_secs_f64() / done.requests as f64 * 1e6);
        Ok(done)
    };
    {
        let (process, address) = node::start_with(carom, directory, snapshot, SERVER_CPU, "")?;
        run(&process, address, OFF, report)?;
    }
    let receiver_at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let sections = format!(
        "[clicks]\nrecord = true\nspool_bytes_max = {spool_bytes}\nkeep_shipped_s = 0\n\
         [ship]\nto = \"http\"\naddress = \"http://{receiver_at}/\"\ntimeout_ms = 2000\n"
    );
    let (process, address) = node::start_with(carom, directory, snapshot, SERVER_CPU, &sections)?;
    // First the outage: what it leaves is shipped while the receiver is up, which is the harder calm.
    let down = run(&process, address, OUTAGE, report)?;
    let taken = receiver::start(receiver_at)?;
    let calm = run(&process, address, CALM, report)?;
    let config = directory.join("carom.toml");
    wait_until_shipped(carom, &config)?;
    drop(process);
    let books = books(carom, &config, "an outage")?;
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = down.requests + calm.requests;
    ensure!(
        (asked..=asked + 2 * UNREAD_MAX).contains(&books.number("clicks")),
        "{} clicks in the books, {asked} answers",
        books.number("clicks")
    );
    let amiss = books.number("shipped").abs_diff(taken.rows());
    report.add(&case, LOST, OUTAGE, books.lost() as f64);
    report.add(&case, SHIPPED, OUTAGE, books.number("shipped") as f64);
    report.add(&case, AMISS, OUTAGE, amiss as f64);
    report.note(format!(
        "{case}: {} blocks came twice; the receiver runs on the CPU of the load generator",
        taken.repeated
    ));
    ensure!(amiss == 0, "{} shipped by the books, {} received", books.number("shipped"), taken.rows());
    Ok(())
}

fn wait_until_shipped(carom: &Path, config: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Books(now) = super::audit(carom, config, &[])?;
        if now["to"]["waiting"] == 0 && now["to"]["in_flight"] == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("not shipped within {} s: {now}", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(500));
    }
}
