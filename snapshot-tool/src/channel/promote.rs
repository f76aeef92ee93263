//! `promote`: the next wave serves what the one before it has proven.

use super::arguments::{ActArguments, ChannelArguments};
use super::contents;
use super::desk::{Announcement, Desk};
use super::gates::{GateArguments, go_through, judge, top_links};
use super::publish::{compared, refuse, report};
use crate::exit::Exit;
use anyhow::{Context, bail};
use snapshot_channel::pointer::Wave;
use snapshot_channel::record::{Act, Changes};
use std::path::PathBuf;

/// Let the next wave serve what the wave before it serves: stage → canary → all.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// The wave that moves: canary or all.
    #[arg(long, value_name = "WAVE")]
    to: Wave,
    #[command(flatten)]
    gates: GateArguments,
    #[command(flatten)]
    act: ActArguments,
    /// Where contents of a remote channel are kept for comparison [default: carom in the user's cache].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
The gates compare with what the wave serves now, which may be older than what the wave before it had.

Examples:
  snapshot-tool promote --channel s3://bucket/links --keys keys --to canary
  snapshot-tool promote --to all

Exit codes: 0 promoted or unchanged, 1 error, 2 usage, 4 a gate is shut and nothing was announced.";

/// Runs `promote`.
///
/// # Errors
/// There is nothing to promote, the wave is pinned, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, to: wave, gates, act, cache, json } = arguments;
    let source = Wave::EVERY.into_iter().find(|earlier| earlier.next() == Some(*wave));
    let Some(source) = source else { bail!("nothing comes before the stage: snapshot-tool publish") };
    let key = channel.secret("pointer")?;
    let top = top_links(gates)?;
    let mut desk = Desk::open_to_act(channel)?;
    let waves = desk.waves();
    let target = waves.of(source).with_context(|| format!("wave {source} serves nothing yet"))?.target;
    let served = waves.of(*wave).map(|served| served.target);
    if served == Some(target) {
        report(*json, "unchanged", *wave, target, &Changes::default());
        return Ok(Exit::Success);
    }
    let moved = desk.moved(*wave, target)?;
    let snapshot = contents::open(&desk, &target, cache.as_deref())?;
    let before = compared(&desk, served.as_ref(), &snapshot, cache.as_deref())?.map(|(_, before)| before);
    let overrides = match go_through(gates, judge(gates, &snapshot, before.as_ref(), &top)) {
        Ok(overrides) => overrides,
        Err(shut) => return Ok(refuse(*json, &shut)),
    };
    let changes = before.map(|before| before.changes);
    let announcement = Announcement {
        act: Act::Move { verb: "promote".into(), wave: *wave, to: target, from: served },
        waves: moved,
        changes: changes.clone(),
        overrides,
    };
    desk.announce(announcement, &key, act)?;
    report(*json, "promoted", *wave, target, &changes.unwrap_or_default());
    Ok(Exit::Success)
}
