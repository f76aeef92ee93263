//! HOT: a shard's end: scores, and a bounded ring by which offenders leave.

use std::net::IpAddr;
use std::time::Instant;

use rtrb::{Consumer, Producer, RingBuffer};

use super::scores::Offence;
use super::{Deed, Scores, Source};
use crate::config::settings::Scoring;
use crate::limits::{OFFENDERS_WAITING_MAX, SCORED_SOURCES_PER_SHARD};

/// A source that went over the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offender {
    /// Who.
    pub source: Source,
    /// The deed that was one too many.
    pub deed: Deed,
    /// Whether people must be behind it as well.
    pub shared: bool,
}

/// Watches the clients of one shard. Belongs to the shard's thread.
pub struct Scout {
    scores: Scores,
    offenders: Producer<Offender>,
}

/// What became of a deed, for the shard's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Remembered, or not worth it.
    Kept,
    /// Its sender went over the threshold, and the control side will hear of it.
    Reported,
    /// Its sender went over the threshold, and the ring was full.
    Lost,
}

impl Scout {
    /// A scout and the end that the control side reads; `seed` must be secret.
    pub fn new(scoring: Scoring, seed: [u64; 4], epoch: Instant) -> (Self, Consumer<Offender>) {
        let (offenders, reports) = RingBuffer::new(OFFENDERS_WAITING_MAX);
        (Self { scores: Scores::new(scoring, SCORED_SOURCES_PER_SHARD, seed, epoch), offenders }, reports)
    }

    /// Notes a deed of `address`.
    #[inline]
    pub fn note(&mut self, address: IpAddr, deed: Deed, now: Instant) -> Noted {
        let source = Source::from(address);
        match self.scores.record(source, deed, now) {
            None => Noted::Kept,
            Some(Offence { against: _, good: _, shared }) => {
                match self.offenders.push(Offender { source, deed, shared }) {
                    Ok(()) => Noted::Reported,
                    Err(_) => Noted::Lost,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_offender_that_finds_no_room_is_lost_and_said_to_be() {
        let scoring = Scoring {
            threshold: 1,
            half_life: Duration::from_secs(60),
            unknown_code: 1,
            unknown_host: 1,
            junk: 2,
            good: 1,
        };
        let now = Instant::now();
        let (mut scout, mut reports) = Scout::new(scoring, [0; 4], now);
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..OFFENDERS_WAITING_MAX {
            assert_eq!(scout.note(address, Deed::Junk, now), Noted::Reported);
        }
        assert_eq!(scout.note(address, Deed::Junk, now), Noted::Lost);
        let first = reports.pop().unwrap();
        assert_eq!(first, Offender { source: Source::from(address), deed: Deed::Junk, shared: false });
        assert_eq!(scout.note(address, Deed::Good, now), Noted::Kept);
    }
}
