//! What a shard does ten times a second: the clock, deadlines, the stages of a drain.

use std::time::{Duration, Instant, SystemTime};

use rustix::event::epoll::EventFlags;

use crate::control::drain::Stage;
use crate::limits::{DEADLINES_PER_TICK_MAX, DRAIN_IDLE_GRACE, ENDS_PER_TICK_MAX, TICK, TICK_BACKLOG_PAUSE};
use crate::metrics::Closed;

use super::Shard;
use super::deadlines::Swept;

/// How far a shard came with draining.
#[derive(Default)]
pub(super) struct Drained {
    /// The last stage that was acted upon.
    seen: Stage,
    /// When the listeners were closed.
    closed_at: Option<Instant>,
    /// The slot that the walk over idle connections looks at next.
    cursor: u32,
}

impl Shard {
    /// One tick. Returns how long to wait for the next one; `None` when the shard has nothing left to do.
    pub(super) fn tick(&mut self, now: Instant, wall: SystemTime) -> Option<Duration> {
        self.clock.sync(now, wall);
        // Lets go of a snapshot that was replaced, even if no request comes.
        self.view.current();
        self.resume_listeners();

        let mut expired = std::mem::take(&mut self.expired);
        let swept = self.deadlines.sweep(now, DEADLINES_PER_TICK_MAX, ENDS_PER_TICK_MAX, &mut expired);
        for slot in expired.drain(..) {
            self.expire(slot);
        }
        self.expired = expired;

        let more = self.follow_drain(now) || swept == Swept::More;
        // Usually nothing is ready here. But glommio goes to sleep with a runnable task if its preemption timer fires in
        // the instant before the first task of a round; the task then waits for the next event, and this is one.
        self.turn();
        self.counters.turned(now);
        match self.drained.seen {
            Stage::Closing | Stage::Aborting if self.table.len() == 0 => None,
            _ if more => Some(TICK_BACKLOG_PAUSE),
            _ => Some(TICK),
        }
    }

    /// Acts on the stage of the drain. True if there is more to end than one tick may.
    fn follow_drain(&mut self, now: Instant) -> bool {
        let stage = self.stage.get();
        if stage > self.drained.seen {
            self.enter(stage, now);
        }
        match stage {
            Stage::Serving => false,
            Stage::Announced | Stage::Settling => {
                self.end_some(Self::announce);
                false
            }
            Stage::Closing => {
                let grace_over = self
                    .drained
                    .closed_at
                    .is_some_and(|at| now.saturating_duration_since(at) >= DRAIN_IDLE_GRACE);
                grace_over && self.end_some(Self::end_idle)
            }
            Stage::Aborting => self.end_some(|shard, slot| {
                if let Some(key) = shard.table.key_at(slot) {
                    shard.abort(key, Closed::DrainDeadline);
                }
            }),
        }
    }

    /// Does what the stages up to `stage` do once. A stage may be skipped.
    fn enter(&mut self, stage: Stage, now: Instant) {
        self.drained.seen = stage;
        self.draining = stage >= Stage::Announced;
        if stage >= Stage::Announced {
            self.leave_listeners();
        }
        if stage >= Stage::Settling {
            self.ignore_new_clients();
        }
        if stage >= Stage::Closing && self.drained.closed_at.is_none() {
            self.close_listeners();
            self.drained.closed_at = Some(now);
        }
    }

    /// Calls `end` for the next slots, [`ENDS_PER_TICK_MAX`] of them. True if the walk did not reach the last slot.
    fn end_some(&mut self, end: impl Fn(&mut Self, u32)) -> bool {
        let slots = self.table.slots();
        let until = self.drained.cursor.saturating_add(ENDS_PER_TICK_MAX as u32).min(slots);
        for slot in self.drained.cursor..until {
            end(self, slot);
        }
        self.drained.cursor = if until == slots { 0 } else { until };
        until < slots
    }

    /// Closes the connection in `slot` if it waits for a request and none has come.
    fn end_idle(&mut self, slot: u32) {
        let Some(key) = self.table.key_at(slot) else { return };
        if self.table.get_mut(key).is_some_and(|session| session.is_idle()) {
            // A request may be in the socket, not yet seen: then it is answered, and its reply ends the connection.
            self.serve(key, EventFlags::IN);
            if self.table.get_mut(key).is_some_and(|session| session.is_idle()) {
                self.dismiss(key);
            }
        }
    }

    /// Tells the client in `slot` that the node is draining, if its protocol has a word for that, and if it has not heard.
    fn announce(&mut self, slot: u32) {
        let Some(key) = self.table.key_at(slot) else { return };
        if let Some(session) = self.table.get_mut(key) {
            session.protocol.drain();
            self.say_news(key);
        }
    }
}
