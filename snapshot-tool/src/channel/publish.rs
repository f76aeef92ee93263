//! `publish`: a snapshot becomes a content of the channel, served by a first wave.

use super::arguments::{ActArguments, ChannelArguments, now_unix_s, tool};
use super::contents;
use super::desk::{Announcement, Desk};
use super::gates::{Before, GateArguments, Shut, go_through, judge, top_links};
use crate::exit::Exit;
use crate::output::{counted, grouped, say};
use anyhow::Context;
use serde_json::json;
use snapshot_channel::ContentHash;
use snapshot_channel::document::{Kind, seal};
use snapshot_channel::failpoint;
use snapshot_channel::manifest::{File, Manifest, Role};
use snapshot_channel::pointer::{Target, Wave};
use snapshot_channel::record::{Act, Changes};
use snapshot_channel::store::Uploaded;
use snapshot_format::{Mapping, Snapshot, open_mapped};
use std::fs;
use std::path::{Path, PathBuf};

/// Publish a snapshot into a channel: to the stage, unless another wave is named.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// The snapshot.
    #[arg(value_name = "FILE")]
    snapshot: PathBuf,
    /// The wave that serves it first: stage, canary or all.
    #[arg(long, value_name = "WAVE", default_value_t = Wave::Stage)]
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
The snapshot is proven, compared link by link with what the wave serves now, and must pass the gates: links, size, changed, \
top, canary, readers, generation. Then its file, manifest and record are written, and last the pointer, which nodes look at.

Examples:
  snapshot-tool publish --channel s3://bucket/links --keys keys links.snapshot
  snapshot-tool publish --to all --override 'changed=new tenant, ticket 4711' links.snapshot
  snapshot-tool promote --to canary

Exit codes: 0 published or unchanged, 1 error, 2 usage, 4 a gate is shut and nothing was announced.";

/// Runs `publish`.
///
/// # Errors
/// The file is no whole snapshot, the channel is not believed, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, snapshot: path, to: wave, gates, act, cache, json: as_json } = arguments;
    let (pointer_key, content_key) = (channel.secret("pointer")?, channel.secret("content")?);
    let snapshot = open_mapped(path)?;
    snapshot.verify(|_| ()).with_context(|| path.display().to_string())?;
    let top = top_links(gates)?;
    let mut desk = Desk::open_to_act(channel)?;
    let served = desk.waves().of(*wave).map(|served| served.target);
    let before = compared(&desk, served.as_ref(), &snapshot, cache.as_deref())?;
    let same = before.as_ref().is_some_and(|(old, _)| old == &checksum(&snapshot));
    if let Some(target) = served.filter(|_| same) {
        report(*as_json, "unchanged", *wave, target, &Changes::default());
        return Ok(Exit::Success);
    }
    let before = before.map(|(_, before)| before);
    let overrides = match go_through(gates, judge(gates, &snapshot, before.as_ref(), &top)) {
        Ok(overrides) => overrides,
        Err(shut) => return Ok(refuse(*as_json, &shut)),
    };
    // A pinned wave is noticed before anything is sent.
    desk.moved(*wave, Target { version: 0, manifest: ContentHash::of(b"") })?;
    let file = hash_file(path, &snapshot)?;
    failpoint::reach("publish-before-file");
    let uploaded = desk.store.upload(&format!("file/{}", file.blake3), path, &file.blake3)?;
    failpoint::reach("publish-after-file");
    let manifest = Manifest {
        channel: desk.trust.channel().into(),
        version: desk.next_number(),
        created_unix_s: now_unix_s(),
        parent: served.map(|target| target.manifest),
        generation: snapshot.generation(),
        built_at_unix_s: snapshot.built_at_unix_s(),
        links: snapshot.links(),
        domains: snapshot.domains(),
        content_checksum: checksum(&snapshot),
        tool: tool(),
        files: vec![file],
        requires: Vec::new(),
    };
    let bytes = seal(Kind::Manifest, &serde_json::to_vec(&manifest)?, &[&content_key]);
    let target = Target { version: manifest.version, manifest: ContentHash::of(&bytes) };
    // What nodes would refuse is not written.
    desk.trust.manifest(&target, &bytes)?;
    desk.store.create(&format!("manifest/{}", target.manifest), bytes)?;
    failpoint::reach("publish-after-manifest");
    let changes = before.map(|before| before.changes);
    let announcement = Announcement {
        act: Act::Move { verb: "publish".into(), wave: *wave, to: target, from: served },
        waves: desk.moved(*wave, target)?,
        changes: changes.clone(),
        overrides,
    };
    desk.announce(announcement, &pointer_key, act)?;
    let verb = if uploaded == Uploaded::Known { "published (the file was there)" } else { "published" };
    report(*as_json, verb, *wave, target, &changes.unwrap_or_default());
    Ok(Exit::Success)
}

/// The content checksum and figures of what a wave serves, compared with the new content.
pub(super) fn compared(
    desk: &Desk,
    served: Option<&Target>,
    new: &Snapshot<Mapping>,
    cache: Option<&Path>,
) -> anyhow::Result<Option<(String, Before)>> {
    let Some(target) = served else { return Ok(None) };
    let old = contents::open(desk, target, cache).with_context(|| format!("version {}", target.version))?;
    let before = Before {
        links: old.links(),
        bytes: old.bytes_len(),
        generation: old.generation(),
        changes: contents::changes(&old, new),
    };
    Ok(Some((checksum(&old), before)))
}

/// Says which gates are shut.
pub(super) fn refuse(as_json: bool, shut: &[Shut]) -> Exit {
    if as_json {
        let gates: Vec<_> =
            shut.iter().map(|shut| json!({ "gate": shut.gate.name(), "finding": shut.finding })).collect();
        say(json!({ "result": "refused", "gates": gates }));
    }
    for Shut { gate, finding } in shut {
        let name = gate.name();
        eprintln!("gate {name} is shut: {finding}; if that is right: --override '{name}=WHY'");
    }
    eprintln!("error: nothing was announced");
    Exit::ChangeRefused
}

/// Says what has been done.
pub(super) fn report(as_json: bool, verb: &str, wave: Wave, target: Target, changes: &Changes) {
    if as_json {
        say(json!({
            "result": verb.split(' ').next(),
            "wave": wave,
            "version": target.version,
            "manifest": target.manifest,
            "changes": changes,
        }));
        return;
    }
    let Changes { added, removed, changed, same: _, domains, examples: _ } = changes;
    let [added, removed, changed] = [*added, *removed, *changed].map(grouped);
    let domains = counted(*domains, "domain");
    let version = target.version;
    say(format!(
        "{verb}: wave {wave} serves version {version} ({added} added, {removed} removed, {changed} changed; {domains} changed)"
    ));
    if let Some(next) = wave.next() {
        say(format!("when you have seen it work: snapshot-tool promote --to {next}"));
    }
}

pub(super) fn checksum<B: AsRef<[u8]>>(snapshot: &Snapshot<B>) -> String {
    format!("{:016x}", snapshot.content_checksum())
}

fn hash_file(path: &Path, snapshot: &Snapshot<Mapping>) -> anyhow::Result<File> {
    let mut hasher = blake3::Hasher::new();
    let hashed = fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    let bytes = hashed.with_context(|| path.display().to_string())?;
    anyhow::ensure!(bytes == snapshot.bytes_len(), "{} changed while it was read", path.display());
    Ok(File { role: Role::Snapshot, bytes, blake3: hasher.finalize().into() })
}
