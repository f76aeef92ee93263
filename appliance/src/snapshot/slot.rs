//! The one place where a shard finds the snapshot to serve, and where the control thread puts a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

/// Holds what serves now. The control thread publishes; every shard looks through a [`View`] of its own.
pub struct Slot<T> {
    version: AtomicU64,
    current: ArcSwapOption<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> Slot<T> {
    /// A slot from which nothing is served yet.
    pub fn empty() -> Self {
        Self { version: AtomicU64::new(0), current: ArcSwapOption::empty() }
    }

    /// Makes `value` the one that every view shows from its next look on, and returns the one before. The caller keeps
    /// that one in [`Retired`]: whoever drops the last handle pays for the unmapping, and that must not be a shard.
    pub fn publish(&self, value: Arc<T>) -> Option<Arc<T>> {
        let before = self.current.swap(Some(value));
        // After the pointer: a view that sees this version finds at least this value.
        self.version.fetch_add(1, Ordering::Release);
        before
    }

    /// How often something was published.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A handle to what serves now. For the control thread and the admin listener; shards use a [`View`].
    pub fn current(&self) -> Option<Arc<T>> {
        self.current.load_full()
    }
}

/// One reader's handle: a look costs one load of a shared and rarely written number (2 ns), not a reference count.
pub struct View<T> {
    slot: Arc<Slot<T>>,
    version: u64,
    held: Option<Arc<T>>,
}

impl<T> View<T> {
    /// A view that has not looked yet.
    pub fn new(slot: Arc<Slot<T>>) -> Self {
        Self { slot, version: 0, held: None }
    }

    /// What serves now. The borrow ends with the batch of requests it answers, so that a swap waits for nobody.
    #[inline]
    pub fn current(&mut self) -> Option<&T> {
        let version = self.slot.version();
        if version != self.version {
            self.refresh(version);
        }
        self.held.as_deref()
    }

    #[cold]
    fn refresh(&mut self, version: u64) {
        // The value may be newer than `version`: the next look then loads it once more, which is harmless.
        self.held = self.slot.current();
        self.version = version;
    }
}

/// Values that were replaced and may still be held by a shard. The control side keeps a handle of each, so that the
/// last one is always dropped here.
pub struct Retired<T> {
    held: Vec<Arc<T>>,
}

impl<T> Default for Retired<T> {
    fn default() -> Self {
        Self { held: Vec::new() }
    }
}

impl<T> Retired<T> {
    /// Waits for the shards to let go of `value`.
    pub fn keep(&mut self, value: Arc<T>) {
        self.held.push(value);
    }

    /// Drops, on the calling thread, every value that no shard holds any more; says how many are left.
    pub fn reap(&mut self) -> usize {
        // The slot no longer hands these out: a count of one cannot grow again.
        self.held.retain(|value| Arc::strong_count(value) > 1);
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread::{self, ThreadId};

    use super::*;

    /// Notes where it was dropped.
    struct Probe {
        number: u64,
        live: Arc<AtomicUsize>,
        owner: ThreadId,
    }

    impl Probe {
        fn new(number: u64, live: &Arc<AtomicUsize>) -> Arc<Self> {
            live.fetch_add(1, Ordering::Relaxed);
            Arc::new(Self { number, live: Arc::clone(live), owner: thread::current().id() })
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.owner, "dropped by a reader");
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_empty_slot_shows_nothing() {
        let slot = Arc::new(Slot::<u64>::empty());
        assert_eq!(View::new(Arc::clone(&slot)).current(), None);
        assert_eq!(slot.version(), 0);
    }

    #[test]
    fn a_view_shows_what_was_published_last() {
        let slot = Arc::new(Slot::empty());
        let mut view = View::new(Arc::clone(&slot));
        for number in 1..=3_u64 {
            let before = slot.publish(Arc::new(number));
            assert_eq!(before.as_deref().copied(), (number > 1).then(|| number - 1));
            assert_eq!(view.current(), Some(&number));
        }
        assert_eq!(slot.version(), 3);
    }

    #[test]
    fn readers_never_go_back_and_never_drop_a_value() {
        const SWAPS: u64 = 2_000;
        let live = Arc::new(AtomicUsize::new(0));
        let slot = Arc::new(Slot::empty());
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut view = View::new(Arc::clone(&slot));
                let done = Arc::clone(&done);
                thread::spawn(move || {
                    let mut last = 0;
                    while !done.load(Ordering::Acquire) || last < SWAPS {
                        let shown = view.current().map_or(0, |probe: &Probe| probe.number);
                        assert!(shown >= last, "went back from {last} to {shown}");
                        last = shown;
                    }
                })
            })
            .collect();
        let mut retired = Retired::default();
        for number in 1..=SWAPS {
            if let Some(before) = slot.publish(Probe::new(number, &live)) {
                retired.keep(before);
            }
            retired.reap();
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().expect("a reader failed");
        }
        // The views are gone with their threads: everything but the one that serves can go.
        assert_eq!(retired.reap(), 0);
        assert_eq!(live.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_value_that_a_view_holds_is_not_reaped() {
        let slot = Arc::new(Slot::empty());
        let mut view = View::new(Arc::clone(&slot));
        slot.publish(Arc::new(1));
        view.current();
        let mut retired = Retired::default();
        retired.keep(slot.publish(Arc::new(2)).expect("1 was published"));
        assert_eq!(retired.reap(), 1);
        view.current();
        assert_eq!(retired.reap(), 0);
    }
}
