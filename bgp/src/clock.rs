//! Time that never jumps: since the machine booted, suspended time included.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment by `CLOCK_BOOTTIME`: no operator and no time server moves it. Comparable between processes of one boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec);
        Self(Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0)))
    }

    /// So long after the boot.
    pub const fn after_boot(age: Duration) -> Self {
        Self(age)
    }

    /// Time since the boot.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to here; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// The wall clock in Unix milliseconds, for people only: nothing is decided by it within one boot.
pub fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What tells one boot of the machine from another; empty where the kernel does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_an_interval_is_never_negative() {
        let before = Moment::now();
        let after = Moment::now();
        assert!(after >= before);
        assert_eq!(before.since(before + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!((before + Duration::from_secs(1)).since(before), Duration::from_secs(1));
    }
}
