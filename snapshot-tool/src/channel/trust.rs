//! `trust`: makes a channel, exchanges its keys, shows who may sign what.

use super::arguments::{ActArguments, ChannelArguments, now_unix_s, read_public};
use super::desk::{Desk, root_name};
use super::keygen::ROLES;
use crate::exit::Exit;
use crate::moment;
use crate::output::say;
use anyhow::{bail, ensure};
use serde_json::json;
use snapshot_channel::document::{Kind, seal};
use snapshot_channel::record::{Act, Chain};
use snapshot_channel::root::{Role, Root, is_channel_name};
use snapshot_channel::{Access, SecretKey, Store, Trust};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Make a channel, exchange its keys, or show who may sign what.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Make a channel: its first root, signed by root.key.
    Init {
        #[command(flatten)]
        channel: ChannelArguments,
        /// Name of the channel: a-z, 0-9, - _ .
        #[arg(value_name = "NAME")]
        name: String,
        /// For so long the root is believed.
        #[arg(long, value_name = "TIME", default_value = "730d", value_parser = super::arguments::parse_span)]
        root_lifetime: Duration,
    },
    /// Exchange the keys of roles by those in another directory, and give the root a new life.
    Rotate {
        #[command(flatten)]
        channel: ChannelArguments,
        /// Directory with the new keys: a file ROLE.pub with one key per line for each role; root.key as well if root changes.
        #[arg(long, value_name = "DIR")]
        new_keys: PathBuf,
        /// Roles whose keys are exchanged; all others stay.
        #[arg(long, value_name = "ROLE", value_delimiter = ',', required = true, value_parser = ROLES)]
        role: Vec<String>,
        /// For so long the root is believed.
        #[arg(long, value_name = "TIME", default_value = "730d", value_parser = super::arguments::parse_span)]
        root_lifetime: Duration,
        #[command(flatten)]
        act: ActArguments,
    },
    /// Show the newest root that follows from the trusted keys.
    Show {
        #[command(flatten)]
        channel: ChannelArguments,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

const HELP: &str = "\
Examples:
  snapshot-tool keygen keys
  snapshot-tool trust init --channel s3://bucket/links --keys keys links
  snapshot-tool keygen new-keys --role pointer
  snapshot-tool trust rotate --channel s3://bucket/links --keys keys --new-keys new-keys --role pointer

A rotation of the pointer key needs a new pointer: put the new key into the directory of keys and run renew. root.pub there \
should go on holding the first root key as well, one per line: the log before the rotation is believed from it. Nodes follow \
rotations by themselves; a node that starts anew may be given the old root key or the new one.";

/// Runs `trust`.
///
/// # Errors
/// A key is missing, the channel is there already or not yet, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Init { channel, name, root_lifetime } => init(channel, name, *root_lifetime),
        Command::Rotate { channel, new_keys, role, root_lifetime, act } => {
            rotate(channel, new_keys, role, *root_lifetime, act)
        }
        Command::Show { channel, json } => show(channel, *json),
    }
}

fn init(channel: &ChannelArguments, name: &str, lifetime: Duration) -> anyhow::Result<Exit> {
    ensure!(
        is_channel_name(name),
        "{name:?} is no name of a channel: a-z, 0-9, - _ . and at most 64 of them"
    );
    let Some(keys) = &channel.keys else { bail!("name the directory that keygen made with --keys") };
    let role = |role: &str| -> anyhow::Result<Role> {
        Ok(Role { keys: read_public(&keys.join(format!("{role}.pub")))?, threshold: 1 })
    };
    let root = Root {
        channel: name.into(),
        version: 1,
        expires_unix_s: now_unix_s().saturating_add(lifetime.as_secs()),
        root: role("root")?,
        content: role("content")?,
        pointer: role("pointer")?,
        deny: role("deny")?,
        requires: Vec::new(),
    };
    let secret = channel.secret("root")?;
    let bytes = seal(Kind::Root, &serde_json::to_vec(&root)?, &[&secret]);
    let trust = Trust::anchor(&[secret.public()], 1, &bytes)?;
    let store = Store::open(&channel.channel, Access::Write)?;
    ensure!(store.create(&root_name(1), bytes)?, "{} is a channel already", store.url());
    let mut desk =
        Desk { store, anchors: vec![secret.public()], trust, pointer: None, chain: Chain::default() };
    desk.record(Act::Trust { version: 1 }, None, Vec::new(), None, &[&secret])?;
    say(format!("channel {name} at {}; nodes trust {}", channel.channel, secret.public()));
    Ok(Exit::Success)
}

fn rotate(
    channel: &ChannelArguments,
    new_keys: &Path,
    roles: &[String],
    lifetime: Duration,
    act: &ActArguments,
) -> anyhow::Result<Exit> {
    let mut desk = Desk::open_to_act(channel)?;
    let mut root = desk.trust.root().clone();
    let mut signers: Vec<SecretKey> = vec![channel.secret("root")?];
    for name in roles {
        let role = match name.as_str() {
            "root" => &mut root.root,
            "content" => &mut root.content,
            "pointer" => &mut root.pointer,
            _ => &mut root.deny,
        };
        role.keys = read_public(&new_keys.join(format!("{name}.pub")))?;
        role.threshold = role.threshold.min(role.keys.len());
        if name == "root" {
            signers.push(SecretKey::read_file(&new_keys.join("root.key"))?);
        }
    }
    root.version += 1;
    root.expires_unix_s = now_unix_s().saturating_add(lifetime.as_secs());
    let signers: Vec<&SecretKey> = signers.iter().collect();
    let bytes = seal(Kind::Root, &serde_json::to_vec(&root)?, &signers);
    let trust = desk.trust.next_root(&bytes)?;
    ensure!(desk.store.create(&root_name(root.version), bytes)?, "somebody else has rotated meanwhile");
    desk.record(Act::Trust { version: root.version }, None, Vec::new(), act.note.clone(), &signers[..1])?;
    desk.trust = trust;
    say(format!("root {} says who signs {} from now on", root.version, roles.join(", ")));
    if roles.iter().any(|role| role == "pointer") {
        say(
            "the pointer is still signed by the old key, and nodes refuse it: snapshot-tool renew signs it anew",
        );
    }
    Ok(Exit::Success)
}

fn show(channel: &ChannelArguments, as_json: bool) -> anyhow::Result<Exit> {
    let store = Store::open(&channel.channel, Access::Read)?;
    let trust = super::desk::anchor(&store, &channel.anchors()?)?;
    let root = trust.root();
    if as_json {
        say(json!(root));
        return Ok(Exit::Success);
    }
    say(format!(
        "channel {}, root {}, until {}",
        root.channel,
        root.version,
        moment::render(root.expires_unix_s)
    ));
    let roles =
        [("root", &root.root), ("content", &root.content), ("pointer", &root.pointer), ("deny", &root.deny)];
    for (name, role) in roles {
        for key in &role.keys {
            say(format!("{name:8} {key}  ({} of {})", role.threshold, role.keys.len()));
        }
    }
    Ok(Exit::Success)
}
