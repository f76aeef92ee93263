//! HOT: one HTTP/1 connection as a state machine: bytes in, replies and a deadline out, no socket and no clock.

use std::time::Instant;

use crate::http2::Offence;
use crate::limits::{BLANK_LINES_MAX, HttpLimits, OUTPUT_BYTES_MAX};

use super::body::{BodySkipper, Skipped};
use super::head::{self, Parsed};
use super::{Body, Head, Refusal};

/// One connection; it owns no buffer.
///
/// The shell reads bytes, calls [`Connection::advance`], writes the output, and does what [`Next`] says.
#[derive(Debug)]
pub struct Connection {
    deadline: Instant,
    phase: Phase,
    requests: u32,
    blank_lines: u8,
    draining: bool,
}

const _: () = assert!(size_of::<Connection>() <= 64, "a connection costs one cache line");

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A head, which was partial when it had so many bytes; 0 if nothing of it has come.
    Head { seen: usize },
    /// The body of a request that is answered.
    Body(BodySkipper),
    /// Nothing: the connection has ended.
    Ended(Ending),
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
    /// The client broke the rules of HTTP/2; [`AnswerStream::offended`] has been called with the same reason.
    ///
    /// [`AnswerStream::offended`]: crate::http2::AnswerStream::offended
    Offended(Offence),
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
        Self {
            deadline: now + limits.header_timeout,
            phase: Phase::Head { seen: 0 },
            requests: 0,
            blank_lines: 0,
            draining: false,
        }
    }

    /// Answers every whole request in `input` into `output`, skips bodies, and stops at a partial head.
    ///
    /// `input` starts with the bytes that the last call did not consume. `output` is appended to; it grows beyond
    /// [`OUTPUT_BYTES_MAX`] by one reply at most. `now` may be the same for many connections and calls.
    pub fn advance<A: Answer>(
        &mut self,
        limits: &HttpLimits,
        input: &[u8],
        output: &mut Vec<u8>,
        answer: &mut A,
        now: Instant,
    ) -> Advance {
        let was_idle = self.is_idle();
        let mut progressed = false;
        let mut consumed = 0;
        let next = loop {
            let rest = &input[consumed..];
            match &mut self.phase {
                Phase::Head { seen } => match rest {
                    [] => break Next::Read,
                    [b'\r', b'\n', ..] => {
                        consumed += 2;
                        *seen = 0;
                        self.blank_lines += 1;
                        if self.blank_lines > BLANK_LINES_MAX {
                            self.refuse(Refusal::BlankLines, output, answer);
                        }
                    }
                    [b'\r'] => {
                        *seen = 1;
                        break Next::Read;
                    }
                    _ if !head::is_worth_parsing(rest, *seen, limits) => {
                        *seen = rest.len();
                        break Next::Read;
                    }
                    _ if output.len() >= OUTPUT_BYTES_MAX => break Next::Flush,
                    _ => match head::parse(rest, limits) {
                        Parsed::Partial => {
                            *seen = rest.len();
                            break Next::Read;
                        }
                        Parsed::Whole(head, bytes) => {
                            consumed += bytes;
                            progressed = true;
                            self.answer(limits, &head, output, answer);
                        }
                        Parsed::Refused(reason) => self.refuse(reason, output, answer),
                    },
                },
                Phase::Body(skipper) => match skipper.skip(rest) {
                    Skipped::Partial => {
                        consumed = input.len();
                        break Next::Read;
                    }
                    Skipped::Whole(bytes) => {
                        consumed += bytes;
                        progressed = true;
                        self.phase = Phase::Head { seen: 0 };
                    }
                    Skipped::Refused(reason) => self.refuse(reason, output, answer),
                },
                Phase::Ended(ending) => break Next::Close(*ending),
            }
        };
        // A deadline moves only when the client got something done, so that trickling bytes buys no time.
        self.deadline = match self.phase {
            Phase::Head { seen: 0 } if progressed => now + limits.idle_timeout,
            Phase::Head { seen: 1.. } if progressed || was_idle => now + limits.header_timeout,
            Phase::Body(_) if progressed => now + limits.header_timeout,
            Phase::Head { .. } | Phase::Body(_) | Phase::Ended(_) => self.deadline,
        };
        Advance { consumed, next }
    }

    /// When [`Connection::expire`] is due if nothing else happens.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the connection because its deadline has passed: 408 if a head was begun, silence otherwise.
    /// Always says [`Next::Close`].
    pub fn expire<A: Answer>(&mut self, output: &mut Vec<u8>, answer: &mut A) -> Next {
        let ending = match self.phase {
            Phase::Head { seen: 0 } => Ending::Idle,
            Phase::Head { .. } => Ending::Refused(Refusal::HeadSlow),
            Phase::Body(_) => Ending::Refused(Refusal::BodySlow),
            Phase::Ended(ending) => return Next::Close(ending),
        };
        if let Ending::Refused(reason) = ending {
            answer.refused(reason, output);
        }
        self.phase = Phase::Ended(ending);
        Next::Close(ending)
    }

    /// From now on, the next reply ends the connection. An idle one may be closed at once.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// True between two requests: everything asked was answered, and nothing of another request has come.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head { seen: 0 }
    }

    #[inline]
    fn answer<A: Answer>(
        &mut self,
        limits: &HttpLimits,
        head: &Head<'_>,
        output: &mut Vec<u8>,
        answer: &mut A,
    ) {
        self.blank_lines = 0;
        self.requests += 1;
        let body = match head.body {
            Body::None => Ok(None),
            // The client decides by the reply whether it sends the body (RFC 9110, 10.1.1): what comes next is unknown.
            Body::Length(_) | Body::Chunked if head.expects_continue => Err(Ending::BodyUnread),
            Body::Length(bytes) if bytes > limits.body_discard_bytes_max => Err(Ending::BodyUnread),
            Body::Length(bytes) => Ok(Some(BodySkipper::plain(bytes))),
            Body::Chunked => Ok(Some(BodySkipper::chunked(limits.body_discard_bytes_max))),
        };
        self.phase = match body {
            _ if !head.keep_alive => Phase::Ended(Ending::Finished),
            Err(ending) => Phase::Ended(ending),
            Ok(_) if self.requests >= limits.requests_per_connection_max => {
                Phase::Ended(Ending::RequestsSpent)
            }
            Ok(_) if self.draining => Phase::Ended(Ending::Drained),
            Ok(None) => Phase::Head { seen: 0 },
            Ok(Some(skipper)) => Phase::Body(skipper),
        };
        let closing = matches!(self.phase, Phase::Ended(_));
        answer.answer(head, closing, output);
    }

    #[cold]
    fn refuse<A: Answer>(&mut self, reason: Refusal, output: &mut Vec<u8>, answer: &mut A) {
        answer.refused(reason, output);
        self.phase = Phase::Ended(Ending::Refused(reason));
    }
}
