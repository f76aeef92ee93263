//! The load generator: wrk with a script that asks for the real links at random.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::CLIENT_CPU;
use crate::bench::links::Links;
use crate::bench::process::on_cpu;
use crate::bench::reply::request;
use crate::workspace::spoken;

/// One way of asking.
pub(in crate::bench) struct Load {
    pub(in crate::bench) name: &'static str,
    file: &'static str,
    connections: u32,
    /// Each request on a connection of its own.
    closing: bool,
    /// Requests that are sent at once.
    pipelined: u32,
}

pub(in crate::bench) const LOADS: &[Load] = &[
    Load {
        name: "keep-alive, 64 connections",
        file: "keep-alive.lua",
        connections: 64,
        closing: false,
        pipelined: 1,
    },
    Load {
        name: "a new connection each, 64 at once",
        file: "new.lua",
        connections: 64,
        closing: true,
        pipelined: 1,
    },
    Load {
        name: "keep-alive, 16 pipelined",
        file: "pipelined.lua",
        connections: 64,
        closing: false,
        pipelined: 16,
    },
];

/// What wrk counted in one round.
#[derive(Debug, PartialEq)]
pub(in crate::bench) struct Done {
    pub(in crate::bench) requests: u64,
    pub(in crate::bench) seconds: f64,
    pub(in crate::bench) other_than_redirects: u64,
    pub(in crate::bench) socket_errors: Option<String>,
    /// Half of the answers came within so many microseconds.
    pub(in crate::bench) median_us: Option<f64>,
    /// All but one in a hundred.
    pub(in crate::bench) high_us: Option<f64>,
}

impl Load {
    /// Writes the script, with every request ready to be sent, so that choosing one is cheap.
    pub(in crate::bench) fn write_script(&self, directory: &Path, links: &Links) -> Result<PathBuf> {
        let mut text = String::from("local requests = {\n");
        let mut code = Vec::new();
        for n in 0..links.links() {
            code.clear();
            links.push_code(n, &mut code);
            writeln!(text, "{:?},", request(&String::from_utf8_lossy(&code), self.closing))?;
        }
        text.push_str("}\nmath.randomseed(1)\n");
        text.push_str(&match self.pipelined {
            1 => "request = function() return requests[math.random(#requests)] end\n".to_owned(),
            depth => format!(
                "request = function()\n  local some = {{}}\n\
                 \x20 for place = 1, {depth} do some[place] = requests[math.random(#requests)] end\n\
                 \x20 return table.concat(some)\nend\n"
            ),
        });
        let path = directory.join(self.file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Asks for so many seconds.
    pub(in crate::bench) fn run(&self, address: SocketAddr, script: &Path, seconds: u32) -> Result<Done> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &self.connections.to_string()]);
        wrk.args(["--latency", "--duration", &format!("{seconds}s"), "--script"])
            .arg(script)
            .arg(format!("http://{address}/"));
        let output = on_cpu(&wrk, CLIENT_CPU).output().context("cannot run wrk")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{} failed: {said}", spoken(&wrk));
        Done::parse(&said).with_context(|| format!("wrk counted nothing: {said}"))
    }
}

impl Done {
    /// Reads lines like `123 requests in 4.00s, 1.00MB read`.
    fn parse(said: &str) -> Option<Self> {
        let after = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name).map(str::trim));
        let (requests, rest) = said.lines().find_map(|line| line.trim().split_once(" requests in "))?;
        let seconds = match rest.split_once(',')?.0 {
            text if text.ends_with("ms") => text.strip_suffix("ms")?.parse::<f64>().ok()? / 1000.0,
            text if text.ends_with('m') => text.strip_suffix('m')?.parse::<f64>().ok()? * 60.0,
            text => text.strip_suffix('s')?.parse().ok()?,
        };
        Some(Self {
            requests: requests.parse().ok().filter(|requests| *requests > 0)?,
            seconds,
            other_than_redirects: after("Non-2xx or 3xx responses:")
                .map_or(Some(0), |text| text.parse().ok())?,
            socket_errors: after("Socket errors:").map(|errors| format!("socket errors: {errors}")),
            median_us: after("50%").and_then(microseconds),
            high_us: after("99%").and_then(microseconds),
        })
    }
}

/// `57.00us`, `2.10ms` or `1.00s` in microseconds.
fn microseconds(text: &str) -> Option<f64> {
    let scaled = |unit: &str, factor: f64| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor);
    scaled("us", 1.0).or_else(|| scaled("ms", 1e3)).or_else(|| scaled("s", 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "Running 4s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n\
                    \x20 Latency Distribution\n     50%   57.00us\n     99%    2.10ms\n\
                    \x20 407301 requests in 4.01s, 91.29MB read\n  Non-2xx or 3xx responses: 12\nRequests/sec: 1.0\n";
        let expected = Done {
            requests: 407_301,
            seconds: 4.01,
            other_than_redirects: 12,
            socket_errors: None,
            median_us: Some(57.0),
            high_us: Some(2_100.0),
        };
        assert_eq!(Done::parse(said), Some(expected));
        assert_eq!(Done::parse("unable to connect"), None);
    }
}
