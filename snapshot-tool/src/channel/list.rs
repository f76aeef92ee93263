//! `list`: what each wave serves, and what the channel still holds.

use super::arguments::{ChannelArguments, now_unix_s};
use super::desk::{Desk, span};
use crate::exit::Exit;
use crate::moment;
use crate::output::{grouped, say};
use serde_json::{Value, json};
use snapshot_channel::limits::DOCUMENT_BYTES_MAX;
use snapshot_channel::manifest::Manifest;
use snapshot_channel::pointer::Target;
use snapshot_channel::{Access, ContentHash};
use std::time::Duration;

/// Show what each wave serves, and the contents of the channel.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `list`.
///
/// # Errors
/// The channel is not believed, or cannot be listed.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let desk = Desk::open(&arguments.channel, Access::Read)?;
    let contents = contents(&desk)?;
    if arguments.json {
        say(to_json(&desk, &contents));
        return Ok(Exit::Success);
    }
    match &desk.pointer {
        None => say("nothing has been published yet: snapshot-tool publish"),
        Some((pointer, _)) => {
            let left = pointer.expires_unix_s.checked_sub(now_unix_s());
            let life = left.map_or("EXPIRED: snapshot-tool renew".into(), |left| {
                format!("believed for {}", span(Duration::from_secs(left)))
            });
            say(format!("channel {}, sequence {}, {life}", pointer.channel, pointer.sequence));
            for (wave, served) in pointer.waves.iter() {
                let pinned = served.pinned.as_ref().map(|why| format!("  pinned: {why}")).unwrap_or_default();
                let (version, since) = (served.target.version, moment::render(served.since_unix_s));
                say(format!("  {:7} version {version:<6} since {since}{pinned}", wave.name()));
            }
        }
    }
    for (target, manifest) in &contents {
        let (links, bytes) = (grouped(manifest.links), grouped(manifest.snapshot().bytes));
        let (truth, generation) = (moment::render(manifest.built_at_unix_s), manifest.generation);
        say(format!(
            "version {:<6} generation {generation:<6} truth of {truth}  {links} links  {bytes} bytes",
            target.version
        ));
    }
    Ok(Exit::Success)
}

/// Every content whose manifest is there and believed, the newest first.
///
/// # Errors
/// The store fails.
pub fn contents(desk: &Desk) -> anyhow::Result<Vec<(Target, Manifest)>> {
    let mut contents = Vec::new();
    for entry in desk.store.list("manifest")? {
        let Some(fetched) = desk.store.get(&entry.name, DOCUMENT_BYTES_MAX)? else { continue };
        let hash = ContentHash::of(&fetched.bytes);
        // Manifests of a key that was rotated out are shown no longer; nodes would refuse them as well.
        let Some(version) = version_of(&fetched.bytes) else { continue };
        let target = Target { version, manifest: hash };
        if let Ok(manifest) = desk.trust.manifest(&target, &fetched.bytes) {
            contents.push((target, manifest));
        }
    }
    contents.sort_by_key(|(target, _)| std::cmp::Reverse(target.version));
    Ok(contents)
}

fn version_of(bytes: &[u8]) -> Option<u64> {
    let body = bytes.windows(2).position(|pair| pair == b"\n\n")? + 2;
    serde_json::from_slice::<Value>(&bytes[body..]).ok()?.get("version")?.as_u64()
}

fn to_json(desk: &Desk, contents: &[(Target, Manifest)]) -> Value {
    let contents: Vec<Value> = contents
        .iter()
        .map(|(target, manifest)| {
            let mut object = json!(manifest);
            object["manifest"] = json!(target.manifest);
            object
        })
        .collect();
    json!({
        "channel": desk.trust.channel(),
        "root": desk.trust.root().version,
        "pointer": desk.pointer.as_ref().map(|(pointer, _)| pointer),
        "contents": contents,
    })
}
