//! HOT: answers the requests of one batch: decide, render, count, sample.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use snapshot_format::{CANARY_HOST, HOST_BYTES_MAX, Mapping, Snapshot, canonical_host};

use crate::access_log::{AccessRecord, RequestLine, Sampler, Verdict};
use crate::clicks::Rules;
use crate::clicks::recorder::{Moment, Recorder};
use crate::http::{Answer, Head, Refusal};
use crate::http2::{AnswerStream, Offence};
use crate::metrics::ShardCounters;
use crate::proxies::Proxies;
use crate::proxies::forwarded::{Sender, sender};
use crate::redirect::{Arrival, Decision, Stamp, Surroundings, decide, reply};
use crate::scanners::{Deed, Scout};
use crate::tls::Names;

use super::clock::Clock;

/// What the requests of one batch are answered from.
pub(super) struct Replier<'a> {
    /// `None` before the first snapshot.
    pub(super) snapshot: Option<&'a Snapshot<Mapping>>,
    /// The turn's time.
    pub(super) clock: &'a Clock,
    /// Value of the Server field; empty for none.
    pub(super) server: &'a [u8],
    /// The shard's counters.
    pub(super) counters: &'a ShardCounters,
    /// The shard's end of the access log, if there is one.
    pub(super) sampler: Option<&'a mut Sampler>,
    /// Who looks out for scanners, unless nobody does.
    pub(super) scout: Option<&'a mut Scout>,
    /// The shard's end of the clicks, unless nobody records them.
    pub(super) recorder: Option<&'a mut Recorder>,
    /// Who asks.
    pub(super) peer: SocketAddr,
    /// Which hosts the certificate of the connection covers; `None` in clear text.
    pub(super) names: Option<&'a Names>,
    /// Who speaks for others.
    pub(super) proxies: &'a Proxies,
    /// The client speaks TLS with the balancer.
    pub(super) outer_secure: bool,
    /// `peer` is a proxy: what it sends is not its own doing.
    pub(super) is_proxy: bool,
    /// `peer` says in a field of each request who sent it.
    pub(super) is_forwarding: bool,
    /// What the node knows beside its snapshot.
    pub(super) surroundings: &'a Surroundings,
    /// Requests answered so far.
    pub(super) answered: u64,
}

impl Answer for Replier<'_> {
    #[inline]
    fn answer(&mut self, head: &Head<'_>, closing: bool, output: &mut Vec<u8>) {
        self.conclude(head, |decision, stamp| reply::render(decision, head, closing, stamp, output));
    }

    #[cold]
    fn refused(&mut self, reason: Refusal, output: &mut Vec<u8>) {
        reply::render_refusal(reason, &self.stamp(), output);
        self.count_refusal(reason, reason.status());
    }
}

impl AnswerStream for Replier<'_> {
    #[inline]
    fn answer_stream(&mut self, head: &Head<'_>, block: &mut Vec<u8>) -> Cow<'static, [u8]> {
        self.conclude(head, |decision, stamp| reply::render_block(decision, head, stamp, block))
    }

    #[cold]
    fn refused_stream(&mut self, reason: Refusal, block: &mut Vec<u8>) {
        let status = reason.stream_status();
        if let Some(status) = status {
            reply::render_refusal_block(status, &self.stamp(), block);
        }
        self.count_refusal(reason, status);
    }

    #[cold]
    fn offended(&mut self, offence: Offence) {
        self.counters.offended(offence);
        self.note(Deed::of_offence(offence));
    }
}

impl<'a> Replier<'a> {
    fn stamp(&self) -> Stamp<'a> {
        Stamp { date: self.clock.date(), server: self.server }
    }

    /// Who sent a request, and whether over HTTPS.
    #[inline]
    fn sender(&self, head: &Head<'_>) -> Sender {
        if !self.is_forwarding {
            return Sender::default();
        }
        sender(&head.via, self.proxies.field, |address| self.proxies.forward(address))
    }

    /// Whether a client that reused a connection, as HTTP allows it, picked one whose certificate is for other hosts.
    #[inline]
    fn is_misdirected(&self, head: &Head<'_>) -> bool {
        let (Some(names), Some(host)) = (self.names, head.host) else { return false };
        let mut buffer = [0; HOST_BYTES_MAX];
        // No certificate covers the reserved host of the canaries, which are asked for on every listener.
        canonical_host(host, &mut buffer)
            .is_ok_and(|host| !names.cover(host) && host != CANARY_HOST.as_bytes())
    }

    /// Decides what a request gets, has it written, and counts it: the same for every version of HTTP.
    #[inline]
    fn conclude<T>(&mut self, head: &Head<'_>, write: impl FnOnce(&Decision<'_>, &Stamp<'_>) -> T) -> T {
        let Sender { address, secure } = self.sender(head);
        let client = address.map_or(self.peer, |address| SocketAddr::new(address, 0));
        let secure = secure || self.outer_secure || self.names.is_some();
        let arrival = Arrival { secure, surroundings: self.surroundings };
        let decision = match self.snapshot {
            _ if self.is_misdirected(head) => Decision::misdirected(),
            Some(snapshot) => decide(head, snapshot, self.clock.unix_s(), &arrival),
            None => Decision::no_snapshot(),
        };
        let written = write(&decision, &self.stamp());
        self.answered += 1;
        self.counters.answered(decision.outcome, decision.status);
        if let Some(address) = address {
            if !self.proxies.forward(address) {
                self.note_of(address, Deed::of(decision.outcome));
            }
        } else {
            self.note(Deed::of(decision.outcome));
        }
        self.record(head, &decision, client, secure);
        let request = |rules: &Rules| Some(RequestLine::new(head, rules));
        self.sample(client, Verdict::Answered(decision.outcome), decision.status, request);
        written
    }

    fn count_refusal(&mut self, reason: Refusal, status: Option<u16>) {
        self.counters.refused(reason);
        self.note(Deed::of_refusal(reason));
        self.sample(self.peer, Verdict::Refused(reason), status.unwrap_or(0), |_| None);
    }

    /// Holds a deed against the peer, or for it. What a proxy hands on is not its own doing.
    #[inline]
    fn note(&mut self, deed: Option<Deed>) {
        if !self.is_proxy {
            self.note_of(self.peer.ip(), deed);
        }
    }

    #[inline]
    fn note_of(&mut self, address: IpAddr, deed: Option<Deed>) {
        if let (Some(scout), Some(deed)) = (&mut self.scout, deed) {
            self.counters.noted(scout.note(address, deed, self.clock.now()));
        }
    }

    #[inline]
    fn record(&mut self, head: &Head<'_>, decision: &Decision<'_>, client: SocketAddr, secure: bool) {
        let Some(recorder) = &mut self.recorder else { return };
        let moment = Moment {
            peer: client,
            tls: secure,
            unix_ms: self.clock.unix_ms(),
            began: self.clock.now(),
            generation: self.snapshot.map_or(0, Snapshot::generation),
        };
        self.counters.clicked(recorder.answered(head, decision, &moment));
    }

    #[inline]
    fn sample(
        &mut self,
        client: SocketAddr,
        verdict: Verdict,
        status: u16,
        request: impl FnOnce(&Rules) -> Option<RequestLine>,
    ) {
        let Some(sampler) = &mut self.sampler else { return };
        sampler.request(self.counters, |rules| AccessRecord {
            unix_ms: self.clock.unix_ms(),
            client,
            request: request(rules),
            verdict,
            status,
            latency: Instant::now().saturating_duration_since(self.clock.now()),
            generation: self.snapshot.map_or(0, Snapshot::generation),
        });
    }
}
