//! What the shards need from the kernel: io_uring, and memory that they may lock.

use io_uring::IoUring;
use rustix::process::{Resource, getrlimit};

use crate::workspace::NotRun;

/// What one executor of glommio registers with its rings.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;

/// What stands in the way of a shard, each with its fix; empty on a healthy machine.
pub(crate) fn complaints() -> Vec<NotRun> {
    let mut complaints = Vec::new();
    if let Err(error) = IoUring::new(2) {
        complaints.push(NotRun::new("io_uring", refusal(&error)));
    }
    if let Some(bytes) = getrlimit(Resource::Memlock).current.filter(|bytes| *bytes < LOCKED_BYTES_MIN) {
        complaints.push(NotRun::new("locked memory", shortage(bytes)));
    }
    complaints
}

/// Tells the three ways apart in which a kernel says no.
fn refusal(error: &std::io::Error) -> String {
    let fix = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOSYS) => {
            "use Linux 5.8 or newer, or a container profile that knows the call"
        }
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
            "sysctl kernel.io_uring_disabled=0; in a container: --security-opt seccomp=unconfined"
        }
        Some(rustix::io::Errno::NOMEM) => "raise the limit of locked memory: ulimit -l unlimited",
        _ => "nothing known; the node cannot start without it",
    };
    format!("the kernel refuses it ({error}); {fix}")
}

fn shortage(bytes: u64) -> String {
    format!("the limit is {bytes} bytes and a shard needs {LOCKED_BYTES_MIN}; ulimit -l unlimited")
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn each_refusal_of_io_uring_names_its_fix() {
        for (code, fix) in
            [(38, "Linux 5.8"), (1, "seccomp=unconfined"), (13, "io_uring_disabled=0"), (12, "ulimit -l")]
        {
            let text = refusal(&Error::from_raw_os_error(code));
            assert!(text.contains(fix), "errno {code}: {text}");
        }
    }
}
