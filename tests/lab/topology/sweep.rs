//! What a run that was killed left behind: namespaces named after a process that is gone, and processes inside them.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

/// Removes them. Namespaces of runs that live are left alone; how many were removed is the answer.
pub fn sweep() -> usize {
    let Ok(entries) = fs::read_dir("/run/netns") else { return 0 };
    let mut swept = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = owner(&name) else { continue };
        if Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        for pid in processes_in(&name) {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = Command::new("ip").args(["netns", "del", &name]).output();
        swept += 1;
    }
    swept
}

/// The process that made a namespace of this name: `carom-PID-NUMBER`.
fn owner(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix("carom-")?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

fn processes_in(name: &str) -> Vec<i32> {
    let output = Command::new("ip").args(["netns", "pids", name]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}
