//! HOT: one HTTP/1 connection as a state machine: bytes in, replies and a deadline out, no socket and no clock.

use std::time::Instant;

use crate::limits::HttpLimits;

use super::{Head, Refusal};

/// Replies of one call of [`Connection::advance`], in bytes: enough for 150 pipelined redirects, and little enough that
/// a client that never reads cannot make a node remember much.
pub const OUTPUT_BYTES_MAX: usize = 65_536;

/// One connection; it owns no buffer.
///
/// The shell reads bytes, calls [`Connection::advance`], writes the output, and does what [`Next`] says.
#[derive(Debug)]
pub struct Connection {
    deadline: Instant,
}

/// What the shell does next, after it has dropped the consumed bytes and written the whole output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read more bytes behind the unconsumed ones, then advance. There are always fewer than `head_bytes_max`
    /// unconsumed bytes, so that an input buffer of `head_bytes_max` bytes is enough.
    Read,
    /// Advance again before reading: replies are waiting, but the output has reached its bound.
    Flush,
    /// Close. The client may still be sending: shut down the writing side and read on for a moment before closing, or the
    /// reset destroys the last reply on its way (RFC 9112, 9.6).
    Close(Ending),
}

/// Why the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client asked for it, or speaks HTTP/1.0.
    Finished,
    /// `requests_per_connection_max` is reached.
    RequestsSpent,
    /// The node is draining.
    Drained,
    /// The body is not worth discarding: over the bound, or the client waits for `100 Continue`.
    BodyUnread,
    /// The client was refused; [`Answer::refused`] has been called with the same reason.
    Refused(Refusal),
    /// No request came in time.
    Idle,
}

/// What a call of [`Connection::advance`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Bytes at the start of the input that are done with.
    pub consumed: usize,
    /// What the shell does next.
    pub next: Next,
}

/// Who writes and counts the replies.
pub trait Answer {
    /// Appends exactly one reply to a request. With `closing` it carries `Connection: close`.
    fn answer(&mut self, head: &Head<'_>, closing: bool, output: &mut Vec<u8>);
    /// Counts a refusal, and appends its reply if [`Refusal::status`] names one (`reply::render_refusal` does).
    fn refused(&mut self, reason: Refusal, output: &mut Vec<u8>);
}

impl Connection {
    /// A connection that was accepted at `now`; its first request has to begin within `header_timeout`.
    pub fn new(limits: &HttpLimits, now: Instant) -> Self {
        Self { deadline: now + limits.header_timeout }
    }

    /// Answers every whole request in `input` into `output`, skips bodies, and stops at a partial head.
    ///
    /// `input` starts with the bytes that the last call did not consume. `output` is appended to; it grows beyond
    /// [`OUTPUT_BYTES_MAX`] by one reply at most.
    pub fn advance<A: Answer>(
        &mut self,
        _limits: &HttpLimits,
        _input: &[u8],
        _output: &mut Vec<u8>,
        _answer: &mut A,
        _now: Instant,
    ) -> Advance {
        Advance { consumed: 0, next: Next::Read }
    }

    /// When [`Connection::expire`] is due if nothing else happens.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the connection because its deadline has passed: 408 if a head was begun, silence otherwise.
    /// Always says [`Next::Close`].
    pub fn expire<A: Answer>(&mut self, _output: &mut Vec<u8>, _answer: &mut A) -> Next {
        Next::Close(Ending::Idle)
    }

    /// From now on, the next reply ends the connection. An idle one may be closed at once.
    pub fn drain(&mut self) {}

    /// True between two requests: everything asked was answered, and nothing of another request has come.
    pub fn is_idle(&self) -> bool {
        true
    }
}
