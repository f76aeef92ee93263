//! Redirects over HTTP: carom against nginx and HAProxy, each with the same links on a core of its own.
//!
//! A server runs on one CPU and wrk on another. What counts is the CPU time that a server uses per request, which
//! neither the client nor an idle share of the core changes much; requests per second come second. Every round asks all
//! servers, one after the other, and each comes first in some round.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::links::{Links, TemporaryFile};
use super::report::{Better, Metric, Report};

mod check;
mod h2load;
mod peers;
pub(super) mod wrk;

use peers::{Peer, Programs};
use wrk::Load;

/// The CPU of the server under test.
const SERVER_CPU: usize = 0;

/// The CPU of the load generator.
const CLIENT_CPU: usize = 1;

const COST: Metric = Metric { name: "CPU time per request", unit: "µs", better: Better::Less };
const RATE: Metric = Metric { name: "requests per second", unit: "1/s", better: Better::More };
const BUSY: Metric =
    Metric { name: "share of its core that the server used", unit: "%", better: Better::Neither };

/// Measures every way of asking and returns what was found.
pub(crate) fn run(effort: &Effort, directory: &Path, carom: &Path, real_links: &Path) -> Result<Report> {
    let mut report = Report::new(
        "http",
        "Redirects over HTTP/1.1 and HTTP/2 in clear text, one core each",
        Some(peers::NGINX),
    );
    let files = TemporaryFile::new(directory.join("http"));
    std::fs::create_dir_all(&files.0).with_context(|| format!("cannot make {}", files.0.display()))?;
    let links = Links::real(real_links)?;
    let programs = Programs { directory: &files.0, carom };
    let peers = programs.start(&links, &mut report)?;
    for peer in &peers {
        let example =
            check::check(peer.address, &links).with_context(|| format!("{} is wrong", peer.name))?;
        report.note(format!("{}: {}", peer.name, example));
    }
    let seconds = if effort.quick { 2 } else { 5 };
    for load in wrk::LOADS {
        let script = load.write_script(&files.0, &links)?;
        println!("{}", load.name);
        for round in 0..effort.rounds.min(7) {
            for turn in 0..peers.len() {
                let peer = &peers[(turn + round) % peers.len()];
                measure(peer, load, &script, seconds, &mut report)?;
            }
        }
    }
    if !h2load::is_installed() {
        report.note("HTTP/2: left out, h2load (package nghttp2-client) is not installed".to_owned());
        return Ok(report);
    }
    let addresses = h2load::write_addresses(&files.0, &links)?;
    for load in h2load::LOADS {
        println!("{}", load.name);
        for round in 0..effort.rounds.min(7) {
            for turn in 0..peers.len() {
                let peer = &peers[(turn + round) % peers.len()];
                measure_streams(peer, load, &addresses, seconds, &mut report)?;
            }
        }
    }
    Ok(report)
}

fn measure_streams(
    peer: &Peer,
    load: &h2load::Load,
    addresses: &Path,
    seconds: u32,
    report: &mut Report,
) -> Result<()> {
    // h2load does not count what it asks while it warms up, but the server answers it: the share of the core is that of
    // the whole run, and the rate that of its counted part.
    let before = peer.process.cpu_time();
    let done = load.run(peer.http2, addresses, seconds)?;
    let used = (peer.process.cpu_time() - before).as_secs_f64();
    ensure!(done.failed == 0, "{} did not answer {} requests with a redirect", peer.name, done.failed);
    let all_seconds = done.seconds + f64::from(h2load::WARM_UP_S);
    let share = used / all_seconds;
    let rate = done.requests as f64 / done.seconds;
    report.add(load.name, COST, peer.name, share / rate * 1e6);
    report.add(load.name, RATE, peer.name, rate);
    report.add(load.name, BUSY, peer.name, share * 100.0);
    Ok(())
}

fn measure(peer: &Peer, load: &Load, script: &Path, seconds: u32, report: &mut Report) -> Result<()> {
    let before = peer.process.cpu_time();
    let done = load.run(peer.address, script, seconds)?;
    let used = (peer.process.cpu_time() - before).as_secs_f64();
    ensure!(
        done.other_than_redirects == 0,
        "{} answered with {} errors",
        peer.name,
        done.other_than_redirects
    );
    if let Some(errors) = done.socket_errors {
        report.note(format!("{}, {}: {errors}", load.name, peer.name));
    }
    report.add(load.name, COST, peer.name, used / done.requests as f64 * 1e6);
    report.add(load.name, RATE, peer.name, done.requests as f64 / done.seconds);
    report.add(load.name, BUSY, peer.name, used / done.seconds * 100.0);
    Ok(())
}
