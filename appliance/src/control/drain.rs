//! The end of a node in order: nobody is sent here any more, nobody who is here is lost.
//!
//! 1. [`Stage::Announced`]: `/readyz` and vitals say unready, so that routes and balancers turn away. New connections are
//!    still served; every reply carries `Connection: close`. This lasts `drain.announce_ms`.
//! 2. [`Stage::Settling`]: the listeners go deaf to new handshakes, which the client repeats a second later, elsewhere.
//!    Handshakes under way complete, and the accept queues run dry, for [`DRAIN_SETTLE`]. A listener that is closed with
//!    connections in its queue would reset them.
//! 3. [`Stage::Closing`]: what is left in the queues is accepted, the listeners close. Connections end with their next
//!    reply; idle ones are closed after [`DRAIN_IDLE_GRACE`]. A shard ends when it has none.
//! 4. [`Stage::Aborting`], `drain.deadline_ms` after stage 2 began: connections that are still open are reset.
//! 5. The process exits with status 0, or 1 if the drain began because a shard died.
//!
//! Listeners that another process took over (`handover`) are left alone in stages 1 to 3: it serves them already.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::config::settings;
use crate::limits::{DRAIN_ABORT, DRAIN_SETTLE};

#[cfg(doc)]
use crate::limits::DRAIN_IDLE_GRACE;

/// How far a node has drained. It only moves forward; stages may be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// It has not begun.
    #[default]
    Serving,
    /// Replies end their connections.
    Announced,
    /// New handshakes are ignored as well.
    Settling,
    /// The listeners are closed as well.
    Closing,
    /// Connections are reset.
    Aborting,
}

/// The stage as the control thread sets it and shards read it ten times a second.
#[derive(Debug, Default)]
pub struct StageCell {
    stage: AtomicU8,
    handed_over: OnceLock<Vec<bool>>,
    shared: AtomicBool,
}

impl StageCell {
    /// The stage now.
    pub fn get(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Announced,
            2 => Stage::Settling,
            3 => Stage::Closing,
            _ => Stage::Aborting,
        }
    }

    /// Moves forward to `stage`; one that lies behind changes nothing.
    pub fn enter(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// From [`Stage::Announced`] on, leaves the listeners of these addresses to another process, which holds them too: nothing that
    /// would change the sockets is done to them. Only the first call counts, and only before the drain.
    pub fn hand_over(&self, taken: Vec<bool>) {
        let _ = self.handed_over.set(taken);
    }

    /// Says whether a predecessor still accepts from the listeners too.
    pub fn share_listeners(&self, shared: bool) {
        self.shared.store(shared, Ordering::Release);
    }

    /// True while a predecessor accepts from the listeners too: then nothing may be done to them that it would feel.
    pub fn shares_listeners(&self) -> bool {
        self.shared.load(Ordering::Acquire)
    }

    /// True if the listeners of the address with this index are another process's.
    pub fn is_handed_over(&self, address: usize) -> bool {
        self.handed_over.get().is_some_and(|taken| taken.get(address) == Some(&true))
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection had ended.
    InOrder,
    /// The deadline passed with connections open; they were reset.
    AtDeadline,
    /// A shard did not even end when told to reset its connections: it hangs.
    ShardHangs,
}

/// Drains: from the announcement on until `shards_ended` is ready, or nothing more can be done about it.
pub async fn drain(
    settings: settings::Drain,
    stage: &StageCell,
    shards_ended: impl Future<Output = ()>,
) -> Drained {
    let mut shards_ended = std::pin::pin!(shards_ended);
    let mut ended_within =
        async |patience: Duration| tokio::time::timeout(patience, shards_ended.as_mut()).await.is_ok();
    stage.enter(Stage::Announced);
    if ended_within(settings.announce).await {
        return Drained::InOrder;
    }
    let began = Instant::now();
    if !settings.deadline.is_zero() {
        stage.enter(Stage::Settling);
        if ended_within(DRAIN_SETTLE.min(settings.deadline)).await {
            return Drained::InOrder;
        }
        stage.enter(Stage::Closing);
        if ended_within(settings.deadline.saturating_sub(began.elapsed())).await {
            return Drained::InOrder;
        }
    }
    stage.enter(Stage::Aborting);
    if ended_within(DRAIN_ABORT).await { Drained::AtDeadline } else { Drained::ShardHangs }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn settings(announce_ms: u64, deadline_ms: u64) -> settings::Drain {
        settings::Drain {
            announce: Duration::from_millis(announce_ms),
            deadline: Duration::from_millis(deadline_ms),
        }
    }

    /// Drains shards that end as soon as they see `stage`. Returns what came out, and after how much (paused) time.
    fn check(settings: settings::Drain, end_at: Option<Stage>) -> (Drained, Stage, Duration) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stage = Arc::new(StageCell::default());
            let seen = Arc::clone(&stage);
            let shards = async move {
                while end_at.is_none_or(|end_at| seen.get() < end_at) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let began = tokio::time::Instant::now();
            let drained = drain(settings, &stage, shards).await;
            (drained, stage.get(), began.elapsed())
        })
    }

    #[test]
    fn an_idle_node_ends_when_its_listeners_are_closed() {
        let (drained, stage, _) = check(settings(50, 10_000), Some(Stage::Closing));
        assert_eq!((drained, stage), (Drained::InOrder, Stage::Closing));
    }

    #[test]
    fn the_announcement_comes_first_and_lasts() {
        let (_, _, took) = check(settings(5_000, 10_000), Some(Stage::Settling));
        assert!(took >= Duration::from_millis(5_000), "{took:?}");
    }

    #[test]
    fn connections_that_stay_are_reset_at_the_deadline() {
        let (drained, stage, _) = check(settings(0, 1_000), Some(Stage::Aborting));
        assert_eq!((drained, stage), (Drained::AtDeadline, Stage::Aborting));
    }

    #[test]
    fn a_deadline_of_zero_resets_at_once() {
        let (drained, _, took) = check(settings(0, 0), Some(Stage::Aborting));
        assert_eq!(drained, Drained::AtDeadline);
        assert!(took < DRAIN_SETTLE, "{took:?}");
    }

    #[test]
    fn a_shard_that_hangs_does_not_keep_the_process() {
        let (drained, _, _) = check(settings(0, 1_000), None);
        assert_eq!(drained, Drained::ShardHangs);
    }

    #[test]
    fn a_stage_never_goes_back() {
        let stage = StageCell::default();
        stage.enter(Stage::Closing);
        stage.enter(Stage::Announced);
        assert_eq!(stage.get(), Stage::Closing);
    }
}
