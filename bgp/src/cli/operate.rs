//! Commands to a running sidecar: what is asked over its socket, and how the answer is shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::print;
use crate::announcement::{Family, Rung};
use crate::config;
use crate::control::{self, Action, Answer, Request};
use crate::core::command::{Change, Scope};
use crate::status::{self, AnnouncementStatus, Status};

#[derive(Debug, Subcommand)]
pub(super) enum Operation {
    /// Show what is announced, since when, and why.
    #[command(
        after_help = "Examples:\n  carom-bgp status\n  carom-bgp status --json | jq '.announcements[] | {name, commanded, reported}'"
    )]
    Status(Socket),
    /// Take traffic away gently: graceful rung, wait until the node is quiet, withdraw.
    #[command(
        after_help = "Examples:\n  carom-bgp drain --wait --reason 'kernel update'\n  carom-bgp drain web --family v6\n  carom-bgp undrain          afterwards"
    )]
    Drain {
        #[command(flatten)]
        what: What,
        /// Do not wait for proof that another node announces.
        #[arg(long)]
        force: bool,
        /// Return by itself after this time: 90s, 10m, 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: Option<u64>,
        /// Return only when nothing is announced any more.
        #[arg(long)]
        wait: bool,
    },
    /// End drains, withdrawals, drills and weights; traffic comes back by the slow start.
    #[command(after_help = "Examples:\n  carom-bgp undrain\n  carom-bgp undrain web")]
    Undrain {
        #[command(flatten)]
        what: What,
    },
    /// Withdraw now. Where nobody else announces, it stays on the graceful rung until somebody does.
    #[command(
        after_help = "Examples:\n  carom-bgp withdraw web\n  carom-bgp withdraw web --force    even if nobody else announces"
    )]
    Withdraw {
        #[command(flatten)]
        what: What,
        /// Do not wait for proof that another node announces: one step instead of two.
        #[arg(long)]
        force: bool,
        /// Return by itself after this time: 90s, 10m, 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: Option<u64>,
    },
    /// Rehearse a failure: withdraw for a while and return by itself, also if the sidecar is started anew meanwhile.
    #[command(
        after_help = "Examples:\n  carom-bgp drill withdraw --for 10m --reason 'quarterly drill'\n  carom-bgp undrain          break it off\n\nIt breaks itself off when nobody else announces any more."
    )]
    Drill {
        /// What is rehearsed.
        #[arg(value_enum)]
        kind: DrillKind,
        #[command(flatten)]
        what: What,
        /// How long: 90s, 10m, 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: u64,
        /// Do not wait for proof that another node announces, and do not break off without.
        #[arg(long)]
        force: bool,
    },
    /// Announce at once, without slow start or suppression, or with less weight. Health may still lower it.
    #[command(
        after_help = "Examples:\n  carom-bgp announce web                     full weight, now\n  carom-bgp announce web --rung prepended    a standby\n  carom-bgp announce --rung graceful --for 1h"
    )]
    Announce {
        #[command(flatten)]
        what: What,
        /// The highest rung: its weight.
        #[arg(long, value_enum, default_value_t = Weight::Normal)]
        rung: Weight,
        /// Full weight again after this time: 90s, 10m, 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: Option<u64>,
    },
    /// Keep what is announced, whatever health says, for a bounded time.
    #[command(after_help = "Examples:\n  carom-bgp freeze --for 30m --reason 'canary is being changed'")]
    Freeze {
        #[command(flatten)]
        what: What,
        /// How long: 90s, 10m, 2h.
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: u64,
    },
    /// End a freeze.
    #[command(after_help = "Examples:\n  carom-bgp unfreeze")]
    Unfreeze {
        #[command(flatten)]
        what: What,
    },
}

#[derive(Debug, Args)]
pub(super) struct Socket {
    /// The control socket; without it the one that the configuration names.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    config: super::ConfigFile,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct What {
    /// Names of services; without any, all of them.
    services: Vec<String>,
    /// One family; without it, both.
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Why, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FamilyName {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DrillKind {
    /// Nothing is announced.
    Withdraw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Weight {
    /// With GRACEFUL_SHUTDOWN: only where nobody else announces.
    Graceful,
    /// With a longer path: only where no shorter one is.
    Prepended,
    /// Plainly.
    Normal,
}

impl From<Weight> for Rung {
    fn from(weight: Weight) -> Self {
        match weight {
            Weight::Graceful => Self::Graceful,
            Weight::Prepended => Self::Prepended,
            Weight::Normal => Self::Normal,
        }
    }
}

/// Longest wait for an answer: BIRD's longest time-out and some.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest drain that `--wait` waits for.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Seconds from `90s`, `10m`, `2h`, `1d`.
fn span(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no span of time; write 90s, 10m, 2h or 1d");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let factor = match &text[unit_at..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    text[..unit_at].parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

pub(super) fn run(operation: Operation) -> anyhow::Result<ExitCode> {
    let (what, change, wait) = match operation {
        Operation::Status(socket) => {
            let status = ask_status(&path(&socket)?)?;
            return print(&if socket.json { json(&status)? } else { status::screen(&status) });
        }
        Operation::Drain { what, force, span: for_s, wait } => {
            let change = Change::Drain { scope: scope(&what), force, for_s };
            (what, change, wait)
        }
        Operation::Undrain { what } => {
            let change = Change::Undrain { scope: scope(&what) };
            (what, change, false)
        }
        Operation::Withdraw { what, force, span: for_s } => {
            let change = Change::Withdraw { scope: scope(&what), force, for_s };
            (what, change, false)
        }
        Operation::Drill { kind: DrillKind::Withdraw, what, span: for_s, force } => {
            let change = Change::Drill { scope: scope(&what), for_s, force };
            (what, change, false)
        }
        Operation::Announce { what, rung, span: for_s } => {
            let change = Change::Announce { scope: scope(&what), rung: rung.into(), for_s };
            (what, change, false)
        }
        Operation::Freeze { what, span: for_s } => {
            let change = Change::Freeze { scope: scope(&what), for_s };
            (what, change, false)
        }
        Operation::Unfreeze { what } => {
            let change = Change::Unfreeze { scope: scope(&what) };
            (what, change, false)
        }
    };
    let path = path(&what.socket)?;
    let request = Request { action: Action::Change(change), reason: what.reason };
    let answer = ask(&path, &request)?;
    let names = match &answer {
        Answer::Refused(why) => bail!("{why}"),
        Answer::Done { announcements, .. } => announcements.clone(),
        Answer::Status(_) => bail!("the sidecar answered something else; is it of the same version?"),
    };
    if wait {
        wait_until_withdrawn(&path, &names)?;
    }
    print(&if what.socket.json { json(&answer)? } else { shown(&answer) })
}

fn scope(what: &What) -> Scope {
    let family = what.family.map(|family| match family {
        FamilyName::V4 => Family::V4,
        FamilyName::V6 => Family::V6,
    });
    Scope { services: what.services.clone(), family }
}

fn path(socket: &Socket) -> anyhow::Result<PathBuf> {
    match &socket.socket {
        Some(path) => Ok(path.clone()),
        None => Ok(config::load(&socket.config.path)?.control),
    }
}

fn ask(path: &Path, request: &Request) -> anyhow::Result<Answer> {
    let help = "is `carom-bgp serve` running, and may you write to its socket?";
    control::ask(path, request, ANSWER_TIMEOUT)
        .with_context(|| format!("no answer at {}; {help}", path.display()))
}

fn ask_status(path: &Path) -> anyhow::Result<Status> {
    let request = Request { action: Action::Status, reason: String::new() };
    match ask(path, &request)? {
        Answer::Status(status) => Ok(*status),
        Answer::Refused(why) => bail!("{why}"),
        Answer::Done { .. } => bail!("the sidecar answered something else; is it of the same version?"),
    }
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

fn shown(answer: &Answer) -> String {
    let Answer::Done { announcements, bird_us, status } = answer else { return String::new() };
    let took = bird_us.map(|us| format!("BIRD took {:.2} ms\n", us as f64 / 1000.0)).unwrap_or_default();
    let lines = status.announcements.iter().filter(|own| announcements.contains(&own.name));
    lines.map(|own| format!("{}: {}, {}\n", own.name, own.commanded, own.why)).collect::<String>() + &took
}

fn wait_until_withdrawn(path: &Path, names: &[String]) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let status = ask_status(path)?;
        let open: Vec<&AnnouncementStatus> = status
            .announcements
            .iter()
            .filter(|own| {
                names.contains(&own.name)
                    && (own.commanded, own.reported) != (Rung::Withdrawn, Some(Rung::Withdrawn))
            })
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        if let Some(ended) = open.iter().find(|own| own.intent.is_empty()) {
            bail!("{}: the drain was ended by somebody else", ended.name);
        }
        if began.elapsed() > DRAIN_WAIT_MAX {
            bail!("not drained within {DRAIN_WAIT_MAX:?}");
        }
        let waiting: Vec<_> =
            open.iter().map(|own| format!("{} for {}", own.name, own.waiting_for)).collect();
        let waiting = waiting.join(", ");
        if waiting != told {
            eprintln!("waiting: {waiting}");
            told = waiting;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        for (text, expected) in
            [("90s", Some(90)), ("10m", Some(600)), ("2h", Some(7200)), ("1d", Some(86_400))]
        {
            assert_eq!(span(text).ok(), expected);
        }
        for text in ["", "10", "m", "10x", "-1s", "1m30s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
