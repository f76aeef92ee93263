//! Limits that are easy to reach, and an answerer that writes down what it was asked.

use std::time::Duration;

use carom::http::{Answer, Head, Refusal};
use carom::limits::HttpLimits;
use carom::redirect::{CacheControl, Decision, Location, Outcome, Stamp, reply};

/// Small bounds, so that short inputs reach every one of them.
pub(crate) fn small_limits() -> HttpLimits {
    HttpLimits {
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        write_timeout: Duration::from_secs(5),
        head_bytes_max: 256,
        target_bytes_max: 48,
        fields_max: 6,
        requests_per_connection_max: 5,
        body_discard_bytes_max: 64,
    }
}

/// What every reply of these tests carries.
pub(crate) const STAMP: Stamp<'static> = Stamp { date: b"Sun, 06 Nov 1994 08:49:37 GMT", server: b"" };

/// Answers every request with a redirect to its path and query, and keeps a note of every call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorder {
    /// One line per call: `GET path?query` with `close` behind it, or the label of a refusal.
    pub(crate) notes: Vec<String>,
    /// Replies that were written.
    pub(crate) replies: usize,
}

impl Answer for Recorder {
    fn answer(&mut self, head: &Head<'_>, closing: bool, output: &mut Vec<u8>) {
        let text = String::from_utf8_lossy;
        let query = head.query.map_or(String::new(), |query| format!("?{}", text(query)));
        let close = if closing { " close" } else { "" };
        self.notes.push(format!("{} {}{query}{close}", text(head.method.as_bytes()), text(head.path)));
        self.replies += 1;
        let decision = Decision {
            location: Location::new(b"https://target.example/", head.query.unwrap_or(b"")),
            cache: CacheControl::Private(90),
            ..Decision::of(Outcome::Redirected, 302)
        };
        reply::render(&decision, head, closing, &STAMP, output);
    }

    fn refused(&mut self, reason: Refusal, output: &mut Vec<u8>) {
        self.notes.push(format!("refused: {reason:?}"));
        self.replies += usize::from(reason.status().is_some());
        reply::render_refusal(reason, &STAMP, output);
    }
}
