//! HOT: a shard's end of the clicks: whole records into a bounded ring of bytes, or a counted loss; never a wait.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use clicks::record::{RECORD_BYTES_MAX, latency_class};
use clicks::{Address, Click, referrer};
use rtrb::Producer;

use super::Rules;
use crate::http::{Head, Method, Version};
use crate::limits::CLICK_RATE_DOUBLINGS_MAX;
use crate::redirect::{Asked, Decision, Outcome};

/// How often the writer asks shards to halve what they record. Written by the writer, read by every shard.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU32);

impl Pressure {
    /// Asks for one record in `2^doublings` of the usual, at most [`CLICK_RATE_DOUBLINGS_MAX`].
    pub fn set(&self, doublings: u32) {
        self.0.store(doublings.min(CLICK_RATE_DOUBLINGS_MAX), Ordering::Relaxed);
    }

    /// What was asked for last.
    #[inline]
    pub fn doublings(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// It is no click: HEAD, a probe, a reserved path, nothing of ours.
    NoClick,
    /// Its record is in the ring.
    Recorded,
    /// The next record stands for it, too.
    SampledOut,
    /// The ring was full.
    Lost,
}

/// When and by what a request was answered.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Who asked.
    pub peer: SocketAddr,
    /// Whether through TLS.
    pub tls: bool,
    /// The turn's wall time, in milliseconds since 1970.
    pub unix_ms: u64,
    /// When the turn began, from which the latency counts.
    pub began: Instant,
    /// Generation of the snapshot; 0: none.
    pub generation: u64,
}

/// The shard's end of the clicks.
pub struct Recorder {
    ring: Producer<u8>,
    buffer: Box<[u8; RECORD_BYTES_MAX]>,
    rules: Arc<Rules>,
    pressure: Arc<Pressure>,
    every: NonZeroU32,
    /// Clicks for which the next record stands.
    run: u32,
    /// Clicks until the next record, that one included; never 0.
    left: u32,
}

impl Recorder {
    /// A recorder that writes one click in `every` into `ring`, and fewer under pressure.
    pub fn new(ring: Producer<u8>, every: NonZeroU32, rules: Arc<Rules>, pressure: Arc<Pressure>) -> Self {
        let buffer = Box::new([0; RECORD_BYTES_MAX]);
        Self { ring, buffer, rules, pressure, every, run: every.get(), left: every.get() }
    }

    /// Records an answer, if it is a click. Costs a copy of a few hundred bytes.
    #[inline]
    pub fn answered(&mut self, head: &Head<'_>, decision: &Decision<'_>, moment: &Moment) -> Handed {
        if head.method == Method::Head {
            return Handed::NoClick;
        }
        let (Some(outcome), Some(asked)) = (recorded_as(decision.outcome), decision.asked) else {
            return Handed::NoClick;
        };
        let Asked { domain, wildcard, code } = asked;
        if self.rules.ignores(domain, head.path) {
            return Handed::NoClick;
        }
        self.left -= 1;
        if self.left > 0 {
            return Handed::SampledOut;
        }
        let sample_rate = self.run;
        self.run = self.every.get().saturating_mul(1 << self.pressure.doublings());
        self.left = self.run;
        let Moment { peer, tls, unix_ms, began, generation } = *moment;
        let latency = Instant::now().saturating_duration_since(began);
        let click = Click {
            unix_ms,
            generation,
            status: decision.status,
            outcome,
            protocol: match head.version {
                Version::Http10 => clicks::Protocol::Http10,
                Version::Http11 => clicks::Protocol::Http11,
                Version::Http2 => clicks::Protocol::Http2,
            },
            latency_log2_ns: latency_class(latency.as_nanos() as u64),
            sample_rate,
            gpc: head.wishes.gpc,
            dnt: head.wishes.dnt,
            prefetch: head.wishes.prefetch,
            no_track: self.rules.asks_not_to_be_tracked(head.query),
            tls,
            address: Address::whole(peer.ip()),
            domain,
            code: code.unwrap_or_default(),
            host: if wildcard { head.host.unwrap_or_default() } else { b"" },
            referrer: referrer::host(head.referer.unwrap_or_default()),
            user_agent: head.user_agent.unwrap_or_default(),
            ..Click::default()
        };
        match self.ring.push_entire_slice(click.encode(&mut self.buffer)) {
            Ok(()) => Handed::Recorded,
            Err(_) => Handed::Lost,
        }
    }
}

/// The outcome as records know it; `None` for what is no click: no domain of ours, or nothing that a link was asked for.
#[inline]
pub const fn recorded_as(outcome: Outcome) -> Option<clicks::Outcome> {
    match outcome {
        Outcome::Redirected => Some(clicks::Outcome::Redirected),
        Outcome::RootRedirected => Some(clicks::Outcome::RootRedirected),
        Outcome::MissRedirected => Some(clicks::Outcome::MissRedirected),
        Outcome::NotFound => Some(clicks::Outcome::NotFound),
        Outcome::ImpossibleCode => Some(clicks::Outcome::ImpossibleCode),
        Outcome::NotYetActive => Some(clicks::Outcome::NotYetActive),
        Outcome::Disabled => Some(clicks::Outcome::Disabled),
        Outcome::Expired => Some(clicks::Outcome::Expired),
        Outcome::Deleted => Some(clicks::Outcome::Deleted),
        Outcome::CorruptRecord => Some(clicks::Outcome::CorruptRecord),
        Outcome::Canary
        | Outcome::Upgraded
        | Outcome::UpgradedMiss
        | Outcome::Challenge
        | Outcome::Document
        | Outcome::NoDocument
        | Outcome::NulInPath
        | Outcome::UnknownHost
        | Outcome::Misdirected
        | Outcome::Options
        | Outcome::MethodNotAllowed
        | Outcome::NoSnapshot => None,
    }
}

#[cfg(test)]
mod tests {
    use rtrb::{Consumer, RingBuffer};

    use super::*;
    use crate::http::head::{Parsed, parse};
    use crate::limits::HttpLimits;
    use crate::metrics::Reason as _;

    fn recorder(bytes: usize, every: u32, rules: Rules) -> (Recorder, Consumer<u8>, Arc<Pressure>) {
        let (ring, read) = RingBuffer::new(bytes);
        let pressure = Arc::new(Pressure::default());
        let every = NonZeroU32::new(every).unwrap();
        (Recorder::new(ring, every, Arc::new(rules), Arc::clone(&pressure)), read, pressure)
    }

    fn ask(recorder: &mut Recorder, request: &str, outcome: Outcome, asked: Option<Asked<'_>>) -> Handed {
        let Parsed::Whole(head, _) = parse(request.as_bytes(), &HttpLimits::default()) else {
            panic!("{request:?}")
        };
        let decision = Decision { asked, ..Decision::of(outcome, 302) };
        let moment = Moment {
            peer: "192.0.2.77:4711".parse().unwrap(),
            tls: false,
            unix_ms: 1_700_000_000_123,
            began: Instant::now(),
            generation: 7,
        };
        recorder.answered(&head, &decision, &moment)
    }

    const ASKED: Option<Asked<'static>> =
        Some(Asked { domain: b"go.example", wildcard: false, code: Some(b"debian") });
    const GET: &str = "GET /debian?nt=1 HTTP/1.1\r\nHost: go.example\r\nUser-Agent: Firefox\r\nSec-GPC: 1\r\n\
                       Referer: https://news.example/secret\r\n\r\n";

    fn read(ring: &mut Consumer<u8>) -> Vec<u8> {
        let mut bytes = vec![0; ring.slots()];
        ring.pop_entire_slice(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_click_is_recorded_with_what_the_shard_knows() {
        let rules = Rules { no_track_parameter: "nt".into(), ..Rules::default() };
        let (mut recorder, mut ring, _) = recorder(4_096, 1, rules);
        assert_eq!(ask(&mut recorder, GET, Outcome::Redirected, ASKED), Handed::Recorded);
        let bytes = read(&mut ring);
        let (click, length) = Click::decode(&bytes).unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!((click.domain, click.code), (b"go.example".as_slice(), b"debian".as_slice()));
        assert_eq!((click.referrer, click.user_agent), (b"news.example".as_slice(), b"Firefox".as_slice()));
        assert_eq!((click.unix_ms, click.generation, click.status), (1_700_000_000_123, 7, 302));
        assert!(click.gpc && !click.dnt && click.no_track && !click.prefetch);
        assert_eq!(click.address, Address::whole("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn what_nobody_clicked_is_no_click() {
        let rules = Rules {
            ignored_paths: vec!["favicon.ico".into(), ".well-known/*".into()],
            ignored_domains: vec!["canary.example".into()],
            ..Rules::default()
        };
        let (mut recorder, ring, _) = recorder(4_096, 1, rules);
        let mut check = |request: &str, outcome, asked| {
            assert_eq!(ask(&mut recorder, request, outcome, asked), Handed::NoClick, "{request:?}");
        };
        check("HEAD /debian HTTP/1.1\r\nHost: go.example\r\n\r\n", Outcome::Redirected, ASKED);
        check("GET /favicon.ico HTTP/1.1\r\nHost: go.example\r\n\r\n", Outcome::NotFound, ASKED);
        check("GET /.well-known/acme HTTP/1.1\r\nHost: go.example\r\n\r\n", Outcome::NotFound, ASKED);
        check(GET, Outcome::UnknownHost, None);
        check(GET, Outcome::MethodNotAllowed, ASKED);
        let canary = Some(Asked { domain: b"canary.example", wildcard: false, code: Some(b"x") });
        check(GET, Outcome::Redirected, canary);
        assert_eq!(ring.slots(), 0);
    }

    #[test]
    fn the_rates_of_all_records_add_up_to_all_clicks() {
        let (mut recorder, mut ring, pressure) = recorder(1 << 20, 2, Rules::default());
        let mut clicks = 0;
        for doublings in [0, 3, 1, 0] {
            pressure.set(doublings);
            // Ends where a record ends, so that no run is open.
            loop {
                clicks += 1;
                let handed = ask(&mut recorder, GET, Outcome::Redirected, ASKED);
                if handed == Handed::Recorded && clicks % 100 < 20 {
                    break;
                }
            }
        }
        let bytes = read(&mut ring);
        let rates: Vec<u32> = clicks::record::all(&bytes).map(|click| click.sample_rate).collect();
        assert_eq!(rates.iter().sum::<u32>(), clicks);
        assert!(rates.contains(&2) && rates.contains(&16), "{rates:?}");
    }

    #[test]
    fn a_full_ring_loses_whole_records_and_says_so() {
        let (mut recorder, mut ring, _) = recorder(250, 1, Rules::default());
        let handed: Vec<_> = (0..5).map(|_| ask(&mut recorder, GET, Outcome::Redirected, ASKED)).collect();
        assert_eq!(handed, [Handed::Recorded, Handed::Recorded, Handed::Lost, Handed::Lost, Handed::Lost]);
        let bytes = read(&mut ring);
        assert_eq!(clicks::record::all(&bytes).count(), 2);
        assert_eq!(ask(&mut recorder, GET, Outcome::Redirected, ASKED), Handed::Recorded);
    }

    #[test]
    fn records_use_the_names_of_the_metrics() {
        for outcome in Outcome::ALL {
            if let Some(recorded) = recorded_as(*outcome) {
                assert_eq!(recorded.label(), outcome.label());
            }
        }
    }
}
