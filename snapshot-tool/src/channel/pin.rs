//! `pin`: a wave stays where it is, whatever is published, until somebody lets it go.

use super::arguments::{ActArguments, ChannelArguments};
use super::desk::{Announcement, Desk};
use crate::exit::Exit;
use crate::output::say;
use anyhow::{Context, ensure};
use snapshot_channel::pointer::{Served, Wave};
use snapshot_channel::record::Act;

/// Keep a wave where it is, or let it go.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// The wave: stage, canary or all.
    #[arg(value_name = "WAVE")]
    wave: Wave,
    /// Why: whoever publishes next will read it.
    #[arg(long, value_name = "TEXT", required_unless_present = "release")]
    reason: Option<String>,
    /// Let it go.
    #[arg(long, conflicts_with = "reason")]
    release: bool,
    #[command(flatten)]
    act: ActArguments,
}

const HELP: &str = "\
Examples:
  snapshot-tool pin all --reason 'incident 4711: nothing moves until it is understood'
  snapshot-tool pin --release all";

/// Runs `pin`.
///
/// # Errors
/// The wave serves nothing yet, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, wave, reason, release: _, act } = arguments;
    let key = channel.secret("pointer")?;
    let mut desk = Desk::open_to_act(channel)?;
    let mut waves = desk.waves();
    let served = waves.of(*wave).with_context(|| format!("wave {wave} serves nothing yet"))?.clone();
    ensure!(served.pinned.is_some() || reason.is_some(), "wave {wave} is not pinned");
    waves.set(*wave, Served { pinned: reason.clone(), ..served });
    let pin = Act::Pin { wave: *wave, reason: reason.clone() };
    desk.announce(Announcement { act: pin, waves, changes: None, overrides: Vec::new() }, &key, act)?;
    let state = if reason.is_some() { "pinned" } else { "let go" };
    say(format!("wave {wave} is {state}"));
    Ok(Exit::Success)
}
