//! What a panic says, and how often: in the log of the node, with its place, and not without end.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::limits::PANICS_LOGGED_MAX;
use crate::shard::thread::is_starting;

/// Sends the messages of panics to the log instead of standard error.
pub(super) fn log_from_now_on() {
    static PANICS: AtomicU64 = AtomicU64::new(0);
    panic::set_hook(Box::new(|panic| {
        // glommio panics where the kernel refuses io_uring. That is caught, and told in better words.
        if is_starting() || PANICS.fetch_add(1, Ordering::Relaxed) >= PANICS_LOGGED_MAX {
            return;
        }
        let thread = thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(thread = thread.name(), place, message, "panic: this is a bug, please report it");
    }));
}
