//! A bar with rate and rest time for whoever watches a terminal, and nothing for anybody else.

use crate::output::grouped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::time::Duration;

/// How often the bar is drawn, per second.
const DRAWS_PER_S: u8 = 10;

/// One stage of long work.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A stage measured in bytes; `None`: nobody knows how many.
    pub fn of_bytes(stage: &'static str, total: Option<u64>) -> Self {
        let known = "{msg:10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        Self::new(stage, total, known, "{msg:10} {spinner} {bytes} {bytes_per_sec} {elapsed}")
    }

    /// A stage measured in links.
    pub fn of_links(stage: &'static str, total: u64) -> Self {
        let known = "{msg:10} {wide_bar} {human_pos}/{human_len} {rate} {eta} left";
        Self::new(stage, Some(total), known, known)
    }

    /// Moves on by some bytes or links.
    pub fn advance(&self, count: u64) {
        self.0.inc(count);
    }

    /// Moves to a number of bytes or links.
    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Prints a line on standard error, above the bar if there is one.
    pub fn print(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    fn new(stage: &'static str, total: Option<u64>, known: &str, unknown: &str) -> Self {
        // The target hides itself when standard error is no terminal.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_S));
        let template = if total.is_some() { known } else { unknown };
        let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
        bar.set_style(style.with_key("rate", |state: &ProgressState, output: &mut dyn fmt::Write| {
            let _ = write!(output, "{}/s", grouped(state.per_sec() as u64));
        }));
        bar.set_message(stage);
        if total.is_none() && !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(DRAWS_PER_S)));
        }
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
