//! The clock that both sides share.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds: what expiries, leases and events are measured in.
pub fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The kernel counts from boot, so neither part is negative.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
