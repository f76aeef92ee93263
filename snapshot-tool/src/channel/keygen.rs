//! `keygen`: keys for the roles of a channel.

use crate::exit::Exit;
use crate::output::say;
use anyhow::{Context, ensure};
use serde_json::json;
use snapshot_channel::SecretKey;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// Roles with a key of their own.
pub const ROLES: [&str; 4] = ["root", "content", "pointer", "deny"];

/// Make keys for a channel: one for each role, in a directory that nobody else can read.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    /// The directory; it is made if it is missing.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Roles to make keys for [default: all].
    #[arg(long, value_name = "ROLE", value_delimiter = ',', value_parser = ROLES)]
    role: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Roles: root says who may sign the rest, and is needed only to make a channel and to exchange keys: keep root.key offline. \
content signs what was built, pointer what is served now, deny what is blocked.

ROLE.key is secret, ROLE.pub is not. Nodes are given the key in root.pub. Nothing is ever overwritten.

Example:
  snapshot-tool keygen keys
  snapshot-tool trust init --channel /srv/channel --keys keys links";

/// Runs `keygen`.
///
/// # Errors
/// A key is there already, or the disk refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let directory = &arguments.directory;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| directory.display().to_string())?;
    let wanted =
        |role: &&str| arguments.role.is_empty() || arguments.role.iter().any(|wanted| wanted == role);
    let roles: Vec<&str> = ROLES.into_iter().filter(wanted).collect();
    for role in &roles {
        for ending in ["key", "pub"] {
            let path = directory.join(format!("{role}.{ending}"));
            ensure!(!path.exists(), "{} is there already: name another directory", path.display());
        }
    }
    let mut public = serde_json::Map::new();
    for role in roles {
        let key = SecretKey::generate().context("no randomness")?;
        key.create_file(&directory.join(format!("{role}.key")))?;
        let path = directory.join(format!("{role}.pub"));
        fs::write(&path, format!("{}\n", key.public())).with_context(|| path.display().to_string())?;
        public.insert(role.into(), key.public().to_string().into());
        if !arguments.json {
            say(format!("{role:8} {}", key.public()));
        }
    }
    if arguments.json {
        say(json!({ "keys": public }));
    } else {
        say(format!("keep {} offline: it can replace all others", directory.join("root.key").display()));
    }
    Ok(Exit::Success)
}
