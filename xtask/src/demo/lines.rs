//! The lines that a person can paste, each tried once before it is printed as working.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::ports::Ports;
use super::{Outcome, build_snapshot};
use crate::workspace::{NotRun, Verdict, Workspace, quoted};

/// Where the lines lead.
pub(super) struct Place<'w> {
    pub(super) workspace: &'w Workspace,
    pub(super) tool: PathBuf,
    pub(super) snapshot: PathBuf,
    pub(super) ports: Ports,
    pub(super) pid: u32,
}

/// One line for a shell, what it is about, and what it must show.
struct Line {
    about: &'static str,
    command: String,
    /// Each of these is part of what the line prints, letter case aside.
    expects: Vec<String>,
    /// The line asks about something that is still on its way, so its first answer may be the old one.
    settles: bool,
}

/// The domain of the example and one link that has been in Debian for decades.
const DOMAIN: &str = "go.example";
const CODE: &str = "curl";
/// A swap takes milliseconds; a loaded machine may take longer.
const SWAP_MAX: Duration = Duration::from_secs(10);

/// Prints every line with what it answered, and tells whether all answered as they should.
pub(super) fn show(place: &Place<'_>) -> Result<Outcome> {
    println!("\nA redirect node is up. Try (each line works as printed; below it is what it just answered):");
    if !has_curl() {
        for line in lines(place)? {
            println!("\n# {}\n{}", line.about, line.command);
        }
        let left_out = NotRun::new("self check of the demo", "curl is not installed");
        println!("\nleft out {}: {}", left_out.what, left_out.why);
        return Ok(Outcome { verdict: Verdict::Passed, not_run: vec![left_out] });
    }
    let mut wrong = 0;
    for line in lines(place)? {
        println!("\n# {}\n{}", line.about, line.command);
        let answer = line.answer(place)?;
        for shown in shown(&answer) {
            println!("    {shown}");
        }
        for expected in line.missing_in(&answer) {
            println!("    WRONG: this does not say {expected:?}");
            wrong += 1;
        }
    }
    match wrong {
        0 => println!("\nAll lines answered as they should."),
        _ => println!("\n{wrong} answers are wrong."),
    }
    Ok(Outcome { verdict: Verdict::passed_if(wrong == 0), not_run: Vec::new() })
}

fn lines(place: &Place<'_>) -> Result<Vec<Line>> {
    let v4 = format!("http://127.0.0.1:{}", place.ports.http);
    let v6 = format!("http://[::1]:{}", place.ports.http);
    let admin = format!("http://127.0.0.1:{}", place.ports.admin);
    let destination = destination(place.workspace)?;
    let hit = vec!["http/1.1 302".to_owned(), format!("location: {destination}")];
    let ask = |options: &str, url: String| format!("curl -s {options} -H 'Host: {DOMAIN}' '{url}'");
    let mut lines = vec![
        Line::new("a link", ask("-i", format!("{v4}/{CODE}")), hit.clone()),
        Line::new("the same, asked with HEAD", ask("-I", format!("{v4}/{CODE}")), hit.clone()),
        Line::new(
            "a code that is no link",
            ask("-i", format!("{v4}/no-such-link")),
            ["http/1.1 404", "link not found"],
        ),
        Line::new(
            "the root, which examples/domains.toml sends elsewhere",
            ask("-i", format!("{v4}/")),
            ["http/1.1 302", "location: https://www.debian.org/"],
        ),
        Line::new(
            "another domain: it has no links yet, and sends misses to a search",
            format!("curl -s -i -H 'Host: print.example' '{v4}/no-such-link'"),
            ["http/1.1 302", "location: https://packages.debian.org/"],
        ),
        Line::new(
            "a host that this node does not serve",
            format!("curl -s -i '{v4}/{CODE}'"),
            ["http/1.1 421"],
        ),
        Line::new(
            "is the node ready, and if not, why",
            format!("curl -s -i '{admin}/readyz'"),
            ["http/1.1 200"],
        ),
        Line::new(
            "what it counted",
            format!("curl -s '{admin}/metrics' | grep '^carom_requests.* [1-9]'"),
            ["carom_requests"],
        ),
        Line::new(
            "what it says about its own health",
            format!("curl -s '{admin}/vitals'"),
            ["\"generation\":1"],
        ),
    ];
    if place.ports.ipv6 {
        lines.insert(1, Line::new("the same by IPv6", ask("-i -g", format!("{v6}/{CODE}")), hit));
    }
    let build = pasted(&build_snapshot(place.workspace, &place.tool, &place.snapshot));
    let row = format!("{DOMAIN},carom,https://carom.example/");
    lines.push(Line::new(
        "add a link: make the snapshot anew, tell the node, and no request is lost meanwhile",
        format!("printf 'domain,code,destination\\n{row}\\n' | {build} - ; kill -HUP {}", place.pid),
        ["generation 2"],
    ));
    let new = ask("-i", format!("{v4}/carom"));
    let added = Line::new("the new link", new, ["http/1.1 302", "location: https://carom.example/"]);
    lines.push(Line { settles: true, ..added });
    Ok(lines)
}

impl Line {
    fn new<S: Into<String>>(
        about: &'static str,
        command: String,
        expects: impl IntoIterator<Item = S>,
    ) -> Self {
        Self { about, command, expects: expects.into_iter().map(Into::into).collect(), settles: false }
    }

    /// What the line prints; one that asks about the future is repeated until the future has come.
    fn answer(&self, place: &Place<'_>) -> Result<String> {
        let deadline = Instant::now() + SWAP_MAX;
        loop {
            let mut shell = Command::new("sh");
            shell.args(["-c", &self.command]).current_dir(place.workspace.root());
            let output = shell.output().with_context(|| format!("cannot run {}", self.command))?;
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            if !self.settles || self.missing_in(&answer).is_empty() || Instant::now() > deadline {
                return Ok(answer);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn missing_in(&self, answer: &str) -> Vec<&str> {
        let answer = answer.to_lowercase();
        self.expects
            .iter()
            .map(String::as_str)
            .filter(|part| !answer.contains(&part.to_lowercase()))
            .collect()
    }
}

/// What is worth showing of an answer: status and destination of a reply, a few lines of anything else.
fn shown(answer: &str) -> Vec<String> {
    const LINES_MAX: usize = 12;
    const COLUMNS_MAX: usize = 160;
    let telling = |line: &&str| !line.is_empty() && (is_telling(line) || !answer.starts_with("HTTP/"));
    let lines = answer.lines().map(str::trim_end).filter(telling).take(LINES_MAX);
    lines.map(|line| line.chars().take(COLUMNS_MAX).collect()).collect()
}

/// Status line, the fields that matter to a redirect, and the body, which has no colon after its first word.
fn is_telling(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_field = line.contains(": ") && !name.contains(' ') && !line.starts_with('{');
    line.starts_with("HTTP/") || !is_field || matches!(name.as_str(), "location" | "cache-control")
}

/// Where the example sends the one link that the demo asks for.
fn destination(workspace: &Workspace) -> Result<String> {
    let path = workspace.root().join("examples/debian-homepages.csv");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let prefix = format!("{DOMAIN},{CODE},");
    let row = text.lines().find_map(|line| line.strip_prefix(&prefix));
    row.map(str::to_owned).with_context(|| format!("{} has no row {prefix}", path.display()))
}

/// The whole command with the path of its program, which a person in the root of the checkout can paste.
fn pasted(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn has_curl() -> bool {
    let mut curl = Command::new("curl");
    curl.arg("--version").output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compared_without_regard_to_letter_case() {
        let line = Line::new("a", String::new(), ["http/1.1 302", "location: https://a.example/B"]);
        assert!(line.missing_in("HTTP/1.1 302 Found\r\nLocation: https://a.example/B\r\n").is_empty());
        assert_eq!(
            line.missing_in("HTTP/1.1 404 Not Found\r\n"),
            ["http/1.1 302", "location: https://a.example/B"]
        );
    }

    #[test]
    fn of_a_reply_only_the_telling_lines_are_shown() {
        let reply = "HTTP/1.1 404 Not Found\r\nDate: now\r\nCache-Control: no-store\r\n\r\nlink not found\n";
        assert_eq!(shown(reply), ["HTTP/1.1 404 Not Found", "Cache-Control: no-store", "link not found"]);
        assert_eq!(shown("HTTP/1.1 200 OK\r\n\r\n{\"a\": 1}\n"), ["HTTP/1.1 200 OK", "{\"a\": 1}"]);
        assert_eq!(shown("a: 1\nb\n"), ["a: 1", "b"]);
    }
}
