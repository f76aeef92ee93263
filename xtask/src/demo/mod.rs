//! Shows a redirect node at work: real links, one command, and lines to try.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::lab;
use crate::setup::{self, Purpose};
use crate::workspace::{NotRun, Profile, Verdict, Workspace, spoken, succeeds};

mod lines;
mod node;
mod ports;

use lines::Place;
use node::Node;
use ports::Ports;

/// Start a node with real links on loopback, print curl lines to try, and keep running until Ctrl-C.
///
/// Installs what is missing, builds carom and snapshot-tool, makes a snapshot of the homepages of all Debian packages
/// (examples/debian-homepages.csv), starts `carom serve`, and tries every line that it prints. Everything it writes is
/// under target/demo. It needs no root.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Try the printed lines and stop, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
    /// Two datacenters with real BGP instead of one node: needs root, for network namespaces
    #[arg(long)]
    lab: bool,
    /// With --lab: end after so many seconds
    #[arg(long, requires = "lab")]
    seconds: Option<u64>,
    /// How to build; dev is quicker to build and slower to run
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
    /// Port for links, on 127.0.0.1 and [::1]; a free one is taken when this is in use
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port for health and metrics, on 127.0.0.1; a free one is taken when this is in use
    #[arg(long, default_value_t = 9180)]
    admin_port: u16,
}

/// What the demo came to when it was run as a test.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) not_run: Vec<NotRun>,
}

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    if options.lab {
        return run_lab(options, workspace);
    }
    setup::prepare(&[Purpose::Demo]);
    let mut build =
        workspace.cargo(["build", "--package", "carom", "--package", "snapshot-tool", "--profile"]);
    if !succeeds(build.arg(options.profile.name()))? {
        bail!("the build failed");
    }
    let demo = Demo::new(workspace, options.profile, "demo")?;
    Ok(demo.play(options.port, options.admin_port, options.once)?.verdict)
}

/// Two datacenters: shown until Ctrl-C, or checked and ended where nobody looks.
fn run_lab(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Demo, Purpose::Lab]);
    let packages = ["carom", "carom-bgp", "snapshot-tool"].into_iter().flat_map(|name| ["--package", name]);
    let mut build = workspace.cargo(["build"].into_iter().chain(packages).chain(["--profile"]));
    if !succeeds(build.arg(options.profile.name()))? {
        bail!("the build failed");
    }
    let bounded = options.once || (options.seconds.is_none() && !lab::play::is_watched());
    let demo = Demo::new(workspace, options.profile, "demo-lab")?;
    let Some(mut stage) = demo.open_lab()? else {
        bail!("this machine does not let the lab run; it needs root, network namespaces and bird2");
    };
    if bounded {
        stage.check()?;
        return Ok(Verdict::Passed);
    }
    let stop = stop_on_signal()?;
    let desk = lab::desk::Desk::open(&lab::socket(workspace)?)?;
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    stage.watch(&desk, || asked_to_stop(&stop) || end.is_some_and(|end| Instant::now() >= end));
    println!("ending; namespaces and processes go with this program");
    Ok(Verdict::Passed)
}

/// The stage of `cargo xtask test`: with the binaries that are there, in a directory apart from a demo that runs.
pub(crate) fn run_once(workspace: &Workspace, profile: Profile) -> Result<Outcome> {
    Demo::new(workspace, profile, "demo-once")?.play(8080, 9180, true)
}

/// The same for two datacenters: a node dies and is left, and is drained. Nothing is held against a machine that does not allow it.
pub(crate) fn run_lab_once(workspace: &Workspace, profile: Profile) -> Result<Outcome> {
    let demo = Demo::new(workspace, profile, "demo-lab-once")?;
    // What the lab waits for in vain ends it by a panic; the other stages are still worth knowing.
    let played = panic::catch_unwind(AssertUnwindSafe(|| -> Result<Option<()>> {
        let Some(mut stage) = demo.open_lab()? else { return Ok(None) };
        stage.check().map(Some)
    }));
    let outcome = |verdict, not_run| Outcome { verdict, not_run };
    match played {
        Ok(Ok(Some(()))) => Ok(outcome(Verdict::Passed, Vec::new())),
        Ok(Ok(None)) => {
            let why = "needs root, network namespaces and bird2";
            Ok(outcome(Verdict::Passed, vec![NotRun::new("demo --lab", why)]))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(outcome(Verdict::Failed, Vec::new())),
    }
}

/// Set by Ctrl-C or SIGTERM.
type Stop = Arc<AtomicBool>;

/// Where the demo reads and writes.
struct Demo<'w> {
    workspace: &'w Workspace,
    binaries: PathBuf,
    directory: PathBuf,
    /// Held as long as the demo lives, so that a second one does not wipe the first one's files.
    _lock: fs::File,
}

impl<'w> Demo<'w> {
    fn new(workspace: &'w Workspace, profile: Profile, name: &str) -> Result<Self> {
        let directory = workspace.target()?.join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = lock(&directory)?;
        Ok(Self { workspace, binaries: workspace.binaries(profile)?, directory, _lock: lock })
    }

    fn play(&self, port: u16, admin_port: u16, once: bool) -> Result<Outcome> {
        let stop = stop_on_signal()?;
        self.snapshot()?;
        let ports = Ports::choose(port, admin_port)?;
        ports.explain(port, admin_port);
        let mut node = Node::start(&self.binaries.join("carom"), &self.directory, &ports, &stop)?;
        let place = Place {
            workspace: self.workspace,
            tool: self.binaries.join("snapshot-tool"),
            snapshot: self.snapshot_path(),
            ports,
            pid: node.pid(),
        };
        let outcome = lines::show(&place)?;
        for warning in node.warnings() {
            println!("\nthe node warns: {warning}");
        }
        println!("\nconfiguration: {}", self.workspace.display(&node::config_path(&self.directory)));
        println!("log of the node: {}", self.workspace.display(&node::log_path(&self.directory)));
        if !once {
            println!(
                "\nThe node is running with process id {}. Ctrl-C drains it and ends the demo.",
                node.pid()
            );
            node.wait_until(&stop)?;
            println!("\ndraining the node");
        }
        node.drain()?;
        println!("the node has ended in good order");
        Ok(outcome)
    }

    fn open_lab(&self) -> Result<Option<lab::play::Stage>> {
        self.snapshot()?;
        let links = lab::play::links(&self.workspace.root().join("examples/debian-homepages.csv"))?;
        let stage = lab::play::Stage::open(&self.binaries, &self.snapshot_path(), &links)?;
        if let (Some(stage), Some(click)) = (&stage, links.first()) {
            stage.explain(click);
        }
        Ok(stage)
    }

    /// Builds the snapshot and explains the one exit status that looks like trouble and is none.
    fn snapshot(&self) -> Result<()> {
        let output = self.snapshot_path();
        match fs::remove_file(&output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", output.display()));
            }
            _ => {}
        }
        let mut tool = build_snapshot(self.workspace, &self.binaries.join("snapshot-tool"), &output);
        println!("$ {}", spoken(&tool));
        let said = tool.output().with_context(|| format!("cannot run {}", spoken(&tool)))?;
        let refusals = String::from_utf8_lossy(&said.stderr).into_owned();
        match said.status.code() {
            Some(REFUSED_ROWS) => {
                // It names each; two tell enough about what it says.
                refusals.lines().take(2).for_each(|line| println!("{line}"));
                print!("{}", String::from_utf8_lossy(&said.stdout));
                println!(
                    "(exit status {REFUSED_ROWS}: published, and rows were refused. That is expected here: 20 homepages \
                     begin with ftp and 2 with gopher, and only http and https are allowed unless --allow-scheme says so.)"
                );
                Ok(())
            }
            // Also success: a link set in which nothing is refused is not the example.
            _ => bail!("snapshot-tool did otherwise than expected ({}): {refusals}", said.status),
        }
    }

    fn snapshot_path(&self) -> PathBuf {
        self.directory.join("links.snapshot")
    }
}

/// snapshot-tool's exit status for a snapshot that is published although rows were refused.
const REFUSED_ROWS: i32 = 3;

/// The command that makes the example's snapshot, as a person in the root of the checkout types it.
fn build_snapshot(workspace: &Workspace, tool: &Path, output: &Path) -> Command {
    let relative = |path: &Path| workspace.display(path).to_string();
    let mut command = Command::new(relative(tool));
    command.args(["build", "--domains", "examples/domains.toml", "--output", &relative(output)]);
    command.arg("examples/debian-homepages.csv").current_dir(workspace.root());
    command
}

fn lock(directory: &Path) -> Result<fs::File> {
    let path = directory.join("lock");
    let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another demo is running in {}; stop it first", directory.display())
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

fn stop_on_signal() -> Result<Stop> {
    let stop = Stop::default();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
    }
    Ok(stop)
}

fn asked_to_stop(stop: &Stop) -> bool {
    stop.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_in_the_same_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let first = lock(directory.path()).unwrap();
        assert!(lock(directory.path()).unwrap_err().to_string().contains("another demo is running"));
        drop(first);
        lock(directory.path()).unwrap();
    }
}
