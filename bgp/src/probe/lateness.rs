//! How late our own timers are: a prober that was not scheduled knows nothing about the node.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// The recent beats of a timer that ought to be regular.
#[derive(Clone, Debug)]
pub struct Lateness(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    /// When the last beat came.
    last: Instant,
    /// Beats that were late: when they came, and by how much.
    late: VecDeque<(Instant, Duration)>,
}

/// Time between two beats.
pub const BEAT: Duration = Duration::from_millis(5);

/// Lateness that is worth remembering, and how many of them are: a probe lasts seconds at most.
const NOTED_MIN: Duration = Duration::from_millis(2);
const NOTED_MAX: usize = 256;

impl Default for Lateness {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(State { last: Instant::now(), late: VecDeque::new() })))
    }
}

impl Lateness {
    /// Beats until dropped. Runs on the thread of the probes, because it is that thread that may be late.
    pub async fn beat(self) {
        loop {
            let due = Instant::now() + BEAT;
            tokio::time::sleep_until(due).await;
            self.note(due, Instant::now());
        }
    }

    fn note(&self, due: Instant, now: Instant) {
        let mut state = self.0.borrow_mut();
        state.last = now;
        let late = now.saturating_duration_since(due);
        if late >= NOTED_MIN {
            if state.late.len() == NOTED_MAX {
                state.late.pop_front();
            }
            state.late.push_back((now, late));
        }
    }

    /// The greatest lateness from `began` to `now`; that of a beat which is due and did not come counts.
    pub fn during(&self, began: Instant, now: Instant) -> Option<Duration> {
        let state = self.0.borrow();
        let noted = state.late.iter().filter(|(at, _)| *at >= began).map(|(_, late)| *late).max();
        let overdue = now.saturating_duration_since(state.last + BEAT);
        noted.max(Some(overdue).filter(|late| *late >= NOTED_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_not_scheduled_is_noticed_whoever_runs_first_after_it() {
        let lateness = Lateness::default();
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        lateness.note(began, began);
        assert_eq!(lateness.during(began, at(1)), None);
        // Nobody ran for 80 ms, and the beat is yet to come.
        assert_eq!(lateness.during(began, at(85)), Some(Duration::from_millis(80)));
        lateness.note(began + BEAT, at(85));
        assert_eq!(lateness.during(began, at(86)), Some(Duration::from_millis(80)));
        assert_eq!(lateness.during(at(86), at(87)), None);
    }
}
