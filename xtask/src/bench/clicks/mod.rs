//! What recording clicks costs: a node with and without it, and one whose receiver is down, under the same load; and an outage
//! that outlasts the spool.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::http::wrk::{LOADS, Load};
use super::links::{Links, TemporaryFile};
use super::node;
use super::report::{Better, Metric, Report};

mod outage;
mod receiver;

const SERVER_CPU: usize = 0;

const OFF: &str = "not recording";
const ON: &str = "recording";
const OUTAGE: &str = "recording, receiver down";

const SHARD: Metric =
    Metric { name: "CPU time of the shard per redirect", unit: "µs", better: Better::Less };
const ALL: Metric =
    Metric { name: "CPU time of the node per redirect, writer and all", unit: "µs", better: Better::Less };
const RATE: Metric = Metric { name: "redirects per second", unit: "1/s", better: Better::More };
const WRITER: Metric =
    Metric { name: "records per second of the writer's CPU", unit: "1/s", better: Better::More };
const BYTES: Metric = Metric { name: "bytes per record in the spool", unit: "B", better: Better::Less };
const LOST: Metric = Metric { name: "clicks lost or stood for by others", unit: "%", better: Better::Less };

/// One way to run the node.
struct Contestant {
    name: &'static str,
    extra: String,
}

/// Measures each way under the same load; the books must be right afterwards.
pub(crate) fn run(effort: &Effort, directory: &Path, carom: &Path, real_links: &Path) -> Result<Report> {
    let mut report = Report::new("clicks", "Recording clicks, one shard", Some(OFF));
    report.note("shard and writer share one core here, and the load generator has the other");
    let files = TemporaryFile::new(directory.join("clicks"));
    let links = Links::real(real_links)?;
    let contestants = [
        Contestant { name: OFF, extra: String::new() },
        Contestant { name: ON, extra: "[clicks]\nrecord = true\n".into() },
        Contestant { name: OUTAGE, extra: outage()? },
    ];
    let seconds = if effort.quick { 2 } else { 10 };
    for load in LOADS {
        for round in 0..effort.rounds.min(5) {
            for turn in 0..contestants.len() {
                let contestant = &contestants[(turn + round) % contestants.len()];
                // Each begins with an empty spool.
                let _ = fs::remove_dir_all(&files.0);
                fs::create_dir_all(&files.0).with_context(|| format!("cannot make {}", files.0.display()))?;
                let snapshot = files.0.join("links.snapshot");
                links.write_snapshot(&snapshot, 1)?;
                measure(contestant, load, &links, &files.0, carom, &snapshot, seconds, &mut report)?;
            }
        }
    }
    let snapshot = files.0.join("links.snapshot");
    outage::run(effort, &mut report, &links, &files.0, carom, &snapshot)?;
    Ok(report)
}

/// Fields that browsers and crawlers send, and a record keeps: a mix as of real traffic, four of five from people.
const FIELDS: [&str; 5] = [
    r"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\nReferer: https://news.example/some/story?id=7",
    r"User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    r"User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36\r\nReferer: https://social.example/",
    r"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nDNT: 1",
    r"User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

/// The load's script, whose requests get [`FIELDS`] in turn.
fn script(load: &Load, directory: &Path, links: &Links) -> Result<PathBuf> {
    let path = load.write_script(directory, links)?;
    let text = fs::read_to_string(&path)?;
    let mut turns = FIELDS.iter().cycle();
    let mut with_fields = String::with_capacity(text.len() * 4);
    for line in text.lines() {
        match line.strip_suffix("\\r\\n\\r\\n\",") {
            Some(head) => {
                let fields = turns.next().expect("a cycle has no end");
                with_fields += &format!("{head}\\r\\n{fields}\\r\\n\\r\\n\",");
            }
            None => with_fields += line,
        }
        with_fields.push('\n');
    }
    ensure!(with_fields.contains("Googlebot"), "{} has no requests to extend", path.display());
    fs::write(&path, with_fields).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// What `carom clicks audit` says.
struct Books(serde_json::Value);

impl Books {
    fn number(&self, key: &str) -> u64 {
        self.0["to"][key].as_u64().unwrap_or_default()
    }

    /// Clicks without a record of their own or of others at the receiver, once nothing waits.
    fn lost(&self) -> u64 {
        ["ring_full", "undecodable", "disk", "spool_full", "crashed", "rejected", "dropped", "damaged"]
            .iter()
            .map(|key| self.number(key))
            .sum()
    }
}

/// The books of a node that has ended; wrong ones are an error.
fn books(carom: &Path, config: &Path, name: &str) -> Result<Books> {
    let books = audit(carom, config, &["--recount"])?;
    ensure!(books.0["right"] == true, "the books of {name} are wrong: {}", books.0);
    Ok(books)
}

fn audit(carom: &Path, config: &Path, more: &[&str]) -> Result<Books> {
    let output = Command::new(carom)
        .args(["clicks", "audit", "--json", "--config"])
        .arg(config)
        .args(more)
        .output()
        .context("cannot run carom clicks audit")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Books(serde_json::from_str(&text).with_context(|| format!("the audit is no JSON: {text}"))?))
}

/// A receiver that nobody is behind.
fn outage() -> Result<String> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(format!("[clicks]\nrecord = true\n[ship]\nto = \"http\"\naddress = \"http://127.0.0.1:{port}/\"\n"))
}

#[expect(clippy::too_many_arguments, reason = "one call in one loop")]
fn measure(
    contestant: &Contestant,
    load: &Load,
    links: &Links,
    directory: &Path,
    carom: &Path,
    snapshot: &Path,
    seconds: u32,
    report: &mut Report,
) -> Result<()> {
    let Contestant { name, extra } = contestant;
    let script = script(load, directory, links)?;
    let (process, address) = node::start_with(carom, directory, snapshot, SERVER_CPU, extra)?;
    let cpu =
        || (process.cpu_time(), process.cpu_time_of_thread("shard-0"), process.cpu_time_of_thread("clicks"));
    let before = cpu();
    let done = load.run(address, &script, seconds)?;
    let after = cpu();
    ensure!(done.other_than_redirects == 0, "{name} answered with {} errors", done.other_than_redirects);
    let per_redirect = |used: std::time::Duration| used.as_secs_f64() / done.requests as f64 * 1e6;
    report.add(load.name, SHARD, name, per_redirect(after.1 - before.1));
    report.add(load.name, ALL, name, per_redirect(after.0 - before.0));
    report.add(load.name, RATE, name, done.requests as f64 / done.seconds);
    let written_by = after.2 - before.2;
    let config = directory.join("carom.toml");
    // Ends the node: the books are closed.
    drop(process);
    if extra.is_empty() {
        return Ok(());
    }
    let books = books(carom, &config, name)?;
    let number = |key: &str| books.number(key) as f64;
    // wrk may have been cut off before it read some answers.
    ensure!(
        number("clicks") >= done.requests as f64,
        "{name}: {} of {} clicks",
        number("clicks"),
        done.requests
    );
    report.add(load.name, WRITER, name, number("written") / written_by.as_secs_f64());
    report.add(load.name, BYTES, name, spool_bytes(directory)? / number("waiting").max(1.0));
    report.add(load.name, LOST, name, 100.0 * (number("clicks") - number("written")) / number("clicks"));
    Ok(())
}

fn spool_bytes(directory: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory.join("state/clicks"))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "clicks") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64)
}
