//! `fetch`: what a node does: believe the channel, bring its snapshot here, and remember what was seen only then.

use super::arguments::{ChannelArguments, now_unix_s};
use super::desk::anchor;
use crate::build::publish::{Draft, directory_of};
use crate::exit::Exit;
use crate::output::say;
use anyhow::{Context, ensure};
use serde_json::json;
use snapshot_channel::failpoint;
use snapshot_channel::fetch::fetch;
use snapshot_channel::limits::DOCUMENT_BYTES_MAX;
use snapshot_channel::pointer::Wave;
use snapshot_channel::{Access, Store, Trust};
use snapshot_format::open_mapped;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Bring the snapshot that a wave serves to a file, verified; a node that watches the file swaps to it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// The wave to follow: stage, canary or all.
    #[arg(long, value_name = "WAVE", default_value_t = Wave::All)]
    wave: Wave,
    /// Where the snapshot goes; it appears there in one step, when it has been proven.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Directory for downloads and for what was seen of the channel: an old pointer is refused also after a restart.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
An interrupted download resumes. Nothing is believed but what the trusted root key leads to; whatever is refused leaves the \
output as it was.

Restore drill: an empty machine, a channel and a public key
  snapshot-tool fetch --channel https://mirror.example/links --trust ed25519:… --state state --output links.snapshot";

/// Runs `fetch`.
///
/// # Errors
/// The channel is unreachable or not believed, or the disk refuses. The output is as it was.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, wave, output, state, json: as_json } = arguments;
    fs::create_dir_all(state).with_context(|| state.display().to_string())?;
    let store = Store::open(&channel.channel, Access::Read)?;
    let remembered = state.join("trust.json");
    let trust = follow_roots(&store, known(&remembered)?, channel)?;
    let fetched = store.get("pointer", DOCUMENT_BYTES_MAX)?.context("nothing has been published yet")?;
    let (pointer, trust) = trust.pointer(&fetched.bytes, now_unix_s())?;
    let target = Trust::target(&pointer, *wave)?;
    let bytes = store.get(&format!("manifest/{}", target.manifest), DOCUMENT_BYTES_MAX)?;
    let manifest = trust.manifest(&target, &bytes.context("the manifest is gone from the channel")?.bytes)?;
    let file = fetch(&store, manifest.snapshot(), state)?;
    let snapshot = open_mapped(&file)?;
    ensure!(
        snapshot.generation() == manifest.generation && snapshot.links() == manifest.links,
        "the snapshot is not what its manifest says"
    );
    place(&file, output)?;
    failpoint::reach("fetch-before-trust");
    // Last: whoever is interrupted before does it all again.
    remember(&remembered, &trust)?;
    drop_others(state, &file);
    if *as_json {
        say(json!({
            "sequence": pointer.sequence, "wave": wave, "version": target.version, "generation": manifest.generation,
            "links": manifest.links, "file": output,
        }));
    } else {
        say(format!("{}: version {}, generation {}", output.display(), target.version, manifest.generation));
    }
    Ok(Exit::Success)
}

fn known(path: &Path) -> anyhow::Result<Option<Trust>> {
    match fs::read(path) {
        Ok(bytes) => {
            let trust = Trust::from_bytes(&bytes);
            let error =
                || format!("{}: damaged; remove it to begin anew from the trusted key", path.display());
            trust.map(Some).with_context(error)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn follow_roots(store: &Store, known: Option<Trust>, channel: &ChannelArguments) -> anyhow::Result<Trust> {
    let Some(mut trust) = known else { return anchor(store, &channel.anchors()?) };
    loop {
        let Some(next) = trust.root().version.checked_add(1) else { return Ok(trust) };
        match store.get(&super::desk::root_name(next), DOCUMENT_BYTES_MAX)? {
            None => return Ok(trust),
            Some(fetched) => trust = trust.next_root(&fetched.bytes)?,
        }
    }
}

fn remember(path: &Path, trust: &Trust) -> anyhow::Result<()> {
    let draft = Draft::beside(path)?;
    let written = File::create(draft.path()).and_then(|mut file| {
        file.write_all(&trust.to_bytes())?;
        file.sync_all()
    });
    written.with_context(|| path.display().to_string())?;
    draft.publish(path)
}

/// A copy under the final name: what a node maps is never what a download writes.
fn place(file: &Path, output: &Path) -> anyhow::Result<()> {
    let draft = Draft::beside(output)?;
    let copied = fs::copy(file, draft.path()).and_then(|_| File::open(draft.path())?.sync_all());
    copied.with_context(|| directory_of(output).display().to_string())?;
    failpoint::reach("fetch-before-output");
    draft.publish(output)
}

/// One content is kept, so that the next look needs no download; what others left goes.
fn drop_others(state: &Path, kept: &Path) {
    let Ok(entries) = fs::read_dir(state) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_content =
            name.strip_suffix(".partial").unwrap_or(name).parse::<snapshot_channel::ContentHash>().is_ok();
        if is_content && path != kept {
            let _ = fs::remove_file(path);
        }
    }
}
