//! A carom node with one shard, on one CPU, with its files in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::process::Process;

/// Starts `carom serve` for the snapshot, and returns it with its address when it is ready.
pub(crate) fn start(
    binary: &Path,
    directory: &Path,
    snapshot: &Path,
    cpu: usize,
) -> Result<(Process, SocketAddr)> {
    start_on(binary, directory, snapshot, cpu, "127.0.0.1:0", "")
}

/// The same with more sections of configuration.
pub(crate) fn start_with(
    binary: &Path,
    directory: &Path,
    snapshot: &Path,
    cpu: usize,
    sections: &str,
) -> Result<(Process, SocketAddr)> {
    start_on(binary, directory, snapshot, cpu, "127.0.0.1:0", sections)
}

/// The same on an address of the caller's network namespace; it ends with the thread that starts it.
pub(crate) fn start_on(
    binary: &Path,
    directory: &Path,
    snapshot: &Path,
    cpu: usize,
    listen: &str,
    sections: &str,
) -> Result<(Process, SocketAddr)> {
    let config = directory.join("carom.toml");
    let ready = directory.join("carom.ready.json");
    // Left by an earlier run, it would say too early that the node is up.
    let _ = fs::remove_file(&ready);
    fs::write(&config, configuration(directory, snapshot, listen) + sections)
        .with_context(|| format!("cannot write {}", config.display()))?;
    // A benchmark that is killed leaves no node behind.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(binary);
    command.arg("serve").arg("--config").arg(&config).arg("--ready-file").arg(&ready);
    let mut process = Process::start(&command, cpu, &directory.join("carom.log"))?;
    process.wait_until(|| ready.exists())?;
    let text = fs::read_to_string(&ready).context("cannot read the ready file of carom")?;
    let value: serde_json::Value =
        serde_json::from_str(&text).context("the ready file of carom is no JSON")?;
    let address = value["http"][0].as_str().and_then(|text| text.parse().ok());
    Ok((process, address.context("the ready file of carom names no address")?))
}

fn configuration(directory: &Path, snapshot: &Path, listen: &str) -> String {
    format!(
        "version = 1\n\
         [node]\nname = \"bench\"\nstate_dir = {state:?}\n\
         [listen]\nhttp = [{listen:?}]\nhttp2_prior_knowledge = true\nshards = 1\n\
         [snapshot]\npath = {snapshot:?}\npoll_interval_ms = 0\n\
         [http]\nrequests_per_connection_max = 1000000000\n\
         [guard]\nmode = \"off\"\n\
         [admin]\nlisten = \"unix:{admin}\"\n",
        state = directory.join("state"),
        admin = directory.join("admin.socket").display(),
    )
}
