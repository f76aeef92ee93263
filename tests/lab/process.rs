//! A child process that cannot outlive its case, and whose words are shown when the case fails.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getpid, kill_process, prlimit, set_child_subreaper,
    test_kill_process, waitpid,
};

use crate::wait::eventually;

/// Lines of a failed case's process that are shown.
const LINES_SHOWN_MAX: usize = 60;

/// A running process.
#[derive(Debug)]
enum Runs {
    /// It was started here.
    Child(Child),
    /// Another process has started it; it becomes a child when that one ends.
    Heir(Pid),
}

/// A running child, or what a child has started to follow it; killed when dropped.
#[derive(Debug)]
pub struct Process {
    runs: Runs,
    name: String,
    errors: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output in files of `directory`.
    pub fn start(command: &mut Command, name: &str, directory: &Path) -> Self {
        Self::start_as_is(command.stdin(Stdio::null()), name, directory)
    }

    /// The same with the input that `command` has.
    pub fn start_as_is(command: &mut Command, name: &str, directory: &Path) -> Self {
        let errors = directory.join(format!("{name}.stderr"));
        // Appended: what a process said before its restart stays.
        let open = |path: &Path| File::options().append(true).create(true).open(path).unwrap();
        let output = open(&directory.join(format!("{name}.stdout")));
        let child = command.stdout(output).stderr(open(&errors)).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { runs: Runs::Child(child), name: name.to_owned(), errors, ended: None }
    }

    /// Makes this process the parent of what its children leave behind, so that the end of a successor can be seen.
    pub fn inherit_orphans() {
        set_child_subreaper(Some(getpid())).expect("any process may inherit");
    }

    /// The process that this one has started to follow it. It writes into the same files.
    pub fn successor(&self, id: u32) -> Self {
        let pid = Pid::from_raw(id as i32).expect("no process has the number 0");
        Self {
            runs: Runs::Heir(pid),
            name: format!("{}'s successor", self.name),
            errors: self.errors.clone(),
            ended: None,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid().as_raw_nonzero().get() as u32
    }

    fn pid(&self) -> Pid {
        match &self.runs {
            Runs::Child(child) => Pid::from_child(child),
            Runs::Heir(pid) => *pid,
        }
    }

    /// What it wrote to standard error so far.
    pub fn errors(&self) -> String {
        fs::read(&self.errors)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.ended.is_none(), "{} has ended", self.name);
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it was stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// Lowers its limit of descriptors while it runs.
    pub fn limit_descriptors(&mut self, descriptors: u64) {
        let limit = Rlimit { current: Some(descriptors), maximum: Some(descriptors) };
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = match &mut self.runs {
                Runs::Child(child) => child.try_wait().unwrap(),
                Runs::Heir(pid) => heir_ended(*pid),
            };
        }
        self.ended
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(within, &what, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // It may end between the question and the kill.
            match &mut self.runs {
                Runs::Child(child) => {
                    let _ = child.kill();
                    let _ = child.wait();
                }
                Runs::Heir(pid) => {
                    let _ = kill_process(*pid, Signal::KILL);
                    let _ = waitpid(Some(*pid), WaitOptions::empty());
                }
            }
        }
        if thread::panicking() {
            let errors = self.errors();
            let lines: Vec<&str> = errors.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..];
            eprintln!("--- {}, last lines of standard error ---\n{}\n---", self.name, shown.join("\n"));
        }
    }
}

/// How a successor ended. While the process that has started it lives, that one hears of its end, and nobody else.
fn heir_ended(pid: Pid) -> Option<ExitStatus> {
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(ended) => ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw())),
        // What is gone was waited for by its parent, which has said what it thinks of it.
        Err(_) => test_kill_process(pid).is_err().then(ExitStatus::default),
    }
}

/// What a program that ran to its end said.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// Runs a program to its end.
pub fn run<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Finished {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}
