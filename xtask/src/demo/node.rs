//! One carom process: its configuration, its start until it is ready, its drain.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::ports::Ports;
use super::{Stop, asked_to_stop};

/// A node with 58,000 links is ready in well under a second; a loaded machine may take longer.
const READY_MAX: Duration = Duration::from_secs(30);
/// Above the configured drain deadline of 10 seconds.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How often a process or file is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A running node; dropping it without a drain kills it.
pub(super) struct Node {
    child: Child,
    log: PathBuf,
}

impl Node {
    /// Starts the node and returns when it says that it is ready.
    pub(super) fn start(binary: &Path, directory: &Path, ports: &Ports, stop: &Stop) -> Result<Self> {
        let config = config_path(directory);
        let ready = directory.join("ready.json");
        fs::write(&config, configuration(directory, ports))
            .with_context(|| format!("cannot write {}", config.display()))?;
        remove(&ready)?;
        // A node never goes back to an older generation, and every demo begins with the first.
        start_afresh(&directory.join("state"))?;
        let log = log_path(directory);
        let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Ctrl-C in a terminal reaches the whole process group; the node is to hear of it from us, once.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut node = Self { child, log };
        node.await_ready(&ready, stop)?;
        Ok(node)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when somebody asked to stop; an error when the node ends before that.
    pub(super) fn wait_until(&mut self, stop: &Stop) -> Result<()> {
        while !asked_to_stop(stop) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended by itself ({status}){}", self.last_words());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Asks the node to drain and waits for its end.
    pub(super) fn drain(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).context("cannot signal the node")?;
        let deadline = Instant::now() + DRAIN_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the node ended badly ({}){}", told(status), self.last_words()),
                None => thread::sleep(LOOK),
            }
        }
        bail!("the node did not end within {} s of SIGTERM{}", DRAIN_MAX.as_secs(), self.last_words())
    }

    fn await_ready(&mut self, ready: &Path, stop: &Stop) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while !ready.exists() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node did not start ({}){}", told(status), self.last_words());
            }
            if Instant::now() > deadline {
                bail!("the node was not ready within {} s{}", READY_MAX.as_secs(), self.last_words());
            }
            if asked_to_stop(stop) {
                bail!("stopped before the node was ready");
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// What the node had to do without on this machine, as it says in its log; each warning once.
    pub(super) fn warnings(&self) -> Vec<String> {
        warnings(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// The end of the node's log, to be shown under a complaint.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(10)..];
        last.iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // After a drain the process is gone and reaped, and both calls do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn config_path(directory: &Path) -> PathBuf {
    directory.join("carom.toml")
}

pub(super) fn log_path(directory: &Path) -> PathBuf {
    directory.join("carom.log")
}

fn configuration(directory: &Path, ports: &Ports) -> String {
    let http: Vec<String> = ports.http_addresses().iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "# Written by `cargo xtask demo`. `carom config` prints every key with its meaning and default.\n\
         version = 1\n\n\
         [node]\nname = \"demo\"\nstate_dir = {state:?}\n\n\
         [listen]\nhttp = [{http}]\n\n\
         [snapshot]\npath = {snapshot:?}\n\n\
         [admin]\nlisten = \"{admin}\"\n\n\
         [guard]\nmode = \"off\"\n",
        state = directory.join("state"),
        http = http.join(", "),
        snapshot = directory.join("links.snapshot"),
        admin = ports.admin_address(),
    )
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn warnings(log: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for warning in log.lines().filter_map(|line| line.split_once(" WARN ")).map(|(_, warning)| warning.trim())
    {
        if !warnings.iter().any(|seen| seen == warning) {
            warnings.push(warning.to_owned());
        }
    }
    warnings
}

fn start_afresh(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
        _ => {}
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn told(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_names_every_address() {
        let ports = Ports { http: 8080, admin: 9180, ipv6: true };
        let text = configuration(Path::new("/a b/\"c\""), &ports);
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["listen"]["http"].as_array().unwrap().len(), 2);
        assert_eq!(table["admin"]["listen"].as_str(), Some("127.0.0.1:9180"));
        assert_eq!(table["snapshot"]["path"].as_str(), Some("/a b/\"c\"/links.snapshot"));
    }

    #[test]
    fn warnings_of_a_node_are_told_once_and_without_their_time() {
        let log =
            "12:00  WARN few descriptors max=9\n12:00  INFO serving\n12:01  WARN few descriptors max=9\n";
        assert_eq!(warnings(log), ["few descriptors max=9"]);
    }

    #[test]
    fn a_node_that_dies_is_reported_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("carom");
        fs::write(&script, "#!/bin/sh\necho 'port 80 is taken' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ports = Ports { http: 1, admin: 2, ipv6: false };
        let error =
            Node::start(&script, directory.path(), &ports, &Stop::default()).err().unwrap().to_string();
        assert!(error.contains("did not start") && error.contains("port 80 is taken"), "{error}");
    }
}
