//! HOT: the shard's idea of now: one clock read per turn instead of one per use.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// Monotonic time, wall time and the Date field of one turn.
pub(super) struct Clock {
    now: Instant,
    /// A pair of simultaneous readings; wall time in between is counted by the monotonic clock.
    synced: (Instant, Duration),
    unix: Duration,
    date: [u8; 29],
    date_unix_s: u64,
}

impl Clock {
    /// A clock that shows the given readings, which were taken together.
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        let unix = since_epoch(wall);
        let mut clock = Self { now, synced: (now, unix), unix, date: [b' '; 29], date_unix_s: u64::MAX };
        clock.render_date();
        clock
    }

    /// Moves to `now`; once per turn.
    #[inline]
    pub(super) fn turn(&mut self, now: Instant) {
        self.now = now;
        self.unix = self.synced.1 + now.saturating_duration_since(self.synced.0);
        if self.unix.as_secs() != self.date_unix_s {
            self.render_date();
        }
    }

    /// Takes over what the wall clock says, which may have been set; once per tick.
    pub(super) fn sync(&mut self, now: Instant, wall: SystemTime) {
        self.synced = (now, since_epoch(wall));
        self.turn(now);
    }

    /// When the turn began.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Seconds since 1970.
    #[inline]
    pub(super) fn unix_s(&self) -> u64 {
        self.unix.as_secs()
    }

    /// Milliseconds since 1970.
    #[inline]
    pub(super) fn unix_ms(&self) -> u64 {
        self.unix.as_millis() as u64
    }

    /// Value of the Date field (RFC 9110, 5.6.7).
    #[inline]
    pub(super) fn date(&self) -> &[u8; 29] {
        &self.date
    }

    #[cold]
    fn render_date(&mut self) {
        self.date_unix_s = self.unix.as_secs();
        // Beyond the year 9999 HTTP has no dates: the last one stands.
        let shown_s = self.date_unix_s.min(LAST_DATE_UNIX_S);
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(shown_s));
        write!(&mut self.date[..], "{date}").expect("an HTTP date has 29 bytes");
    }
}

/// Fri, 31 Dec 9999 23:59:59 GMT.
const LAST_DATE_UNIX_S: u64 = 253_402_300_799;

fn since_epoch(wall: SystemTime) -> Duration {
    // A clock before 1970 is a machine without a clock: 1970 it is.
    wall.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_s: u64, expected: &str) {
        let clock = Clock::new(Instant::now(), UNIX_EPOCH + Duration::from_secs(unix_s));
        assert_eq!(std::str::from_utf8(clock.date()), Ok(expected));
    }

    #[test]
    fn the_date_is_an_http_date() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(LAST_DATE_UNIX_S, "Fri, 31 Dec 9999 23:59:59 GMT");
        check(LAST_DATE_UNIX_S + 1, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn wall_time_goes_on_between_two_syncs() {
        let start = Instant::now();
        let mut clock = Clock::new(start, UNIX_EPOCH + Duration::from_millis(784_111_776_900));
        clock.turn(start + Duration::from_millis(99));
        assert_eq!((clock.unix_s(), clock.unix_ms()), (784_111_776, 784_111_776_999));
        clock.turn(start + Duration::from_millis(100));
        assert_eq!(clock.unix_s(), 784_111_777);
        assert_eq!(clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_wall_clock_that_was_set_back_is_believed_at_the_next_sync() {
        let start = Instant::now();
        let mut clock = Clock::new(start, UNIX_EPOCH + Duration::from_secs(2_000_000_000));
        clock.sync(start + Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.turn(start + Duration::from_secs(2));
        assert_eq!(clock.unix_s(), 784_111_778);
    }
}
