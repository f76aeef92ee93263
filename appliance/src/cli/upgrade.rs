//! `carom upgrade`: asks the serving node for its successor, and says how it went.

use std::path::Path;
use std::process::ExitCode;

use crate::config;
use crate::handover::launch::{Upgraded, upgrade};

/// Shown below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  install carom.new /usr/bin/carom && carom upgrade --config /etc/carom/carom.toml
  carom upgrade --json | jq .pid

The serving node starts the file that it was started from, with the same arguments. The new process takes the listening
sockets, gets ready, and only then does the old one drain. If the new one fails, the old one serves on.
Exit status: 0 the new process serves, 1 the old one serves on, for the reason that is named.";

pub(super) fn run(config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let settings = config::load(config)?;
    let (text, object, status) = match upgrade(&settings.node.state_dir)? {
        Upgraded::Serves(pid) => (
            format!("process {pid} serves now\n"),
            serde_json::json!({ "upgraded": true, "pid": pid }),
            ExitCode::SUCCESS,
        ),
        Upgraded::Failed(reason) => (
            format!("the old process serves on: {reason}\n"),
            serde_json::json!({ "upgraded": false, "reason": reason }),
            ExitCode::FAILURE,
        ),
    };
    super::print(&if json { format!("{object}\n") } else { text })?;
    Ok(status)
}
