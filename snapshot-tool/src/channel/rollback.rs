//! `rollback`: a wave serves an earlier content again, under a new sequence.

use super::arguments::{ActArguments, ChannelArguments};
use super::audit::{Log, read_log};
use super::desk::{Announcement, Desk};
use super::publish::report;
use crate::exit::Exit;
use anyhow::{Context, bail};
use snapshot_channel::pointer::{Target, Wave};
use snapshot_channel::record::{Act, Changes};

/// Let a wave serve an earlier content again.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// The wave: stage, canary or all.
    #[arg(long, value_name = "WAVE", default_value_t = Wave::All)]
    wave: Wave,
    /// The version to go back to [default: the one that the wave served before].
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    #[command(flatten)]
    act: ActArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
No gate stands in the way. The log keeps why: say it with --note. The deny list is not touched: what is blocked stays blocked. \
Pin the wave if the next automatic publication must not undo it.

Examples:
  snapshot-tool rollback --note 'campaign links lead to the wrong shop'
  snapshot-tool rollback --wave all --to 41";

/// Runs `rollback`.
///
/// # Errors
/// There is nothing to go back to, the wave is pinned, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, wave, to, act, json } = arguments;
    let key = channel.secret("pointer")?;
    let mut desk = Desk::open_to_act(channel)?;
    let served = desk.waves().of(*wave).map(|served| served.target);
    let served = served.with_context(|| format!("wave {wave} serves nothing yet"))?;
    let log = read_log(&desk)?;
    let target = match to {
        Some(version) => with_version(&log, *version).with_context(|| {
            format!("no version {version} was ever served: snapshot-tool list shows them")
        })?,
        None => before(&log, *wave, served).with_context(|| format!("wave {wave} served nothing before"))?,
    };
    if target == served {
        bail!("wave {wave} serves version {} already", target.version);
    }
    // It must still be there, whole.
    let manifest = desk.manifest(&target)?;
    let name = format!("file/{}", manifest.snapshot().blake3);
    let files = desk.store.list("file")?;
    let there = files.iter().any(|entry| entry.name == name && entry.bytes == manifest.snapshot().bytes);
    if !there {
        bail!("the file of version {} is gone from the channel", target.version);
    }
    let announcement = Announcement {
        act: Act::Move { verb: "rollback".into(), wave: *wave, to: target, from: Some(served) },
        waves: desk.moved(*wave, target)?,
        changes: None,
        overrides: Vec::new(),
    };
    desk.announce(announcement, &key, act)?;
    report(*json, "rolled back", *wave, target, &Changes::default());
    Ok(Exit::Success)
}

/// What the wave served before it came to serve this.
fn before(log: &Log, wave: Wave, served: Target) -> Option<Target> {
    log.records.iter().rev().find_map(|record| match &record.act {
        Act::Move { wave: moved, to, from, .. } if *moved == wave && *to == served => Some(*from),
        _ => None,
    })?
}

fn with_version(log: &Log, version: u64) -> Option<Target> {
    log.records.iter().find_map(|record| match &record.act {
        Act::Move { to, .. } if to.version == version => Some(*to),
        _ => None,
    })
}
