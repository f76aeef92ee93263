//! Bans and the allow list: who is kept out, who is let in.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ebpf_loader::abi::BanKind;
use ebpf_loader::{BanEntry, Cidr, Tables, ban_key};
use serde::Serialize;

use super::human;
use crate::config;
use crate::guard::cause;
use crate::guard::facts::kind_name;

#[derive(Serialize)]
struct Ban {
    source: String,
    kind: &'static str,
    remaining_s: u64,
    cause: &'static str,
}

pub(super) fn list(tables: &Tables, json: bool) -> anyhow::Result<ExitCode> {
    let mut bans = tables.bans()?;
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.remaining));
    let bans: Vec<Ban> = bans
        .into_iter()
        .map(|BanEntry { source, kind, remaining, cause }| Ban {
            source: source.to_string(),
            kind: kind_name(kind),
            remaining_s: remaining.as_secs(),
            cause: cause::name(cause),
        })
        .collect();
    if json {
        return super::super::print(&(serde_json::to_string_pretty(&bans)? + "\n"));
    }
    let mut text = String::new();
    for Ban { source, kind, remaining_s, cause } in &bans {
        let left = human(Duration::from_secs(*remaining_s));
        writeln!(text, "{source:<26} {kind:<10} {left:>5} left  {cause}")
            .expect("writing to a String cannot fail");
    }
    if bans.is_empty() {
        text.push_str("nobody is banned\n");
    }
    super::super::print(&text)
}

pub(super) fn ban(
    tables: &mut Tables,
    source: Cidr,
    duration: Duration,
    challenge: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let kind = if challenge { BanKind::Challenge } else { BanKind::Drop };
    tables.ban(source, kind, duration, cause::OPERATOR)?;
    if json {
        let ban = Ban {
            source: source.to_string(),
            kind: kind_name(kind),
            remaining_s: duration.as_secs(),
            cause: cause::name(cause::OPERATOR),
        };
        return super::super::print(&(serde_json::to_string(&ban)? + "\n"));
    }
    let verb = if challenge { "challenged" } else { "banned" };
    super::super::print(&format!("{source} is {verb} for {}\n", human(duration)))
}

pub(super) fn unban(tables: &mut Tables, source: Cidr, json: bool) -> anyhow::Result<ExitCode> {
    let there = tables.unban(source)?;
    // A wider ban would go on to drop the source that somebody wants to let in.
    let key = ban_key(source)?;
    let around: Vec<String> = tables
        .bans()?
        .into_iter()
        .map(|ban| ban.source)
        .filter(|other| ban_key(*other).ok() != Some(key) && other.covers(&source))
        .map(|other| other.to_string())
        .collect();
    let text = if json {
        serde_json::json!({ "source": source.to_string(), "lifted": there, "still_banned_by": around })
            .to_string()
            + "\n"
    } else {
        let mut text = if there {
            format!("{source} is not banned any more\n")
        } else {
            format!("{source} was not banned\n")
        };
        for other in &around {
            writeln!(text, "but {other} is, which contains it: carom guard unban {other}")
                .expect("writing to a String cannot fail");
        }
        text
    };
    super::super::print(&text)?;
    Ok(if there { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn allow(networks: &[Cidr], config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let settings = config::load(config)?;
    let Some(path) = settings.guard.allow_files.first() else {
        bail!(
            "{} names no guard.allow_files: write allow_files = [\"/etc/carom/allow\"] below [guard], restart the node, and \
             run this again",
            config.display()
        );
    };
    let before = std::fs::read_to_string(path).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(String::new()),
        _ => Err(error),
    });
    let before = before.with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = String::new();
    if !before.is_empty() && !before.ends_with('\n') {
        lines.push('\n');
    }
    for network in networks {
        writeln!(lines, "{network}").expect("writing to a String cannot fail");
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    let path = path.display();
    if json {
        let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
        return super::super::print(&format!(
            "{}\n",
            serde_json::json!({ "file": path.to_string(), "added": networks })
        ));
    }
    super::super::print(&format!(
        "added to {path}; in force after SIGHUP: systemctl reload carom, or kill -HUP PID\n"
    ))
}
