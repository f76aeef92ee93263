//! How much memory this process has for itself.

use std::fs;

/// The largest amount of private memory seen, in bytes. Mapped files are left out: the kernel can take them back.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryPeak(u64);

impl MemoryPeak {
    /// Looks at `/proc/self/status` now; where that cannot be read, nothing is seen.
    pub fn sample(&mut self) {
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            self.0 = self.0.max(private_bytes(&status).unwrap_or(0));
        }
    }

    /// The largest amount seen, in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

fn private_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_read_from_the_status_file() {
        assert_eq!(
            private_bytes("VmHWM:\t  99 kB\nRssAnon:\t    2048 kB\nRssFile:\t 1 kB\n"),
            Some(2_097_152)
        );
        assert_eq!(private_bytes("VmHWM: 99 kB"), None);
        let mut peak = MemoryPeak::default();
        peak.sample();
        assert!(peak.bytes() > 0);
    }
}
