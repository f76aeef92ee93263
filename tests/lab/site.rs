//! The directory that a node lives in: configuration, state, and the name under which snapshots appear.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::binaries;
use crate::here;
use crate::links::{Domains, Row};
use crate::node::Node;
use crate::process::{Finished, Process, run};
use crate::tool;

/// User and group that own nothing.
const NOBODY: u32 = 65_534;

/// A copy of the binary that everybody may run: the folder in which it was built may be closed to others, and a file
/// system in memory may run nothing.
#[derive(Debug)]
struct Nobody(TempDir);

impl Nobody {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(binaries::carom(), directory.path().join("carom")).unwrap();
        Self(directory)
    }
}

/// A place for one node, which may start there many times.
#[derive(Debug)]
pub struct Site {
    directory: TempDir,
    settings: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
    descriptors_max: Option<u64>,
    nobody: Option<Nobody>,
    program: Option<TempDir>,
    environment: Vec<(String, String)>,
    staged: AtomicU64,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A site with free ports on both loopback addresses and without a snapshot.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("carom-case-").tempdir_in(here::scratch()).unwrap();
        let path = |name: &str| format!("{:?}", directory.path().join(name));
        fs::create_dir(directory.path().join("state")).unwrap();
        let listen = if here::has_ipv6() { r#"["127.0.0.1:0", "[::1]:0"]"# } else { r#"["127.0.0.1:0"]"# };
        let (state, snapshot) = (path("state"), path("links.snapshot"));
        let site = Self {
            directory,
            settings: BTreeMap::new(),
            descriptors_max: None,
            nobody: None,
            program: None,
            environment: Vec::new(),
            staged: AtomicU64::new(0),
        };
        site.set("node", "name", r#""lab""#)
            .set("node", "state_dir", state)
            .set("listen", "http", listen)
            .set("snapshot", "path", snapshot)
            .set("snapshot", "poll_interval_ms", 0)
            .set("admin", "listen", r#""127.0.0.1:0""#)
            .set("guard", "mode", r#""off""#)
            // Loads run on without a new connection, unless a case wants another bound.
            .set("http", "requests_per_connection_max", 1_000_000_000)
    }

    /// A site with a snapshot of `rows`, generation 1.
    #[track_caller]
    pub fn with_links(domains: &Domains, rows: &[Row]) -> Self {
        let site = Self::new();
        let built = tool::build(site.path(), 1, domains, rows);
        site.publish(&built);
        site
    }

    /// With a key of the configuration set to a TOML value.
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are written without an ampersand")]
    pub fn set(mut self, section: &'static str, key: &'static str, value: impl ToString) -> Self {
        self.settings.entry(section).or_default().insert(key, value.to_string());
        self
    }

    /// With HTTPS on a free port, and a directory of certificates that is empty.
    pub fn with_https(self) -> Self {
        fs::create_dir(self.certificates()).unwrap();
        let certificates = format!("{:?}", self.certificates());
        self.set("listen", "https", r#"["127.0.0.1:0"]"#)
            .set("tls", "certificates", certificates)
            // Cases say when to look.
            .set("tls", "poll_interval_ms", 0)
    }

    /// Where certificates are.
    pub fn certificates(&self) -> PathBuf {
        self.path().join("certificates")
    }

    /// With a limit on the descriptors of the node.
    pub fn descriptors_max(self, descriptors: u64) -> Self {
        Self { descriptors_max: Some(descriptors), ..self }
    }

    /// With a node that runs as the user nobody. Needs root.
    pub fn as_nobody(self) -> Self {
        let (directory, state) = (self.path(), self.state());
        std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
        std::os::unix::fs::chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
        let nobody = Nobody::new();
        Self { nobody: Some(nobody), ..self }
    }

    /// With a node that fails where [`Self::fail`] says.
    pub fn with_failpoints(self) -> Self {
        let directory = self.failpoints();
        fs::create_dir(&directory).unwrap();
        self.environment("CAROM_FAILPOINTS", directory.to_str().unwrap())
    }

    /// Makes the node fail at a place that has a name, or no more. Needs a site [with failpoints](Self::with_failpoints).
    pub fn fail(&self, failpoint: &str, fails: bool) {
        let file = self.failpoints().join(failpoint);
        if fails { fs::write(file, "").unwrap() } else { fs::remove_file(file).unwrap() }
    }

    fn failpoints(&self) -> PathBuf {
        self.path().join("failpoints")
    }

    /// With a program that can be replaced: a link to the binary, by which the node is started.
    pub fn with_program(self) -> Self {
        let program = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(binaries::carom(), program.path().join("carom")).unwrap();
        Self { program: Some(program), ..self }
    }

    /// Where that link is.
    pub fn program(&self) -> PathBuf {
        self.program.as_ref().map_or_else(binaries::carom, |directory| directory.path().join("carom"))
    }

    /// Replaces the program by a shell script, which may start the binary as `$CAROM`.
    pub fn replace_program(&self, script: &str) {
        let path = self.program();
        let text = format!("#!/bin/sh\nCAROM='{}'\n{script}\n", binaries::carom().display());
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes the program the binary again.
    pub fn restore_program(&self) {
        fs::remove_file(self.program()).unwrap();
        std::os::unix::fs::symlink(binaries::carom(), self.program()).unwrap();
    }

    /// With a variable in the environment of its nodes.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks the node that serves here to be upgraded, and waits for what comes of it.
    pub fn upgrade(&self) -> Finished {
        let configuration = self.write_configuration();
        run(&binaries::carom(), ["upgrade".as_ref(), "--config".as_ref(), configuration.as_os_str()])
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The name under which the node looks for snapshots.
    pub fn snapshot(&self) -> PathBuf {
        self.path().join("links.snapshot")
    }

    /// The node's own directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A new name beside the snapshot's.
    pub fn stage(&self) -> PathBuf {
        self.path().join(format!("staged-{}", self.staged.fetch_add(1, Ordering::Relaxed)))
    }

    /// Publishes a file as operators should: a copy under another name, renamed into place.
    pub fn publish(&self, file: &Path) {
        let staged = self.stage();
        fs::copy(file, &staged).unwrap();
        fs::rename(staged, self.snapshot()).unwrap();
    }

    /// Publishes bytes.
    pub fn publish_bytes(&self, bytes: &[u8]) {
        let staged = self.stage();
        fs::write(&staged, bytes).unwrap();
        fs::rename(staged, self.snapshot()).unwrap();
    }

    /// The configuration as TOML.
    pub fn configuration(&self) -> String {
        let mut text = "version = 1\n".to_owned();
        for (section, keys) in &self.settings {
            writeln!(text, "\n[{section}]").expect("a string takes everything");
            for (key, value) in keys {
                writeln!(text, "{key} = {value}").expect("a string takes everything");
            }
        }
        text
    }

    /// Writes the configuration and returns its path.
    pub fn write_configuration(&self) -> PathBuf {
        let path = self.path().join("carom.toml");
        fs::write(&path, self.configuration()).unwrap();
        path
    }

    /// Starts a node and waits until it serves.
    #[track_caller]
    pub fn start(&self) -> Node {
        let process = self.launch();
        Node::ready(process, &self.ready_file())
    }

    /// Starts a node and waits for nothing.
    pub fn launch(&self) -> Process {
        let configuration = self.write_configuration();
        let ready_file = self.ready_file();
        // A node that was killed leaves its ready file behind.
        let _ = fs::remove_file(&ready_file);
        let mut command = self.command();
        command.arg("serve").arg("--config").arg(configuration).arg("--ready-file").arg(ready_file);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::start(&mut command, "carom", self.path())
    }

    /// The binary, behind a program that limits it where that is wanted. Such a program becomes the node: its id stays.
    fn command(&self) -> Command {
        let limited = |program: &str, arguments: &[&str], carom: PathBuf| {
            let mut command = Command::new(program);
            command.args(arguments).arg(carom);
            command
        };
        let nobody = NOBODY.to_string();
        match (self.descriptors_max, &self.nobody) {
            (None, None) => Command::new(self.program()),
            (Some(descriptors), _) => {
                let script = format!(r#"ulimit -n {descriptors} && exec "$0" "$@""#);
                limited("sh", &["-c", &script], binaries::carom())
            }
            (None, Some(Nobody(directory))) => {
                let arguments = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--no-new-privs"];
                limited("setpriv", &arguments, directory.path().join("carom"))
            }
        }
    }

    /// Runs `carom serve` where it is expected to end by itself.
    pub fn serve_in_vain(&self) -> Finished {
        let configuration = self.write_configuration();
        run(&binaries::carom(), ["serve".as_ref(), "--config".as_ref(), configuration.as_os_str()])
    }

    /// Where the node says that it is ready.
    pub fn ready_file(&self) -> PathBuf {
        self.path().join("ready.json")
    }
}
