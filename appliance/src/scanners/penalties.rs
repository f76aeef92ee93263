//! What happens to an offender: first a challenge, then bans that grow, and never a ban for a shared address.
//!
//! Pure: offenders and time in, penalties out. What was decided is remembered for as long as it can matter, in a bounded
//! table; the bans themselves live in the guard.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ahash::RandomState;
use ebpf_loader::Cidr;

use super::{Offender, Source};
use crate::config::settings::Penalties;
use crate::limits::{BAN_GROWTH, RECORDS_MAX};
use crate::metrics::reason::reasons;

reasons! {
    /// What was decided about an offender.
    pub enum Measure {
        /// It has to prove its address with each new connection: its first offence, or people are behind it as well.
        Challenge => "challenge",
        /// It is banned: it went on after a challenge.
        Ban => "ban",
        /// It belongs to an exempt network or to the management, and nothing happens.
        Exempt => "exempt",
        /// It would have been banned, but scanners.bans_per_minute_max was reached: look whether the snapshot lost its links.
        Braked => "braked",
        /// It offended while its last penalty was being written or took effect, and nothing more happens.
        Pending => "pending",
    }
}

/// What is to be done about a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// What was decided.
    pub measure: Measure,
    /// For how long; zero where nothing is to be written.
    pub duration: Duration,
}

/// What a source has had.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Bans so far.
    bans: u32,
    /// Until then it has its last penalty.
    ends_at: Instant,
    /// The last was a ban.
    banned: bool,
    /// After that it is a stranger again.
    forgotten_at: Instant,
}

/// Decides, and remembers what it decided.
pub struct Sentences {
    settings: Penalties,
    exempt: Vec<Cidr>,
    records: HashMap<Source, Record, RandomState>,
    /// In the order in which they were made, so that the oldest can go when there is no room.
    order: VecDeque<Source>,
    minute_began: Option<Instant>,
    bans_this_minute: u32,
}

impl Sentences {
    /// Nobody has offended yet.
    pub fn new(settings: Penalties) -> Self {
        Self {
            settings,
            exempt: Vec::new(),
            records: HashMap::default(),
            order: VecDeque::new(),
            minute_began: None,
            bans_this_minute: 0,
        }
    }

    /// Says which networks are never scanners from now on.
    pub fn exempt(&mut self, mut networks: Vec<Cidr>) {
        // By address, the wider one first: then the last one before an address is the only one to ask about.
        networks.sort();
        let mut outermost: Vec<Cidr> = Vec::with_capacity(networks.len());
        for network in networks {
            if outermost.last().is_none_or(|last| !last.covers(&network)) {
                outermost.push(network);
            }
        }
        self.exempt = outermost;
    }

    /// Whether nothing ever happens to the source.
    pub fn is_exempt(&self, source: Source) -> bool {
        let network = Cidr::from(source);
        let after = self.exempt.partition_point(|exempt| *exempt <= network);
        let before = after.checked_sub(1).is_some_and(|index| self.exempt[index].covers(&network));
        // An exempt part of an IPv6 /64 speaks for the whole, which cannot be told apart.
        before || self.exempt.get(after).is_some_and(|inside| network.covers(inside))
    }

    /// Decides about an offender.
    pub fn decide(&mut self, offender: &Offender, now: Instant) -> Penalty {
        let nothing = |measure| Penalty { measure, duration: Duration::ZERO };
        let Offender { source, deed: _, shared } = *offender;
        if self.is_exempt(source) {
            return nothing(Measure::Exempt);
        }
        let Penalties { challenge, ban_first, ban_max, bans_per_minute_max } = self.settings;
        let known = self.records.get(&source).copied().filter(|record| now < record.forgotten_at);
        if known.is_some_and(|record| record.banned && now < record.ends_at) {
            // What still comes was under way, or the guard does not drop it.
            return nothing(Measure::Pending);
        }
        let Some(before) = known.filter(|_| !shared) else {
            let bans = known.map_or(0, |record| record.bans);
            self.remember(
                source,
                Record {
                    bans,
                    ends_at: now + challenge,
                    banned: false,
                    forgotten_at: now + challenge + ban_first.max(challenge),
                },
            );
            return Penalty { measure: Measure::Challenge, duration: challenge };
        };
        if !self.may_ban(bans_per_minute_max, now) {
            return nothing(Measure::Braked);
        }
        let growth = BAN_GROWTH.saturating_pow(before.bans);
        let duration = ban_first.checked_mul(growth).unwrap_or(ban_max).min(ban_max);
        self.remember(
            source,
            Record {
                bans: before.bans.saturating_add(1),
                ends_at: now + duration,
                banned: true,
                // Who behaves for as long as the ban was, at least an hour, starts from the beginning.
                forgotten_at: now + duration + duration.max(Duration::from_secs(3_600)),
            },
        );
        Penalty { measure: Measure::Ban, duration }
    }

    /// Forgets what a source has had, because somebody lifted its ban.
    pub fn pardon(&mut self, source: Source) {
        self.records.remove(&source);
    }

    /// Counts a ban, if the minute has room for it.
    fn may_ban(&mut self, per_minute_max: u32, now: Instant) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        if self.minute_began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE) {
            self.minute_began = Some(now);
            self.bans_this_minute = 0;
        }
        let room = self.bans_this_minute < per_minute_max;
        self.bans_this_minute += u32::from(room);
        room
    }

    fn remember(&mut self, source: Source, record: Record) {
        if self.records.insert(source, record).is_some() {
            return;
        }
        self.order.push_back(source);
        while self.order.len() > RECORDS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.records.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::scanners::Deed;

    const SETTINGS: Penalties = Penalties {
        challenge: Duration::from_secs(60),
        ban_first: Duration::from_secs(300),
        ban_max: Duration::from_secs(10_000),
        bans_per_minute_max: 3,
    };

    fn offender(address: &str, shared: bool) -> Offender {
        Offender { source: Source::from(address.parse::<IpAddr>().unwrap()), deed: Deed::UnknownCode, shared }
    }

    #[test]
    fn a_scanner_is_challenged_then_banned_for_longer_and_longer_up_to_the_longest() {
        let mut sentences = Sentences::new(SETTINGS);
        let scanner = offender("192.0.2.1", false);
        let mut now = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..6 {
            let Penalty { measure, duration } = sentences.decide(&scanner, now);
            seen.push((measure, duration.as_secs()));
            now += duration + Duration::from_secs(1);
        }
        let (challenge, ban) = (Measure::Challenge, Measure::Ban);
        assert_eq!(
            seen,
            [(challenge, 60), (ban, 300), (ban, 1_200), (ban, 4_800), (ban, 10_000), (ban, 10_000)]
        );
    }

    #[test]
    fn a_shared_address_is_challenged_and_never_banned() {
        let mut sentences = Sentences::new(SETTINGS);
        let mut now = Instant::now();
        for _ in 0..100 {
            let penalty = sentences.decide(&offender("192.0.2.1", true), now);
            assert_eq!(penalty.measure, Measure::Challenge);
            now += Duration::from_secs(10);
        }
    }

    #[test]
    fn a_source_that_behaved_for_long_starts_from_the_beginning() {
        let mut sentences = Sentences::new(SETTINGS);
        let now = Instant::now();
        assert_eq!(sentences.decide(&offender("192.0.2.1", false), now).measure, Measure::Challenge);
        let later = now + Duration::from_secs(400);
        assert_eq!(sentences.decide(&offender("192.0.2.1", false), later).measure, Measure::Challenge);
    }

    #[test]
    fn an_offender_that_is_banned_already_gets_nothing_more() {
        let mut sentences = Sentences::new(SETTINGS);
        let now = Instant::now();
        let measures = [(); 3].map(|()| sentences.decide(&offender("192.0.2.1", false), now).measure);
        assert_eq!(measures, [Measure::Challenge, Measure::Ban, Measure::Pending]);
    }

    #[test]
    fn exempt_networks_are_never_scanners_however_they_are_written() {
        let mut sentences = Sentences::new(SETTINGS);
        let networks = ["198.51.100.0/24", "198.51.100.128/25", "2001:db8:7::/48", "2001:db8:9:9::1"];
        sentences.exempt(networks.map(|network| network.parse().unwrap()).into());
        let exempt = |address| sentences.is_exempt(offender(address, false).source);
        for address in
            ["198.51.100.0", "198.51.100.200", "198.51.100.255", "2001:db8:7:1::9", "2001:db8:9:9::2"]
        {
            assert!(exempt(address), "{address}");
        }
        for address in ["198.51.99.255", "198.51.101.0", "2001:db8:8::1", "2001:db8:9:8::1", "::1"] {
            assert!(!exempt(address), "{address}");
        }
        assert_eq!(
            sentences.decide(&offender("198.51.100.1", false), Instant::now()).measure,
            Measure::Exempt
        );
    }

    #[test]
    fn so_many_bans_in_a_minute_are_a_mistake_and_the_rest_is_only_counted() {
        let mut sentences = Sentences::new(SETTINGS);
        let now = Instant::now();
        let decide = |sentences: &mut Sentences, number: u8, now| {
            sentences.decide(&offender(&format!("192.0.2.{number}"), false), now).measure
        };
        for number in 0..5 {
            decide(&mut sentences, number, now);
        }
        let measures: Vec<_> = (0..5).map(|number| decide(&mut sentences, number, now)).collect();
        assert_eq!(measures, [Measure::Ban, Measure::Ban, Measure::Ban, Measure::Braked, Measure::Braked]);
        assert_eq!(decide(&mut sentences, 4, now + Duration::from_secs(60)), Measure::Ban);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut sentences = Sentences::new(SETTINGS);
        let now = Instant::now();
        for number in 0..RECORDS_MAX as u64 + 100 {
            sentences.decide(&Offender { source: Source::V6(number), deed: Deed::Junk, shared: false }, now);
        }
        assert_eq!((sentences.records.len(), sentences.order.len()), (RECORDS_MAX, RECORDS_MAX));
    }
}
