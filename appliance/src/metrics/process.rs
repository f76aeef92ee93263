//! What the kernel says about this process: memory, descriptors, threads, CPU time.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::limits::DESCRIPTORS_COUNTED_MAX;

/// One look at the process; what the kernel does not say is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// CPU time of all threads since the start, in seconds.
    pub(super) cpu_s: f64,
    pub(super) resident_bytes: Option<u64>,
    pub(super) locked_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_descriptors: Option<u64>,
    /// `None` without a limit.
    pub(super) descriptors_max: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name| field(&status, name).map(|kib| kib * 1_024);
        Self {
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_bytes: kib("VmRSS"),
            locked_bytes: kib("VmLck"),
            threads: field(&status, "Threads"),
            open_descriptors: open_descriptors(),
            descriptors_max: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The number behind `name:` in /proc/self/status.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

fn open_descriptors() -> Option<u64> {
    // Since Linux 6.2 the size of the directory is the count; before, it is 0 and the entries have to be counted.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.take(DESCRIPTORS_COUNTED_MAX).count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_descriptors_and_used_some_time() {
        let process = Process::now();
        assert!(process.cpu_s > 0.0);
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.threads.unwrap() >= 1);
        assert!(process.locked_bytes.is_some());
        assert!(process.open_descriptors.unwrap() >= 3);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("VmRSSx:\t1 kB\nVmRSS:\t  52 kB\n", "VmRSS"), Some(52));
        assert_eq!(field("VmRSS:\tmany\n", "VmRSS"), None);
    }
}
