//! A program under test: on which CPU it runs, when it is up, what CPU time it has used, and its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::spoken;

/// A program that is not up by then, or has not ended by then, is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a program is looked at while it starts or ends.
const LOOK: Duration = Duration::from_millis(10);

/// A running program; it is asked to end when this is dropped, and killed if it does not.
pub(crate) struct Process {
    child: Child,
    said: PathBuf,
}

impl Process {
    /// Starts `command` on one CPU; what it says goes to the file `said`.
    pub(crate) fn start(command: &Command, cpu: usize, said: &Path) -> Result<Self> {
        let file = File::create(said).with_context(|| format!("cannot write {}", said.display()))?;
        let child = on_cpu(command, cpu)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", spoken(command)))?;
        Ok(Self { child, said: said.to_owned() })
    }

    /// Waits until `up` says so.
    pub(crate) fn wait_until(&mut self, up: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !up() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}) and said:\n{}", self.last_words());
            }
            if Instant::now() > deadline {
                bail!("it was not up within {} s and said:\n{}", PATIENCE.as_secs(), self.last_words());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time that the program, its threads and its children have used, in user mode and in the kernel.
    ///
    /// Threads and children that have ended do not count: the programs measured here keep theirs.
    pub(crate) fn cpu_time(&self) -> Duration {
        family(self.pid()).into_iter().map(cpu_time).sum()
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.said).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, kept on one CPU from its first instruction, and without what is set for this program alone.
pub(crate) fn on_cpu(command: &Command, cpu: usize) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["--cpu-list", &cpu.to_string()]).arg(command.get_program()).args(command.get_args());
    pinned.env_remove(super::ALLOCATOR_SETTING);
    pinned
}

/// A process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers("/proc").filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

/// The fourth field of stat; the second one is a name in brackets, which may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Time on a CPU of all threads of one process, in nanoseconds from the scheduler.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let tasks = format!("/proc/{pid}/task");
    let of_task = |task: u32| {
        let text = fs::read_to_string(format!("{tasks}/{task}/schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(numbers(&tasks).filter_map(of_task).sum())
}

/// Names in a directory that are numbers.
fn numbers(directory: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_a_child_of_a_child_counts() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'while :; do :; done' & echo $! ; wait"]);
        let said = directory.path().join("said");
        let mut process = Process::start(&command, 0, &said).unwrap();
        process.wait_until(|| fs::read_to_string(&said).is_ok_and(|text| text.ends_with('\n'))).unwrap();
        let child = fs::read_to_string(&said).unwrap().trim().parse().unwrap();
        let before = process.cpu_time();
        process.wait_until(|| cpu_time(child) > Duration::from_millis(20)).unwrap();
        assert!(process.cpu_time() > before);
        kill_process(Pid::from_raw(child as i32).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_what_it_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo the port is taken; exit 3"]);
        let mut process = Process::start(&command, 0, &directory.path().join("said")).unwrap();
        let error = process.wait_until(|| false).unwrap_err().to_string();
        assert!(error.contains("the port is taken") && error.contains('3'), "{error}");
    }
}
