//! What a number depends on: the machine it was measured on, the CPU that does the work, and the clock of that CPU.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// A machine as a reader of a table wants to know it; nothing that names this one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cpus: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn of_this_run() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let processor = field(&info, "model name").unwrap_or("unknown processor").to_owned();
        let version: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
        Self {
            processor,
            cpus: info.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: memory_bytes("MemTotal").div_ceil(1 << 30),
            kernel: format!("Linux {}", version.join(".")),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cpus, memory_gib, kernel } = self;
        write!(formatter, "{processor}, {cpus} CPUs, {memory_gib} GiB, {kernel}")
    }
}

/// How many programs wanted to run over the last minute, on average.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// Bytes that programs can have without swapping.
pub(crate) fn memory_available_bytes() -> u64 {
    memory_bytes("MemAvailable")
}

/// Bytes of this process's map of the file `name` that lie in huge pages, and all that are in memory.
pub(crate) fn huge_page_bytes(name: &str) -> (u64, u64) {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let of_file = maps.split_once(name).map_or("", |(_, rest)| rest);
    let bytes = |name: &str| field(of_file, name).map_or(0, kibibytes);
    (bytes("FilePmdMapped"), bytes("Rss"))
}

fn memory_bytes(name: &str) -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field(&info, name).map_or(0, kibibytes)
}

/// Bytes of a text like `12 kB`; 0 if it is none.
fn kibibytes(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

/// Keeps the calling thread, and what it starts, on one CPU until this is dropped.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(crate) fn to(cpu: usize) -> Result<Self> {
        let before = sched_getaffinity(None).context("cannot ask for the CPUs of this thread")?;
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set).with_context(|| format!("cannot stay on CPU {cpu}"))?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The kernel allowed these CPUs before; if it no longer does, the next benchmark says so when it pins itself.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// CPU time that the calling thread has used, which other programs on this machine do not add to.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemTotal:       24 kB\nMemAvailable: 12 kB\nmodel name\t: A B\n";
        for (name, expected) in [("MemAvailable", Some("12 kB")), ("model name", Some("A B")), ("Mem", None)]
        {
            assert_eq!(field(text, name), expected);
        }
    }

    #[test]
    fn this_machine_has_a_cpu_and_memory() {
        let machine = Machine::of_this_run();
        assert!(machine.cpus > 0 && machine.memory_gib > 0 && memory_available_bytes() > 0, "{machine}");
    }
}
