//! HOT: a sampled access log that cannot block a shard: whole records of fixed size into a bounded ring, or a counted loss.
//!
//! [`AccessLog::start`] makes one [`Sampler`] per shard and the thread that writes what they sample (`writer.rs`).

pub mod writer;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rtrb::Producer;

use crate::clicks::Rules;
use crate::clicks::privacy::Asks;
use crate::http::{Head, Method, Refusal};
use crate::limits::{ACCESS_HOST_BYTES_MAX, ACCESS_PATH_BYTES_MAX};
use crate::metrics::ShardCounters;
use crate::redirect::Outcome;

pub use writer::AccessLog;

/// One request, copied out of the shard's buffers. About 300 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// When the batch was read that the request came in.
    pub unix_ms: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// What was asked for; `None` where the request could not be read.
    pub request: Option<RequestLine>,
    /// What became of it.
    pub verdict: Verdict,
    /// The status code that was sent; 0 for a refusal without a reply.
    pub status: u16,
    /// From the read that completed the request to its reply, not counting the write.
    pub latency: Duration,
    /// Generation of the snapshot that answered; 0: none.
    pub generation: u64,
}

/// What a request asked for, each piece cut at its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    method: Cut<METHOD_BYTES_MAX>,
    host: Cut<ACCESS_HOST_BYTES_MAX>,
    path: Cut<ACCESS_PATH_BYTES_MAX>,
    asks: Asks,
}

/// Bytes of a method in an access record: the longest known one has 7.
const METHOD_BYTES_MAX: usize = 8;

impl RequestLine {
    /// Copies the pieces. The query is left out, because it may hold what only the destination should see.
    pub fn new(head: &Head<'_>, rules: &Rules) -> Self {
        let asks = Asks {
            gpc: head.wishes.gpc,
            dnt: head.wishes.dnt,
            no_track: rules.asks_not_to_be_tracked(head.query),
        };
        Self { asks, ..Self::pieces(head.method, head.host, head.path) }
    }

    fn pieces(method: Method<'_>, host: Option<&[u8]>, path: &[u8]) -> Self {
        let method = match method {
            Method::Get => b"GET".as_slice(),
            Method::Head => b"HEAD",
            Method::Options => b"OPTIONS",
            Method::Post => b"POST",
            Method::Put => b"PUT",
            Method::Patch => b"PATCH",
            Method::Delete => b"DELETE",
            Method::Trace => b"TRACE",
            Method::Connect => b"CONNECT",
            Method::Other(token) => token,
        };
        let host = Cut::new(host.unwrap_or_default());
        Self { method: Cut::new(method), host, path: Cut::new(path), asks: Asks::default() }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered.
    Answered(Outcome),
    /// It was refused.
    Refused(Refusal),
}

/// The first `BYTES` bytes of a text; `BYTES` is at most 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: u8,
    was_longer: bool,
}

impl<const BYTES: usize> Cut<BYTES> {
    fn new(text: &[u8]) -> Self {
        const { assert!(BYTES <= u8::MAX as usize, "the length has 8 bits") };
        let len = text.len().min(BYTES);
        let mut bytes = [0; BYTES];
        bytes[..len].copy_from_slice(&text[..len]);
        Self { bytes, len: len as u8, was_longer: text.len() > BYTES }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The shard's end of the log: picks one request in n and hands its record over.
pub struct Sampler {
    every: NonZeroU32,
    /// Requests until the next sample, that one included; never 0.
    left: u32,
    ring: Producer<AccessRecord>,
    rules: Arc<Rules>,
}

impl Sampler {
    fn new(every: NonZeroU32, ring: Producer<AccessRecord>, rules: Arc<Rules>) -> Self {
        Self { every, left: every.get(), ring, rules }
    }

    /// Counts one request; calls `record` and hands it over if it is the one to log. A full ring loses the record.
    #[inline]
    pub fn request(&mut self, counters: &ShardCounters, record: impl FnOnce(&Rules) -> AccessRecord) {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every.get();
            counters.access_record(self.ring.push(record(&self.rules)).is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::metrics::ShardCells;

    fn record(number: u64) -> AccessRecord {
        AccessRecord {
            unix_ms: number,
            client: "192.0.2.1:4711".parse().unwrap(),
            request: Some(RequestLine::pieces(Method::Get, Some(b"go.example"), b"debian")),
            verdict: Verdict::Answered(Outcome::Redirected),
            status: 302,
            latency: Duration::from_micros(9),
            generation: 7,
        }
    }

    #[test]
    fn one_request_in_n_is_recorded() {
        let (counters, cells) = ShardCells::new(0, Instant::now());
        let (ring, mut read) = rtrb::RingBuffer::new(100);
        let mut sampler = Sampler::new(NonZeroU32::new(10).unwrap(), ring, Arc::default());
        for number in 1..=100 {
            sampler.request(&counters, |_| record(number));
        }
        let times: Vec<u64> = std::iter::from_fn(|| read.pop().ok()).map(|record| record.unix_ms).collect();
        assert_eq!(times, (1..=10).map(|tens| tens * 10).collect::<Vec<_>>());
        assert_eq!((cells.access_records(), cells.access_records_lost()), (10, 0));
    }

    #[test]
    fn a_full_ring_loses_whole_records_and_counts_them() {
        let (counters, cells) = ShardCells::new(0, Instant::now());
        let (ring, mut read) = rtrb::RingBuffer::new(3);
        let mut sampler = Sampler::new(NonZeroU32::MIN, ring, Arc::default());
        for number in 1..=5 {
            sampler.request(&counters, |_| record(number));
        }
        assert_eq!((cells.access_records(), cells.access_records_lost()), (3, 2));
        assert_eq!(
            std::iter::from_fn(|| read.pop().ok()).map(|record| record.unix_ms).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn a_record_has_a_bounded_size() {
        assert!(size_of::<AccessRecord>() <= 384, "{}", size_of::<AccessRecord>());
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = Cut::<4>::new(b"abcdef");
        assert_eq!((cut.as_bytes(), cut.was_longer), (b"abcd".as_slice(), true));
        let whole = Cut::<4>::new(b"abcd");
        assert_eq!((whole.as_bytes(), whole.was_longer), (b"abcd".as_slice(), false));
    }
}
