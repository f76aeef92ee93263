//! The load generator of HTTP/2: h2load with every real link, in order, on a few connections with one or many streams.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::CLIENT_CPU;
use crate::bench::links::{HOST, Links};
use crate::bench::process::on_cpu;
use crate::workspace::spoken;

/// Seconds for which it asks before it counts.
pub(super) const WARM_UP_S: u32 = 1;

/// One way of asking.
pub(super) struct Load {
    pub(super) name: &'static str,
    connections: u32,
    /// Requests under way on each connection.
    streams: u32,
}

pub(super) const LOADS: &[Load] = &[
    Load { name: "HTTP/2 in clear text, 32 connections, 1 stream", connections: 32, streams: 1 },
    Load { name: "HTTP/2 in clear text, 32 connections, 32 streams", connections: 32, streams: 32 },
];

/// What h2load counted in one round.
#[derive(Debug, PartialEq)]
pub(super) struct Done {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) failed: u64,
}

/// Whether it is there.
pub(super) fn is_installed() -> bool {
    Command::new("h2load").arg("--version").output().is_ok()
}

/// Writes the address of every link.
pub(super) fn write_addresses(directory: &Path, links: &Links) -> Result<PathBuf> {
    let (mut text, mut code) = (String::new(), Vec::new());
    for n in 0..links.links() {
        code.clear();
        links.push_code(n, &mut code);
        writeln!(text, "http://{HOST}/{}", String::from_utf8_lossy(&code))?;
    }
    let path = directory.join("h2load.txt");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

impl Load {
    /// Asks for so many seconds.
    pub(super) fn run(&self, address: SocketAddr, addresses: &Path, seconds: u32) -> Result<Done> {
        let mut h2load = Command::new("h2load");
        h2load.args(["--threads", "1", "--clients", &self.connections.to_string()]);
        h2load.args(["--max-concurrent-streams", &self.streams.to_string()]);
        h2load.args(["--duration", &seconds.to_string(), "--warm-up-time", &WARM_UP_S.to_string()]);
        h2load.arg(format!("--connect-to={address}")).arg("--input-file").arg(addresses);
        let output = on_cpu(&h2load, CLIENT_CPU).output().context("cannot run h2load")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{} failed: {said}", spoken(&h2load));
        Done::parse(&said).with_context(|| format!("h2load counted nothing: {said}"))
    }
}

impl Done {
    /// Reads lines like `finished in 5.00s, 4000.00 req/s, 1.00MB/s` and `requests: 9 total, 9 started, 9 done, …`.
    fn parse(said: &str) -> Option<Self> {
        let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
        let counts = |name: &str, unit: &str| -> Option<u64> {
            let mut counts = line(name)?.split(", ").map(str::trim);
            counts.find_map(|count| count.strip_suffix(unit)?.trim().parse().ok())
        };
        let requests = counts("requests:", "done").filter(|&requests| requests > 0)?;
        let rate: f64 = line("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()?;
        let redirects = counts("status codes:", "3xx")?;
        Some(Self {
            requests,
            seconds: requests as f64 / rate,
            failed: counts("requests:", "failed")? + requests.saturating_sub(redirects),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_is_read() {
        let said = "progress: 100% done\n\nfinished in 2.00s, 5000.00 req/s, 20.15MB/s\n\
                    requests: 10000 total, 10000 started, 10000 done, 9999 succeeded, 1 failed, 0 errored, 0 timeout\n\
                    status codes: 0 2xx, 9998 3xx, 2 4xx, 0 5xx\ntraffic: 1.79MB (1880172) total\n";
        assert_eq!(Done::parse(said), Some(Done { requests: 10_000, seconds: 2.0, failed: 3 }));
        assert_eq!(Done::parse("could not connect"), None);
    }
}
