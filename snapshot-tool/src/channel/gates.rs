//! What stands between a content and a wave: checks that a bad export does not pass, and a recorded way through for a good one.

use crate::build::gate::Change;
use anyhow::{Context, bail, ensure};
use snapshot_channel::record::{Changes, Override};
use snapshot_format::canary::CANARIES;
use snapshot_format::{
    CANARY_HOST, CODE_BYTES_MAX, HOST_BYTES_MAX, Snapshot, canonical_code, canonical_host,
};
use std::fs;
use std::path::PathBuf;

/// Bounds of the gates.
#[derive(Clone, Debug, clap::Args)]
pub struct GateArguments {
    /// The number of links may change by this, in percent of what the wave serves now.
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0)]
    pub links_change_max: f64,
    /// The size of the file may change by this, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 30.0)]
    pub size_change_max: f64,
    /// So many links may be added, removed or changed, in percent of what the wave serves now.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub changed_max: f64,
    /// Largest file that every node can hold, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 30)]
    pub reader_bytes_max: u64,
    /// Links that must lead somewhere, one HOST/CODE per line: those that are asked for most.
    #[arg(long, value_name = "FILE")]
    pub top: Option<PathBuf>,
    /// Go through a gate; the reason is kept in the log. Once per gate.
    #[arg(long = "override", value_name = "GATE=REASON", value_parser = parse_override)]
    pub overrides: Vec<(Gate, String)>,
}

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The number of links.
    Links,
    /// The size of the file.
    Size,
    /// The share of links that say something else.
    Changed,
    /// Links that are asked for most.
    Top,
    /// The known links that health checks ask for.
    Canary,
    /// What nodes can hold.
    Readers,
    /// Generations count up.
    Generation,
}

impl Gate {
    const ALL: [Self; 7] =
        [Self::Links, Self::Size, Self::Changed, Self::Top, Self::Canary, Self::Readers, Self::Generation];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Size => "size",
            Self::Changed => "changed",
            Self::Top => "top",
            Self::Canary => "canary",
            Self::Readers => "readers",
            Self::Generation => "generation",
        }
    }
}

/// A gate that is shut, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// Which.
    pub gate: Gate,
    /// What was found.
    pub finding: String,
}

/// The content that a wave serves now, and how the new one differs.
#[derive(Clone, Debug)]
pub struct Before {
    /// Links of the old one.
    pub links: u64,
    /// Bytes of the old one.
    pub bytes: u64,
    /// Its generation.
    pub generation: u64,
    /// How the new one differs.
    pub changes: Changes,
}

/// Which gates are shut for `new`. Nothing is compared for the first content of a wave.
pub fn judge<B: AsRef<[u8]>>(
    arguments: &GateArguments,
    new: &Snapshot<B>,
    before: Option<&Before>,
    top: &[String],
) -> Vec<Shut> {
    let mut shut = Vec::new();
    let mut close = |gate, finding: String| shut.push(Shut { gate, finding });
    if let Some(Before { links, bytes, generation, changes }) = before {
        let change = Change { previous_links: *links, links: new.links() };
        if change.exceeds(arguments.links_change_max) {
            close(Gate::Links, format!("{change}, at most {} % are allowed", arguments.links_change_max));
        }
        let size = Change { previous_links: *bytes, links: new.bytes_len() };
        if size.exceeds(arguments.size_change_max) {
            let (now, percent) = (new.bytes_len(), size.percent());
            close(Gate::Size, format!("{now} bytes instead of {bytes} ({percent:+.1} %)"));
        }
        let touched = changes.added + changes.removed + changes.changed;
        let share = touched as f64 / (*links).max(1) as f64 * 100.0;
        if share > arguments.changed_max {
            let max = arguments.changed_max;
            close(
                Gate::Changed,
                format!("{touched} links differ ({share:.1} %), at most {max} % are allowed"),
            );
        }
        if new.generation() <= *generation {
            let now = new.generation();
            close(Gate::Generation, format!("generation {now} is not newer than {generation}"));
        }
    }
    let missing: Vec<&str> =
        top.iter().map(String::as_str).filter(|link| !leads_somewhere(new, link)).collect();
    if let Some(first) = missing.first() {
        close(
            Gate::Top,
            format!("{} of {} top links lead nowhere, the first: {first}", missing.len(), top.len()),
        );
    }
    if let Some(code) = missing_canary(new) {
        close(
            Gate::Canary,
            format!("canary {CANARY_HOST}/{code} is not as it must be: health checks would fail"),
        );
    }
    if new.bytes_len() > arguments.reader_bytes_max {
        let (bytes, max) = (new.bytes_len(), arguments.reader_bytes_max);
        close(Gate::Readers, format!("{bytes} bytes, and nodes hold at most {max}"));
    }
    shut
}

/// Takes the overrides that were given for shut gates.
///
/// # Errors
/// Gates that stay shut. An override of an open gate is no error: the next run of a script may need it.
pub fn go_through(arguments: &GateArguments, shut: Vec<Shut>) -> Result<Vec<Override>, Vec<Shut>> {
    let reason =
        |gate| arguments.overrides.iter().find(|(known, _)| *known == gate).map(|(_, reason)| reason);
    let (through, closed): (Vec<Shut>, Vec<Shut>) =
        shut.into_iter().partition(|shut| reason(shut.gate).is_some());
    if !closed.is_empty() {
        return Err(closed);
    }
    let through = through.into_iter().map(|Shut { gate, finding }| {
        let reason = reason(gate).cloned().unwrap_or_default();
        Override { gate: gate.name().into(), finding, reason }
    });
    Ok(through.collect())
}

/// The lines of the file with top links.
///
/// # Errors
/// It cannot be read, or a line is no link.
pub fn top_links(arguments: &GateArguments) -> anyhow::Result<Vec<String>> {
    let Some(path) = &arguments.top else { return Ok(Vec::new()) };
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut links = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        ensure!(line.contains('/'), "{}:{}: {line:?} is no HOST/CODE", path.display(), index + 1);
        links.push(line.to_owned());
    }
    if links.is_empty() {
        bail!("{}: no link in it", path.display());
    }
    Ok(links)
}

fn leads_somewhere<B: AsRef<[u8]>>(snapshot: &Snapshot<B>, link: &str) -> bool {
    let (host, code) = link.split_once('/').unwrap_or((link, ""));
    let (mut host_buffer, mut code_buffer) = ([0; HOST_BYTES_MAX], [0; CODE_BYTES_MAX]);
    let Ok(host) = canonical_host(host.as_bytes(), &mut host_buffer) else { return false };
    let Some(domain) = snapshot.domain(host) else { return false };
    let code = canonical_code(code.as_bytes(), domain.case, domain.trailing_slash, &mut code_buffer);
    let link = code.ok().and_then(|code| snapshot.link(&domain, code));
    link.is_some_and(|link| !link.disabled && !link.deleted)
}

fn missing_canary<B: AsRef<[u8]>>(snapshot: &Snapshot<B>) -> Option<&'static str> {
    let domain = snapshot.domain(CANARY_HOST.as_bytes());
    let good = |code: &'static str, deleted, status| {
        let link = domain.as_ref().and_then(|domain| snapshot.link(domain, code.as_bytes()));
        link.is_some_and(|link| link.deleted == deleted && link.status == Some(status) && !link.disabled)
    };
    CANARIES.iter().find(|canary| !good(canary.code, canary.deleted, canary.status)).map(|canary| canary.code)
}

fn parse_override(text: &str) -> Result<(Gate, String), String> {
    let names = || Gate::ALL.map(Gate::name).join(", ");
    let (name, reason) =
        text.split_once('=').ok_or_else(|| format!("write GATE=REASON; gates are {}", names()))?;
    let gate = Gate::ALL.into_iter().find(|gate| gate.name() == name);
    let gate = gate.ok_or_else(|| format!("{name:?} is no gate; gates are {}", names()))?;
    if reason.trim().len() < 3 {
        return Err("a reason is a sentence that somebody will read after an outage".into());
    }
    Ok((gate, reason.trim().to_owned()))
}
