//! File systems of a case's own: a small one, for cases in which a disk is full, and one for pins.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount(PathBuf);

/// Mounts a tmpfs of `kib` KiB over `directory`; nothing if this machine does not allow it.
pub fn small(directory: &Path, kib: u32) -> Option<Mount> {
    let options = format!("size={kib}k");
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "carom-case"])
        .arg(directory)
        .status()
        .ok()?;
    status.success().then(|| Mount(directory.to_owned()))
}

/// Mounts a BPF file system over `directory`; nothing if this machine does not allow it.
pub fn bpf(directory: &Path) -> Option<Mount> {
    let status = Command::new("mount").args(["-t", "bpf", "bpffs"]).arg(directory).status().ok()?;
    status.success().then(|| Mount(directory.to_owned()))
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process of the case may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
