//! The only way in which a case waits: until something is so, or a deadline has passed.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything that should happen at once, on a machine that compiles something else at the same time.
pub const SOON: Duration = Duration::from_secs(30);

/// Between two attempts: the only sleep of the tests.
const PAUSE: Duration = Duration::from_millis(5);

/// What an attempt came to.
pub trait Attempt {
    /// What success gives.
    type Gain;
    /// The gain, or what was seen instead.
    fn conclude(self) -> Result<Self::Gain, String>;
}

impl Attempt for bool {
    type Gain = ();
    fn conclude(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<T> Attempt for Option<T> {
    type Gain = T;
    fn conclude(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Gain = T;
    fn conclude(self) -> Result<T, String> {
        self.map_err(|error| format!(" (last seen: {error})"))
    }
}

/// Repeats `attempt` until it succeeds; panics at the caller when it has not within `within`.
#[track_caller]
pub fn eventually<A: Attempt>(within: Duration, what: &str, mut attempt: impl FnMut() -> A) -> A::Gain {
    let deadline = Instant::now() + within;
    loop {
        match attempt().conclude() {
            Ok(gain) => return gain,
            Err(seen) if Instant::now() >= deadline => panic!("not within {within:?}: {what}{seen}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Repeats `check` for as long as `time` lasts, and ends early only by a panic of its own: for what must *stay* so.
pub fn throughout(time: Duration, mut check: impl FnMut()) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        check();
        thread::sleep(PAUSE);
    }
}
