//! `gc`: contents that nobody serves and nobody will go back to leave the channel.

use super::arguments::{ActArguments, ChannelArguments, now_unix_s, parse_span};
use super::desk::{Desk, manifest_name};
use super::list::contents;
use crate::exit::Exit;
use crate::output::{counted, grouped, say};
use snapshot_channel::record::Act;
use snapshot_channel::store::Entry;
use std::collections::BTreeSet;
use std::time::Duration;

/// Remove contents that are neither served nor among the newest, and what unfinished publications left.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// How many of the newest contents stay besides those that are served.
    #[arg(long, value_name = "N", default_value_t = 5)]
    keep: usize,
    /// What was written more recently stays: a publication may be under way.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_span)]
    younger_than: Duration,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    act: ActArguments,
}

const HELP: &str = "\
Roots, the log, the pointer and the deny list always stay. Nodes keep their own last generations, whatever happens here.";

/// Runs `gc`.
///
/// # Errors
/// The store fails. What was removed by then is gone, and nothing that is served.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, keep, younger_than, dry_run, act } = arguments;
    let key = channel.secret("pointer")?;
    let mut desk = Desk::open_to_act(channel)?;
    let mut kept = BTreeSet::new();
    let served: Vec<_> = desk.waves().iter().map(|(_, served)| served.target).collect();
    for (place, (target, manifest)) in contents(&desk)?.into_iter().enumerate() {
        if place < *keep || served.contains(&target) {
            kept.insert(manifest_name(&target));
            kept.extend(manifest.files.iter().map(|file| format!("file/{}", file.blake3)));
        }
    }
    let horizon = now_unix_s().saturating_sub(younger_than.as_secs());
    let mut gone: Vec<Entry> = desk.store.list("manifest")?;
    gone.extend(desk.store.list("file")?);
    gone.retain(|entry| !kept.contains(&entry.name) && entry.modified_unix_s <= horizon);
    let (objects, bytes) = (gone.len() as u64, gone.iter().map(|entry| entry.bytes).sum());
    let verb = if *dry_run { "would go" } else { "went" };
    if !gone.is_empty() && !dry_run {
        // The record comes first: what is gone was announced, whatever happens in between.
        desk.record(Act::Collect { objects, bytes }, None, Vec::new(), act.note.clone(), &[&key])?;
        for entry in &gone {
            desk.store.delete(&entry.name)?;
        }
    }
    say(format!("{} {verb}, {} bytes", counted(objects, "object"), grouped(bytes)));
    Ok(Exit::Success)
}
