//! HOT: one HTTP/2 connection as a state machine: bytes in, frames and a deadline out, no socket and no clock.

use std::borrow::Cow;
use std::time::Instant;

use crate::http::{Advance, Ending, Head, Next, Refusal};
use crate::limits::{HttpLimits, OUTPUT_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX};
use crate::metrics::Reason as _;

use super::Offence;
use super::budgets::Budgets;
use super::frame::{self, ErrorCode, FrameHead, HEAD_BYTES, WINDOW_DEFAULT, flag, setting};
use super::hpack::Decoder;
use super::request::Scratch;
use super::streams::Streams;

mod blocks;
mod frames;

/// What every client sends first (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a ping says that asks whether the client has heard of the drain.
const DRAIN_PING: [u8; 8] = *b"draining";
/// The last stream of a GOAWAY that announces another one.
const EVERY_STREAM: u32 = 0x7fff_ffff;

/// Who writes and counts the replies.
pub trait AnswerStream {
    /// Appends the header block of exactly one reply to a request, and returns the body that goes with it.
    fn answer_stream(&mut self, head: &Head<'_>, block: &mut Vec<u8>) -> Cow<'static, [u8]>;
    /// Counts a refusal, and appends the header block of its reply if [`Refusal::stream_status`] names one. Without one, the
    /// request had its reply or gets none.
    fn refused_stream(&mut self, reason: Refusal, block: &mut Vec<u8>);
    /// Counts an offence.
    fn offended(&mut self, offence: Offence);
}

/// One connection. It holds memory beyond itself only while a header block comes in pieces, a body comes, a window is closed,
/// or the client keeps a table of headers.
#[derive(Debug)]
pub struct Connection {
    deadline: Instant,
    /// When the last request was answered, or else when the connection began.
    idle_since: Instant,
    phase: Phase,
    decoder: Decoder,
    /// A header block that is not whole.
    open_block: Option<OpenBlock>,
    /// What has come of it.
    block: Vec<u8>,
    streams: Streams,
    budgets: Budgets,
    /// The highest stream that the client has opened.
    last_stream: u32,
    requests: u32,
    /// What we let the client send on all streams together.
    receive_window: i64,
    /// What was sent and not allowed again yet.
    unreturned: u32,
    /// What the client lets us send on all streams together.
    send_window: i64,
    /// What the client lets us send on a new stream.
    initial_send_window: u32,
    /// The client's first settings have come.
    is_settled: bool,
    /// The client knows our settings.
    is_acknowledged: bool,
    /// A reply was sent, and with it that we use no table.
    has_answered: bool,
    drain: Drain,
    /// Why the connection ends once no stream is open.
    closing: Option<Ending>,
}

const _: () = assert!(size_of::<Connection>() <= 384, "an idle connection costs six cache lines");

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has been said; our settings come first.
    Fresh,
    /// The preface, of which so many bytes have come.
    Preface { seen: usize },
    /// The head of a frame.
    Head,
    /// A payload, of which so many bytes are to come.
    Payload { left: usize, of: Of },
    /// Nothing: the connection has ended.
    Ended(Ending),
}

/// What a payload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Nobody.
    Nobody,
    /// A body, which nobody wants either; its bytes are counted.
    Data { stream: u32 },
    /// The header block that is open; behind it stand bytes of padding.
    Block { padding: usize },
    /// Settings.
    Settings,
}

/// A header block that is not whole.
#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    stream: u32,
    purpose: Purpose,
    ends_stream: bool,
    /// The frame that is coming is its last one.
    ends_block: bool,
    continuations: u8,
    since: Instant,
}

/// What a header block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Request,
    Trailers,
    /// Only the table is interested.
    Nothing,
}

/// How far the farewell of a draining node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    Wanted,
    /// The client was told, and asked to say that it has heard.
    Announced,
}

/// What one call of [`Connection::advance`] works with.
struct Turn<'t, A> {
    limits: &'t HttpLimits,
    output: &'t mut Vec<u8>,
    scratch: &'t mut Scratch,
    answer: &'t mut A,
    now: Instant,
}

impl Connection {
    /// A connection that began at `now`; preface and settings have to come within `header_timeout`. Its settings go out with
    /// the first call of [`Connection::advance`], which may be one without input.
    pub fn new(limits: &HttpLimits, now: Instant) -> Self {
        Self {
            deadline: now + limits.header_timeout,
            idle_since: now,
            phase: Phase::Fresh,
            decoder: Decoder::default(),
            open_block: None,
            block: Vec::new(),
            streams: Streams::default(),
            budgets: Budgets::new(),
            last_stream: 0,
            requests: 0,
            receive_window: WINDOW_DEFAULT.into(),
            unreturned: 0,
            send_window: WINDOW_DEFAULT.into(),
            initial_send_window: WINDOW_DEFAULT,
            is_settled: false,
            is_acknowledged: false,
            has_answered: false,
            drain: Drain::No,
            closing: None,
        }
    }

    /// Answers every whole request in `input` into `output`, and whatever else wants an answer.
    ///
    /// `input` starts with the bytes that the last call did not consume, 16 at most. `output` is appended to; it grows
    /// beyond [`OUTPUT_BYTES_MAX`] by what one frame causes at most. `now` may be the same for many connections and calls.
    pub fn advance<A: AnswerStream>(
        &mut self,
        limits: &HttpLimits,
        input: &[u8],
        output: &mut Vec<u8>,
        scratch: &mut Scratch,
        answer: &mut A,
        now: Instant,
    ) -> Advance {
        let mut turn = Turn { limits, output, scratch, answer, now };
        let mut consumed = 0;
        self.greet(&mut turn);
        let next = loop {
            if let (Some(ending), true, None) = (self.closing, self.streams.is_empty(), self.open_block) {
                self.phase = Phase::Ended(ending);
            }
            let rest = &input[consumed..];
            match self.phase {
                Phase::Ended(ending) => break Next::Close(ending),
                _ if rest.is_empty() => break Next::Read,
                _ if turn.output.len() >= OUTPUT_BYTES_MAX => break Next::Flush,
                _ => match self.take(rest, &mut turn) {
                    Ok(0) => break Next::Read,
                    Ok(bytes) => consumed += bytes,
                    Err(offence) => self.offend(offence, turn.output, turn.answer),
                },
            }
        };
        self.deadline = self.patience(limits);
        Advance { consumed, next }
    }

    /// When [`Connection::expire`] is due if nothing else happens.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The deadline has passed at `now`: streams that are overdue are reset, or the connection ends.
    pub fn expire<A: AnswerStream>(
        &mut self,
        limits: &HttpLimits,
        output: &mut Vec<u8>,
        answer: &mut A,
        now: Instant,
    ) -> Next {
        let ending = match self.phase {
            Phase::Ended(ending) => return Next::Close(ending),
            Phase::Fresh | Phase::Preface { seen: 0 } => Ending::Idle,
            _ if !self.is_settled => {
                self.offend(Offence::PrefaceSlow, output, answer);
                Ending::Offended(Offence::PrefaceSlow)
            }
            _ if self.open_block.is_some_and(|block| block.since + limits.header_timeout <= now) => {
                answer.refused_stream(Refusal::HeadSlow, output);
                self.say_goaway(ErrorCode::EnhanceYourCalm, Refusal::HeadSlow.label(), output);
                Ending::Refused(Refusal::HeadSlow)
            }
            _ if self.open_block.is_some() || !self.streams.is_empty() => {
                if let Err(offence) = self.reset_overdue(limits, output, answer, now) {
                    self.offend(offence, output, answer);
                }
                match (self.phase, self.closing) {
                    (Phase::Ended(ending), _) => ending,
                    (_, Some(ending)) if self.streams.is_empty() && self.open_block.is_none() => ending,
                    _ => {
                        self.deadline = self.patience(limits);
                        return Next::Read;
                    }
                }
            }
            _ => {
                self.say_goaway(ErrorCode::No, "idle", output);
                Ending::Idle
            }
        };
        self.phase = Phase::Ended(ending);
        Next::Close(ending)
    }

    /// The node is draining: with the next call of [`Connection::advance`] the client is told that no new stream is welcome
    /// and asked whether it has heard; those that it opens until then are answered (RFC 9113, 6.8).
    pub fn drain(&mut self) {
        if self.drain == Drain::No {
            self.drain = Drain::Wanted;
        }
    }

    /// Whether the connection has something to say although nothing came.
    pub fn has_news(&self) -> bool {
        self.phase == Phase::Fresh || self.drain == Drain::Wanted
    }

    /// Says the last words of a connection that is closed while it is idle.
    pub fn dismiss(&mut self, output: &mut Vec<u8>) {
        if self.phase != Phase::Fresh {
            self.say_goaway(ErrorCode::No, "draining", output);
        }
    }

    /// True between two requests: everything asked was answered, and nothing of another request has come.
    pub fn is_idle(&self) -> bool {
        let between = matches!(self.phase, Phase::Fresh | Phase::Preface { seen: 0 } | Phase::Head);
        between && self.open_block.is_none() && self.streams.is_empty()
    }

    /// Bytes that the connection holds from the allocator, beyond itself.
    pub fn held_bytes(&self) -> usize {
        self.decoder.held_bytes() + self.block.capacity() + self.streams.held_bytes()
    }

    /// Says what nobody has asked for: our settings, and that the node is draining.
    fn greet<A>(&mut self, turn: &mut Turn<'_, A>) {
        if self.phase == Phase::Fresh {
            self.phase = Phase::Preface { seen: 0 };
            let settings = [
                (setting::HEADER_TABLE_SIZE, 0),
                (setting::MAX_CONCURRENT_STREAMS, STREAMS_MAX as u32),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES),
                (setting::MAX_HEADER_LIST_SIZE, turn.limits.head_bytes_max as u32),
            ];
            frame::append_settings(&settings, turn.output);
        }
        if self.drain == Drain::Wanted && self.closing.is_none() && !matches!(self.phase, Phase::Ended(_)) {
            self.drain = Drain::Announced;
            frame::append_goaway(EVERY_STREAM, ErrorCode::No, "draining", turn.output);
            frame::append(frame::kind::PING, 0, 0, &DRAIN_PING, turn.output);
        }
    }

    /// Takes something from the start of `rest`; 0 bytes mean that more are needed.
    #[inline]
    fn take<A: AnswerStream>(&mut self, rest: &[u8], turn: &mut Turn<'_, A>) -> Result<usize, Offence> {
        match self.phase {
            Phase::Fresh | Phase::Ended(_) => Ok(0),
            Phase::Preface { seen } => {
                let bytes = rest.len().min(PREFACE.len() - seen);
                if rest[..bytes] != PREFACE[seen..seen + bytes] {
                    return Err(Offence::Preface);
                }
                let seen = seen + bytes;
                self.phase = if seen == PREFACE.len() { Phase::Head } else { Phase::Preface { seen } };
                Ok(bytes)
            }
            Phase::Head => {
                let Some((head, rest)) = rest.split_first_chunk::<HEAD_BYTES>() else { return Ok(0) };
                let head = FrameHead::read(head);
                self.judge(&head)?;
                let Some((prologue, rest)) = rest.split_at_checked(frames::prologue_bytes(&head)) else {
                    return Ok(0);
                };
                let taken = self.begin(&head, prologue, rest, turn)?;
                Ok(HEAD_BYTES + prologue.len() + taken)
            }
            Phase::Payload { left, of } => self.take_payload(rest, left, of, turn),
        }
    }

    /// Takes what there is of a payload.
    fn take_payload<A: AnswerStream>(
        &mut self,
        rest: &[u8],
        left: usize,
        of: Of,
        turn: &mut Turn<'_, A>,
    ) -> Result<usize, Offence> {
        let mut bytes = rest.len().min(left);
        match of {
            Of::Nobody | Of::Data { .. } => {}
            Of::Block { .. } => self.block.extend_from_slice(&rest[..bytes]),
            Of::Settings => {
                bytes -= bytes % 6;
                for entry in rest[..bytes].chunks_exact(6) {
                    self.apply_setting(entry)?;
                }
            }
        }
        let left = left - bytes;
        self.phase = Phase::Payload { left, of };
        if left == 0 {
            self.phase = Phase::Head;
            match of {
                Of::Nobody => {}
                Of::Data { stream } => self.give_back(stream, turn.output),
                Of::Block { padding } => {
                    self.skip(padding);
                    self.end_block_frame(turn)?;
                }
                Of::Settings => {
                    self.is_settled = true;
                    frame::append(frame::kind::SETTINGS, flag::ACK, 0, b"", turn.output);
                    self.streams.send_all(&mut self.send_window, turn.output);
                }
            }
        }
        Ok(bytes)
    }

    /// So many bytes are next that nobody wants.
    fn skip(&mut self, bytes: usize) {
        self.phase = if bytes == 0 { Phase::Head } else { Phase::Payload { left: bytes, of: Of::Nobody } };
    }

    #[cold]
    fn offend<A: AnswerStream>(&mut self, offence: Offence, output: &mut Vec<u8>, answer: &mut A) {
        answer.offended(offence);
        self.say_goaway(offence.error_code(), offence.label(), output);
        self.phase = Phase::Ended(Ending::Offended(offence));
    }

    fn say_goaway(&self, code: ErrorCode, words: &str, output: &mut Vec<u8>) {
        frame::append_goaway(self.last_stream, code, words, output);
    }

    /// Ends in order once every open stream has ended; later streams may be repeated elsewhere.
    fn close(&mut self, ending: Ending, output: &mut Vec<u8>) {
        if self.closing.is_none() {
            self.closing = Some(ending);
            self.say_goaway(ErrorCode::No, "", output);
        }
    }

    /// When patience ends, whatever comes first.
    #[inline]
    fn patience(&self, limits: &HttpLimits) -> Instant {
        if !self.is_settled {
            return self.idle_since + limits.header_timeout;
        }
        let block = self.open_block.map(|block| block.since + limits.header_timeout);
        let streams = self.streams.iter().map(|stream| stream.deadline(limits));
        block.into_iter().chain(streams).min().unwrap_or(self.idle_since + limits.idle_timeout)
    }

    #[cold]
    fn reset_overdue<A: AnswerStream>(
        &mut self,
        limits: &HttpLimits,
        output: &mut Vec<u8>,
        answer: &mut A,
        now: Instant,
    ) -> Result<(), Offence> {
        let overdue = self.streams.iter().filter(|stream| stream.deadline(limits) <= now);
        let overdue: Vec<(u32, bool)> =
            overdue.map(|stream| (stream.id, stream.unsent().is_empty())).collect();
        for (id, has_reply) in overdue {
            if has_reply {
                answer.refused_stream(Refusal::BodySlow, output);
            } else {
                answer.offended(Offence::WindowHeld);
            }
            self.reset(id, ErrorCode::Cancel, output);
            self.budgets.spend(super::budgets::Chore::Refusal)?;
        }
        Ok(())
    }

    /// Resets a stream, open or not, and forgets it.
    fn reset(&mut self, stream: u32, code: ErrorCode, output: &mut Vec<u8>) {
        frame::append_reset(stream, code, output);
        self.streams.remove(stream);
        self.streams.note_reset(stream);
    }
}
